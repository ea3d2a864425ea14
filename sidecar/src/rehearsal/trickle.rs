//! An app whose head over HTTP/2 comes a byte at a time and never ends.

use super::*;
use crate::clock;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// `GET / http` on stream 1, and its head goes on: RFC 9113 §6.2, RFC 7541 appendix A.
const HEADERS: &[u8] = &[0, 0, 3, 1, 0, 0, 0, 0, 1, 0x82, 0x86, 0x84];
/// The beginning of a frame of 1,000 bytes of the same head.
const CONTINUATION: &[u8] = &[0, 3, 232, 9, 0, 0, 0, 0, 1];

#[tokio::test(start_paused = true)]
async fn f42_a_head_over_http2_that_trickles_in_ends_its_connection() {
    let document = document(&[("team/first", openai("first.test", json!({})))], &[("chat", &["team/first"])]);
    let world = World::new(&document, |_| partner::WELL);
    let (mut app, ours) = tokio::io::duplex(PIPE);
    world.shared.tasks.spawn(server::serve(Arc::clone(&world.shared), ours, CancellationToken::new()));
    let began = clock::now();
    app.write_all(&[PREFACE, SETTINGS, HEADERS, CONTINUATION].concat()).await.unwrap();
    while clock::now() - began < 60 * SECOND && app.write_all(b"a").await.is_ok() {
        tokio::time::sleep(SECOND).await;
    }
    let held = clock::now() - began;
    assert!(held < 12 * SECOND, "it held its connection for {held:?}");
    world.settle().await;
}

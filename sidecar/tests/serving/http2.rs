//! A partner over HTTP/2: what its small and its empty frames do to the others on its connection.

use std::future::poll_fn;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::world::{STOP, STREAM, TOKEN, World, chat, mock, openai, read};

const CHAT: &str = "/v1/chat/completions";
const GRACE: Duration = Duration::from_secs(10);

/// What a partner was asked, by version of HTTP, and over how many connections.
#[derive(Default)]
struct Log {
    connections: AtomicUsize,
    http2: AtomicUsize,
    http1: AtomicUsize,
}

/// How a partner answers the request of this number.
#[derive(Clone, Copy)]
enum Script {
    /// One token, an empty frame that ends nothing, the end.
    Flush,
    /// 150 empty frames, then the same: more than a connection of `h2` bears.
    Empty,
    /// To the first request tokens without end, to others 3,000 and the end.
    FloodFirst,
    /// 20,000 tokens at once.
    Burst,
    /// It says that it has not begun with the first request; then the same as `Flush`.
    RefuseFirst,
}

/// A partner that speaks both versions, whichever its client begins with; ends with the test's process.
fn partner(script: Script) -> (SocketAddr, Arc<Log>) {
    partner_with(script, None)
}

fn partner_with(script: Script, tls: Option<tokio_rustls::TlsAcceptor>) -> (SocketAddr, Arc<Log>) {
    let log = Arc::new(Log::default());
    let shared = Arc::clone(&log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let tasks = TaskTracker::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (log, tls, own) = (Arc::clone(&shared), tls.clone(), tasks.clone());
                tasks.spawn(async move {
                    match tls {
                        None => {
                            let mut first = [0; 3];
                            let seen = stream.peek(&mut first).await.unwrap_or(0);
                            serve(stream, script, &log, (first.get(..seen) == Some(b"PRI"), own)).await;
                        }
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            serve(stream, script, &log, (is_http2, own)).await;
                        }
                    }
                });
            }
        });
    });
    (address, log)
}

async fn serve<S>(mut stream: S, script: Script, log: &Arc<Log>, (is_http2, tasks): (bool, TaskTracker))
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    log.connections.fetch_add(1, Ordering::SeqCst);
    if !is_http2 {
        let mut head = vec![0; 64 << 10];
        if stream.read(&mut head).await.unwrap_or(0) > 0 {
            log.http1.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all([STREAM, TOKEN, STOP].concat().as_bytes()).await;
        }
        return;
    }
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let number = log.http2.fetch_add(1, Ordering::SeqCst);
        if matches!(script, Script::RefuseFirst) && number == 0 {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
            continue;
        }
        let head = http::Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
        let body = respond.send_response(head, false).unwrap();
        tasks.spawn(async move {
            let _unread = request; // Nor may what we send in small pieces end a connection.
            let _ = play(script, number, body).await;
        });
    }
}

async fn play(script: Script, number: usize, mut body: SendStream<Bytes>) -> Result<(), h2::Error> {
    match (script, number) {
        (Script::FloodFirst, 0) => loop {
            token(&mut body).await?;
        },
        (Script::FloodFirst, _) => tokens(&mut body, 3_000).await?,
        (Script::Burst, _) => tokens(&mut body, 20_000).await?,
        (Script::Flush | Script::RefuseFirst, _) => {
            token(&mut body).await?;
            empty(&mut body).await?;
        }
        (Script::Empty, _) => {
            for _ in 0..150 {
                empty(&mut body).await?;
            }
            token(&mut body).await?;
        }
    }
    body.send_data(Bytes::from(STOP), true)
}

async fn tokens(body: &mut SendStream<Bytes>, count: usize) -> Result<(), h2::Error> {
    for _ in 0..count {
        token(body).await?;
    }
    Ok(())
}

/// One token in a frame of its own, when the window has room for it.
async fn token(body: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    while body.capacity() < TOKEN.len() {
        body.reserve_capacity(TOKEN.len());
        match poll_fn(|context| body.poll_capacity(context)).await {
            Some(more) => drop(more?),
            None => return Err(h2::Reason::CANCEL.into()),
        }
    }
    body.send_data(Bytes::from(TOKEN), false)
}

/// An empty frame, alone on its way: frames that wait together may be joined.
async fn empty(body: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    tokio::task::yield_now().await;
    body.send_data(Bytes::new(), false)?;
    tokio::task::yield_now().await;
    Ok(())
}

fn over_http2(address: SocketAddr) -> Value {
    let mut partner = openai(address, &json!({"firstToken": 10_000, "idle": 10_000}));
    partner["http"] = json!("Http2");
    partner
}

/// The body of a chunked answer.
fn body(answer: &str) -> String {
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    if !head.contains("transfer-encoding: chunked") {
        return rest.to_owned();
    }
    let mut body = String::new();
    loop {
        let (size, behind) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        let (chunk, behind) = behind.split_at(size);
        body.push_str(chunk);
        rest = behind.strip_prefix("\r\n").unwrap();
    }
}

fn ask(world: &World) -> TcpStream {
    world.send(CHAT, &chat(&json!(true)))
}

/// How often a counter of retired connections stands for `cause`.
fn retired(world: &World, cause: &str) -> u64 {
    let metrics = world.metrics();
    let name = format!("chaperone_h2_retired_total{{cause=\"{cause}\",partner=\"team/first\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

#[test]
fn f39_an_app_that_never_reads_one_of_twenty_streams_loses_that_one_alone() {
    let (address, log) = partner(Script::FloodFirst);
    let world = World::of(over_http2(address), None);
    let unread = ask(&world);
    let mut peeked = [0; 1];
    assert_eq!(unread.peek(&mut peeked).unwrap(), 1, "its first token is there, and stays there");
    let readers: Vec<_> = (0..19)
        .map(|_| {
            let stream = ask(&world);
            std::thread::spawn(move || body(&read(stream)))
        })
        .collect();
    let whole = [TOKEN.repeat(3_000).as_str(), STOP].concat();
    for reader in readers {
        assert!(reader.join().unwrap() == whole, "a healthy stream differs");
    }
    // It is not read until its stream has ended: that it was cancelled is in its record.
    let records = world.records(20);
    drop(unread);
    assert_eq!(records.iter().filter(|record| record["event"] == "request_served").count(), 19);
    assert_eq!(records.iter().filter(|record| record["event"] == "client_gone").count(), 1);
    assert_eq!(log.connections.load(Ordering::SeqCst), 1);
    assert_eq!(retired(&world, "limit"), 0);
}

#[test]
fn f39_a_burst_of_small_frames_that_are_read_ends_no_connection() {
    let (address, log) = partner(Script::Burst);
    let world = World::of(over_http2(address), None);
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let stream = ask(&world);
            std::thread::spawn(move || body(&read(stream)).matches("\"content\":\"a\"").count())
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 20_000);
    }
    assert_eq!((log.connections.load(Ordering::SeqCst), retired(&world, "limit")), (1, 0));
}

#[test]
fn f40_an_empty_frame_with_each_answer_fails_no_request_of_a_thousand() {
    let (address, log) = partner(Script::Flush);
    let world = World::of(over_http2(address), None);
    let whole = [TOKEN, STOP].concat();
    for number in 0..1_000 {
        let answer = read(ask(&world));
        assert!(body(&answer) == whole, "answer {number}: {answer}");
    }
    assert_eq!(log.http2.load(Ordering::SeqCst), 1_000);
    assert_eq!(log.http1.load(Ordering::SeqCst), 0);
    // 16 in use, and perhaps one that waits.
    let connections = log.connections.load(Ordering::SeqCst);
    assert!((16..=17).contains(&connections), "{connections}");
    assert_eq!((retired(&world, "answers"), retired(&world, "limit")), (15, 0), "{connections}");
}

#[test]
fn f40_a_partner_whose_empty_frames_end_a_connection_is_asked_over_http_1_from_then_on() {
    let (address, log) = partner(Script::Empty);
    let world = World::of(over_http2(address), Some(mock("elsewhere")));
    for number in 0..3 {
        let answer = read(ask(&world));
        assert!(answer.contains("x-chaperone-partner: team/first\r\n"), "answer {number}: {answer}");
        assert_eq!(body(&answer), [TOKEN, STOP].concat());
    }
    assert_eq!((log.http2.load(Ordering::SeqCst), log.http1.load(Ordering::SeqCst)), (1, 3));
    assert_eq!(retired(&world, "limit"), 1);
    let records = world.drain(GRACE);
    assert_eq!(records.iter().filter(|record| record["event"] == "request_served").count(), 3);
}

#[test]
fn a_refused_stream_is_asked_again_and_costs_nothing() {
    let (address, log) = partner(Script::RefuseFirst);
    let world = World::of(over_http2(address), Some(mock("elsewhere")));
    let answer = read(ask(&world));
    assert!(answer.contains("x-chaperone-partner: team/first\r\n"), "{answer}");
    assert_eq!(log.http2.load(Ordering::SeqCst), 2);
}

/// An acceptor that offers `protocols`, and the PEM that proves it.
fn acceptor(protocols: &[&[u8]]) -> (tokio_rustls::TlsAcceptor, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (Arc::new(config).into(), certified.cert.pem())
}

#[test]
fn over_tls_the_partner_chooses_the_version() {
    let cases: [(&[&[u8]], bool); 2] = [(&[b"h2", b"http/1.1"], true), (&[b"http/1.1"], false)];
    for (protocols, is_http2) in cases {
        let (tls, pem) = acceptor(protocols);
        let (address, log) = partner_with(Script::Flush, Some(tls));
        let mut first = over_http2(address);
        first["endpoint"] = json!(format!("https://localhost:{}", address.port()));
        first["tls"] = json!({"ca": pem});
        let world = World::of(first, None);
        for _ in 0..2 {
            assert_eq!(body(&read(ask(&world))), [TOKEN, STOP].concat());
        }
        let asked = (log.http2.load(Ordering::SeqCst), log.http1.load(Ordering::SeqCst));
        assert_eq!(asked, if is_http2 { (2, 0) } else { (0, 2) });
        assert_eq!(retired(&world, "not_spoken"), u64::from(!is_http2));
    }
}

#[test]
fn a_partner_of_http_1_only_is_unreachable_over_plain_http_2() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 1_024];
            let _ = stream.read(&mut head);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let world = World::of(over_http2(address), Some(mock("elsewhere")));
    let answer = read(ask(&world));
    assert!(answer.contains("elsewhere"), "{answer}");
}

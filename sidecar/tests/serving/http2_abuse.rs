//! Floods and bombs of HTTP/2 frames, at the app's port and from a partner: that connection ends, the others are served.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{World, chat, mock, openai, read};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET / http`, authority `x`: RFC 7541, appendix A.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x01, 1, b'x'];
/// `:status: 200`, likewise.
const OK: &[u8] = &[0x88];
const PATIENCE: Duration = Duration::from_secs(20);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

/// A field of 4,000 bytes that enters the table, and 12,000 references to it: 48 MB of head in 16 kB.
fn bomb(first: &[u8]) -> Vec<u8> {
    let value = vec![b'a'; 4_000];
    // Literal with incremental indexing, new name `b`; 4,000 as an integer with a prefix of 7 bits.
    let literal = [&[0x40, 1, b'b', 0x7f, 0xa1, 0x1e], value.as_slice()].concat();
    [first, &literal, &vec![0xbe; 12_000]].concat()
}

/// Writes `frames` again and again, at most `times`, until the other side has closed. Whether it has.
fn flood(stream: &mut TcpStream, times: u32, frames: impl Fn(u32) -> Vec<u8>) -> bool {
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // In pieces as a flood comes: many frames in each read.
    for batch in 0..times.div_ceil(100) {
        let bytes: Vec<u8> = (0..100).flat_map(|number| frames(batch * 100 + number)).collect();
        if stream.write_all(&bytes).is_err() {
            return true;
        }
    }
    // What is left to read ends, with a GOAWAY or without.
    match io::copy(stream, &mut io::sink()) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

fn app(world: &World) -> TcpStream {
    let mut stream = world.connect();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    stream
}

fn is_served(world: &World) {
    let answer = read(world.send("/v1/chat/completions", &chat(&json!(false))));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("elsewhere"), "{answer}");
}

#[test]
fn f37_an_app_that_resets_what_it_asks_loses_its_connection() {
    let world = World::of(mock("elsewhere"), None);
    let reset = |number: u32| {
        let stream = number * 2 + 1;
        let ask = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
        [ask, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    assert!(flood(&mut app(&world), 100_000, reset));
    is_served(&world);
}

#[test]
fn f38_an_app_whose_head_does_not_end_loses_its_connection() {
    let world = World::of(mock("elsewhere"), None);
    let mut stream = app(&world);
    stream.write_all(&frame(HEADERS, 0, 1, GET)).unwrap();
    // A field without indexing, name `a`, value `a`.
    let more = frame(CONTINUATION, 0, 1, &[0x00, 1, b'a', 1, b'a'].repeat(1_000));
    assert!(flood(&mut stream, 20_000, |_| more.clone()));
    is_served(&world);
}

#[test]
fn f38_a_head_that_unpacks_to_much_more_is_refused() {
    let world = World::of(mock("elsewhere"), None);
    let mut stream = app(&world);
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb(GET))).unwrap();
    // The end of our side, so that what is answered ends too.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.len() < 4_096, "{} bytes of answer", answer.len());
    is_served(&world);
}

/// What a partner does on a connection once it was asked.
type Attack = fn(&mut TcpStream);

/// A partner over HTTP/2 that attacks as soon as it is asked; ends with the test's process.
fn hostile(attack: Attack) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut seen = [0; 64 << 10];
                stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
                // The preface comes first, the request behind it.
                let mut asked = false;
                while !asked {
                    let Ok(length @ 1..) = stream.read(&mut seen) else { return };
                    asked = has_request(&seen[..length]);
                }
                attack(&mut stream);
            });
        }
    });
    let mut partner = openai(address, &json!({"firstToken": 3_000}));
    partner["http"] = json!("Http2");
    partner
}

/// Whether bytes of a client have the head of a stream: frames begin behind the preface, or at once.
fn has_request(bytes: &[u8]) -> bool {
    let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    while let [a, b, c, kind, ..] = rest {
        if *kind == HEADERS {
            return true;
        }
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize + 9;
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// The partner's attack costs its own connection; the request is served by another, and so is the next.
fn survives(attack: Attack) {
    let world = World::of(hostile(attack), Some(mock("elsewhere")));
    is_served(&world);
    is_served(&world);
    let records = world.drain(Duration::from_secs(10));
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record["event"] == "request_served"), "{records:?}");
}

#[test]
fn f37_a_partner_that_refuses_every_stream_is_left_for_the_next() {
    survives(|stream| {
        for id in (1..).step_by(2) {
            let refused = frame(RST_STREAM, 0, id, &7_u32.to_be_bytes());
            if stream.write_all(&refused).is_err() || stream.read(&mut [0; 4_096]).unwrap_or(0) == 0 {
                return;
            }
        }
    });
}

#[test]
fn f37_a_partner_that_floods_with_resets_loses_its_connection() {
    survives(|stream| {
        assert!(flood(stream, 100_000, |number| {
            frame(RST_STREAM, 0, number * 2 + 1, &8_u32.to_be_bytes())
        }));
    });
}

#[test]
fn f38_a_partner_whose_head_does_not_end_loses_its_connection() {
    survives(|stream| {
        stream.write_all(&frame(HEADERS, 0, 1, OK)).unwrap();
        let more = frame(CONTINUATION, 0, 1, &[0x00, 1, b'a', 1, b'a'].repeat(1_000));
        assert!(flood(stream, 20_000, |_| more.clone()));
    });
}

#[test]
fn f38_a_partner_whose_head_unpacks_to_much_more_is_left_for_the_next() {
    survives(|stream| {
        let _ = stream.write_all(&frame(HEADERS, END_HEADERS, 1, &bomb(OK)));
        let _ = stream.write_all(&frame(DATA, END_STREAM, 1, b"data: [DONE]\n\n"));
        let _ = io::copy(stream, &mut io::sink());
    });
}

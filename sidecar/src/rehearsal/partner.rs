//! Partners that are played: each request gets the act that the script chooses for it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::{PIPE, SECOND};
use crate::clock;
use crate::exchange::Mode;
use crate::outbound::network::stage::Stage;

/// A request as it came to a partner, or a connection that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) host: String,
    /// Since the beginning.
    pub(crate) at: Duration,
    /// `None` for a connection.
    pub(crate) body: Option<Value>,
    pub(crate) key: String,
    pub(crate) request_id: String,
    /// How many came to this host before.
    pub(crate) number: usize,
}

/// What a partner does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Answers with the words, the first one after `first` and the others `each` later.
    Say { words: &'static [&'static str], first: Duration, each: Duration },
    /// Says so many of the words, and cuts the connection.
    Cut { after: usize },
    /// Says so many of the words, and falls silent.
    Stall { after: usize },
    /// 200, and a ping each second.
    Ping,
    /// Nothing at all.
    Silence,
    /// Reads the request and closes the connection.
    Close,
    /// A status with headers (each with its line end) and a body.
    Status(u16, &'static str, &'static str),
    /// 200 and this body, after a wait.
    Answer(Duration, String),
    /// A bare status, after a wait.
    Later(Duration, u16),
    /// 200, and these pieces of an event stream, one after the other; then it ends as HTTP has it.
    Events(&'static [&'static str]),
    /// For a connection: refused.
    Refuse,
    /// For a connection: never answered.
    Swallow,
    /// For a connection: accepted.
    Accept,
}

pub(crate) type Script = Arc<dyn Fn(&Arrival) -> Act + Send + Sync>;

pub(crate) const WORDS: &[&str] = &["one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight "];

/// The usual answer.
pub(crate) const WELL: Act =
    Act::Say { words: WORDS, first: Duration::from_millis(300), each: Duration::from_millis(20) };

/// Plays all hosts.
pub(crate) fn stage(script: Script, arrivals: Arc<Mutex<Vec<Arrival>>>, began: Instant) -> Stage {
    Arc::new(move |host: &str| {
        let (script, arrivals, host) = (Arc::clone(&script), Arc::clone(&arrivals), host.to_owned());
        Box::pin(async move {
            let dialled = Arrival {
                host: host.clone(),
                at: clock::now() - began,
                body: None,
                key: String::new(),
                request_id: String::new(),
                number: count(&arrivals, &host),
            };
            match script(&dialled) {
                Act::Refuse => return Err(io::ErrorKind::ConnectionRefused.into()),
                Act::Swallow => std::future::pending::<()>().await,
                _ => {}
            }
            let (theirs, ours) = tokio::io::duplex(PIPE);
            // Awaited by nobody: it ends with its connection, or with the test.
            TaskTracker::new().spawn(serve(theirs, host, script, arrivals, began));
            Ok(ours)
        })
    })
}

fn count(arrivals: &Mutex<Vec<Arrival>>, host: &str) -> usize {
    arrivals.lock().unwrap().iter().filter(|arrival| arrival.host == host).count()
}

async fn serve(
    mut stream: DuplexStream,
    host: String,
    script: Script,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    began: Instant,
) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = read_request(&mut stream, &mut buffer).await {
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().to_owned()
        };
        let arrival = Arrival {
            host: host.clone(),
            at: clock::now() - began,
            body: serde_json::from_slice(&body).ok(),
            key: field("authorization"),
            request_id: field("x-request-id"),
            number: count(&arrivals, &host),
        };
        arrivals.lock().unwrap().push(arrival.clone());
        let streams = arrival.body.as_ref().is_some_and(|body| body["stream"] == true);
        let mode = if streams { Mode::Stream } else { Mode::Whole };
        if !play(&mut stream, script(&arrival), mode).await {
            return;
        }
    }
}

async fn read_request(stream: &mut DuplexStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            while buffer.len() < end + 4 + length {
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            let body = buffer[end + 4..end + 4 + length].to_vec();
            buffer.drain(..end + 4 + length);
            return Some((head, body));
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// `false`: the connection is over.
async fn play(stream: &mut DuplexStream, act: Act, mode: Mode) -> bool {
    match act {
        Act::Say { words, first, each } if mode == Mode::Stream => {
            begin(stream).await && say(stream, words, first, each).await && finish(stream).await
        }
        Act::Say { words, first, each } => {
            sleep(first + each * u32::try_from(words.len()).unwrap()).await;
            let body = json!({"id": "1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": words.concat()}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": words.len(), "total_tokens": 5 + words.len()}});
            answer(stream, 200, "content-type: application/json\r\n", &body.to_string()).await
        }
        Act::Cut { after } => {
            let _ = begin(stream).await && say(stream, &WORDS[..after], SECOND / 10, SECOND / 50).await;
            false
        }
        Act::Stall { after } => {
            let _ = begin(stream).await && say(stream, &WORDS[..after], SECOND / 10, SECOND / 50).await;
            hold(stream).await
        }
        Act::Ping => {
            let mut goes_on = begin(stream).await;
            while goes_on {
                goes_on = chunk(stream, ": ping\n\n").await;
                sleep(SECOND).await;
            }
            false
        }
        Act::Silence => hold(stream).await,
        Act::Status(status, headers, body) => {
            answer(stream, status, &format!("content-type: application/json\r\n{headers}"), body).await
        }
        Act::Answer(wait, body) => {
            sleep(wait).await;
            answer(stream, 200, "content-type: application/json\r\n", &body).await
        }
        Act::Later(wait, status) => {
            sleep(wait).await;
            answer(stream, status, "content-type: application/json\r\n", "{}").await
        }
        Act::Events(pieces) => {
            let mut goes_on = begin(stream).await;
            for piece in pieces {
                goes_on = goes_on && chunk(stream, piece).await;
                sleep(SECOND / 10).await;
            }
            goes_on && write(stream, "0\r\n\r\n").await
        }
        Act::Close | Act::Refuse | Act::Swallow | Act::Accept => false,
    }
}

async fn say(stream: &mut DuplexStream, words: &[&str], first: Duration, each: Duration) -> bool {
    sleep(first).await;
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            sleep(each).await;
        }
        let event = json!({"choices": [{"index": 0, "delta": {"content": word}}]});
        if !chunk(stream, &format!("data: {event}\n\n")).await {
            return false;
        }
    }
    true
}

async fn finish(stream: &mut DuplexStream) -> bool {
    let stop = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage =
        json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 8, "total_tokens": 13}});
    chunk(stream, &format!("data: {stop}\n\ndata: {usage}\n\ndata: [DONE]\n\n")).await
        && write(stream, "0\r\n\r\n").await
}

async fn begin(stream: &mut DuplexStream) -> bool {
    write(stream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
}

async fn answer(stream: &mut DuplexStream, status: u16, headers: &str, body: &str) -> bool {
    write(stream, &format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
        .await
}

async fn chunk(stream: &mut DuplexStream, text: &str) -> bool {
    write(stream, &format!("{:x}\r\n{text}\r\n", text.len())).await
}

async fn write(stream: &mut DuplexStream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).await.is_ok()
}

/// Until the other side closes.
async fn hold(stream: &mut DuplexStream) -> bool {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    false
}

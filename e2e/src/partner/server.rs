//! The partner's process: accepts, logs, picks the step, answers. `bin/partner.rs` runs it.
use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::clock;
use crate::partner::log::{Arrival, Ending, Log};
use crate::partner::render::Rendered;
use crate::partner::rules;
use crate::partner::script::{Block, Body, ErrorBody, Reply, Script, Step};
use crate::partner::wire::{self, Connection, Request};
use crate::partner::{anthropic, openai};

/// What all connections share.
struct Partner {
    started: Instant,
    state: Mutex<State>,
    /// Counts `POST /__release`; held answers wait for the next one.
    released: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    script: Script,
    log: Log,
    /// Signatures and opaque reasoning that this provider has issued.
    signatures: BTreeSet<String>,
}

/// Serves until the process ends.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>) -> Result<()> {
    let partner =
        Arc::new(Partner { started: clock::now(), state: Mutex::default(), released: watch::Sender::new(0) });
    let mut connections = JoinSet::new();
    for number in 1.. {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (partner, tls) = (Arc::clone(&partner), tls.clone());
        connections.spawn(async move {
            let connection = match tls {
                None => Connection::new(Box::new(stream)),
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => Connection::new(Box::new(stream)),
                    Err(_) => return partner.count_connection(),
                },
            };
            // A connection that ends in an error is what the scripts are for; the log tells.
            let _ = partner.converse(connection, number).await;
        });
        while connections.try_join_next().is_some() {}
    }
    Ok(())
}

impl Partner {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count_connection(&self) {
        self.with(|state| state.log.connections += 1);
    }

    async fn converse(&self, mut connection: Connection, number: usize) -> Result<()> {
        let mut is_counted = false;
        while let Some(request) = connection.request().await? {
            if let Some(answer) = self.control(&request)? {
                let framed = wire::frame(&Step::default(), answer);
                connection.write(&[framed.head, framed.pieces.concat()].concat()).await?;
                continue;
            }
            if !is_counted {
                self.count_connection();
                is_counted = true;
            }
            let (id, step, answer) = self.arrive(&request, number);
            let ending = self.answer(&mut connection, &step, answer).await;
            let (ending, keeps_alive) = ending.unwrap_or((Ending::ClientGone, false));
            self.with(|state| state.log.arrivals.get_mut(id - 1).map(|arrival| arrival.ending = ending));
            if !keeps_alive {
                connection.close().await;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Answers the harness itself.
    fn control(&self, request: &Request) -> Result<Option<Rendered>> {
        let answer = match request.path.as_str() {
            "/__script" => {
                let script: Script = serde_json::from_slice(&request.body)?;
                self.with(|state| {
                    state.signatures.extend(signatures(&script));
                    state.script = script;
                });
                json!({})
            }
            "/__log" => self.with(|state| serde_json::to_value(&state.log))?,
            "/__release" => {
                self.released.send_modify(|count| *count += 1);
                json!({})
            }
            _ => return Ok(None),
        };
        Ok(Some(Rendered::json(200, &answer)))
    }

    fn arrive(&self, request: &Request, connection: usize) -> (usize, Step, Rendered) {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let at_ms = u64::try_from((clock::now() - self.started).as_millis()).unwrap_or(u64::MAX);
        self.with(|state| {
            let id = state.log.arrivals.len() + 1;
            let mut arrival = Arrival {
                id,
                at_ms,
                connection,
                method: request.method.clone(),
                path: request.path.clone(),
                headers: request.headers.clone(),
                body: String::new(),
                body_bytes: request.body.len(),
                ending: Ending::Open,
                refused: None,
            };
            if !state.script.drop_bodies {
                arrival.body = String::from_utf8_lossy(&request.body).into_owned();
            }
            if request.method == "POST" {
                arrival.refused = rules::refusal(&arrival, &body, &state.signatures);
            }
            let (step, answer) = match &arrival.refused {
                Some(why) => (Step::default(), refused(request, why)),
                None => {
                    let step = state.next_step(request);
                    let answer = rendered(request, &body, &step);
                    (step, answer)
                }
            };
            state.log.arrivals.push(arrival);
            (id, step, answer)
        })
    }

    async fn answer(
        &self,
        connection: &mut Connection,
        step: &Step,
        answer: Rendered,
    ) -> Result<(Ending, bool)> {
        if step.delay_ms > 0
            && self.pause(connection, Duration::from_millis(step.delay_ms)).await == Ending::ClientGone
        {
            return Ok((Ending::ClientGone, false));
        }
        match &step.body {
            Body::Abort => return Ok((Ending::Broken, false)),
            Body::Wire(bytes) => {
                connection.write(&wire::decoded(bytes)).await?;
                return Ok((Ending::Broken, false));
            }
            Body::Reply(_)
            | Body::Error(_)
            | Body::Json(_)
            | Body::Text(_)
            | Body::Frames(_)
            | Body::Flood { .. }
            | Body::Bomb { .. }
            | Body::Bytes(_) => {}
        }
        let mut released = self.released.subscribe();
        let framed = wire::frame(step, answer);
        connection.write(&framed.head).await?;
        for (count, piece) in framed.pieces.iter().enumerate() {
            if step.shape.stall_after == Some(count) {
                connection.closed().await;
                return Ok((Ending::ClientGone, false));
            }
            if step.shape.hold_after == Some(count) {
                tokio::select! {
                    _ = released.changed() => {}
                    () = connection.closed() => return Ok((Ending::ClientGone, false)),
                }
            }
            if count > 0
                && !framed.pause.is_zero()
                && self.pause(connection, framed.pause).await == Ending::ClientGone
            {
                return Ok((Ending::ClientGone, false));
            }
            connection.write(piece).await?;
        }
        connection.write(&framed.end).await?;
        let is_cut = step.shape.cut_after_bytes.is_some();
        Ok((if is_cut { Ending::Broken } else { Ending::Whole }, framed.keeps_alive))
    }

    /// Lets time pass, unless the other side leaves first.
    async fn pause(&self, connection: &mut Connection, pause: Duration) -> Ending {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ending::Whole,
            () = connection.closed() => Ending::ClientGone,
        }
    }
}

impl State {
    /// Takes the first step that fits and is not used up; the default answer where there is none.
    fn next_step(&mut self, request: &Request) -> Step {
        let path = request.path.split('?').next().unwrap_or_default();
        let fits = |step: &&mut Step| {
            let is_for_path =
                step.path.as_ref().map_or(request.method == "POST", |suffix| path.ends_with(suffix.as_str()));
            let is_meant = step.when.as_ref().is_none_or(|mark| contains(&request.body, mark.as_bytes()));
            is_for_path && is_meant && step.times != Some(0)
        };
        let Some(step) = self.script.steps.iter_mut().find(fits) else { return Step::default() };
        if let Some(times) = &mut step.times {
            *times -= 1;
        }
        step.clone()
    }
}

fn contains(body: &[u8], mark: &[u8]) -> bool {
    body.windows(mark.len().max(1)).any(|window| window == mark)
}

fn signatures(script: &Script) -> impl Iterator<Item = String> {
    let replies = script
        .steps
        .iter()
        .filter_map(|step| if let Body::Reply(reply) = &step.body { Some(reply) } else { None });
    replies.flat_map(|reply| &reply.blocks).filter_map(|block| match block {
        Block::Thinking { signature, .. } => Some(signature.clone()),
        Block::RedactedThinking(data) => Some(data.clone()),
        Block::Text(_) | Block::Tool { .. } | Block::Refusal(_) => None,
    })
}

/// The API that a request belongs to. Model lists are told apart by the version header.
#[derive(Clone, Copy)]
enum Dialect {
    OpenAi,
    Anthropic,
}

impl Dialect {
    fn of(request: &Request) -> Self {
        let has_version =
            request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("anthropic-version"));
        if has_version || request.path.contains("/messages") { Self::Anthropic } else { Self::OpenAi }
    }

    fn error(self, status: u16, error: &ErrorBody) -> Rendered {
        match self {
            Self::OpenAi => Rendered::json(status, &openai::error(error)),
            Self::Anthropic => Rendered::json(status, &anthropic::error(error)),
        }
    }

    fn error_event(self, error: &ErrorBody) -> Rendered {
        Rendered::events(vec![match self {
            Self::OpenAi => format!("data: {}\n\n", openai::error(error)),
            Self::Anthropic => anthropic::error_frame(error),
        }])
    }

    fn models(self) -> Rendered {
        Rendered::json(
            200,
            &match self {
                Self::OpenAi => openai::models(),
                Self::Anthropic => anthropic::models(),
            },
        )
    }

    fn reply(self, path: &str, asked: &Value, reply: &Reply) -> Rendered {
        match self {
            Self::OpenAi => openai::render(path, asked, reply),
            Self::Anthropic => anthropic::render(path, asked, reply),
        }
    }
}

fn refused(request: &Request, why: &str) -> Rendered {
    let kind = "invalid_request_error".to_owned();
    let error = ErrorBody { kind, message: why.to_owned(), ..ErrorBody::default() };
    Dialect::of(request).error(400, &error)
}

fn rendered(request: &Request, asked: &Value, step: &Step) -> Rendered {
    let path = request.path.split('?').next().unwrap_or_default();
    let dialect = Dialect::of(request);
    match &step.body {
        Body::Reply(_) if request.method == "GET" => dialect.models(),
        Body::Reply(reply) => dialect.reply(path, asked, reply),
        Body::Error(error) if error.as_event => dialect.error_event(error),
        Body::Error(error) => dialect.error(step.status.unwrap_or(500), error),
        Body::Json(document) => Rendered::json(200, document),
        Body::Text(text) => bytes("text/plain", text.clone().into_bytes()),
        Body::Frames(frames) => Rendered::events(frames.clone()),
        Body::Flood { frame, times } => Rendered::events(flood(frame, *times)),
        Body::Bomb { bytes: size } => bytes("application/json", bomb(*size)),
        Body::Bytes(text) => bytes("application/json", wire::decoded(text)),
        Body::Wire(_) | Body::Abort => bytes("text/plain", Vec::new()),
    }
}

fn bytes(content_type: &'static str, body: Vec<u8>) -> Rendered {
    Rendered { status: 200, content_type, pieces: vec![body], streamed: false }
}

/// Writes of about 64 KiB each, so that a flood floods.
fn flood(frame: &str, times: usize) -> Vec<String> {
    let per_piece = (64 * 1024 / frame.len().max(1)).max(1);
    (0..times).step_by(per_piece).map(|start| frame.repeat(per_piece.min(times - start))).collect()
}

/// So many zeros, as gzip.
fn bomb(size: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = [b'0'; 64 * 1024];
    for start in (0..size).step_by(zeros.len()) {
        let piece = &zeros[..zeros.len().min(size - start)];
        // Writing to memory cannot fail.
        let _ = encoder.write_all(piece);
    }
    encoder.finish().unwrap_or_default()
}

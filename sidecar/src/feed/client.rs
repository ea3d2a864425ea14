//! One connection to the operator: TLS pinned to its authority, HTTP/2, one stream with frames both ways.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::limits;
use chaperone_protocol::wire::feed::{Decoder, GoAwayReason, LeaderFrame, PATH, SidecarFrame, Token};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::Feed;
use super::applied::Applied;
use super::reconnect::Epochs;
use super::reports::Reports;
use super::session::{self, Next};
use crate::clock;
use crate::retry_after::retry_after;

/// From dialling to the head of the answer.
const CONNECT: Duration = Duration::from_secs(5);
/// How often the token's file is looked at.
const TOKEN: Duration = Duration::from_secs(10);
/// An answer that the operator does not take in this time ends the stream.
const STALL: Duration = Duration::from_secs(5);

/// Bytes of the reason for which the operator refuses a stream.
const REASON_BYTES: usize = 1 << 10;

/// How a stream ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) why: Why,
    /// Whether the operator had said something of use before.
    pub(super) was_heard: bool,
}

/// Why a stream ended.
#[derive(Debug)]
pub(super) enum Why {
    /// The operator asked for it.
    Away { reason: GoAwayReason, retry_after: Duration },
    /// It has no time now, and says when to come again.
    Busy { retry_after: Duration },
    /// It does not read the namespace, says so in `text`, and when to come again.
    Unread { text: String, retry_after: Duration },
    /// Anything else.
    Broken(String),
}

impl From<String> for Why {
    fn from(problem: String) -> Self {
        Self::Broken(problem)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Away { reason, .. } => write!(formatter, "the operator ended the stream: {reason:?}"),
            Why::Busy { .. } => formatter.write_str("the operator is busy"),
            Why::Unread { text, .. } => write!(formatter, "the operator answers 403: {text}"),
            Why::Broken(problem) => formatter.write_str(problem),
        }
    }
}

/// Connects.
pub(super) struct Connector {
    /// The authorities that it trusts, in PEM.
    authorities: String,
    address: String,
    name: ServerName<'static>,
    tls: TlsConnector,
    authority: String,
    token: PathBuf,
}

impl Connector {
    /// Trusts these authorities.
    ///
    /// # Errors
    /// If the operator could not be recognised: no authority, or no name.
    pub(super) fn new(feed: &Feed, authorities: String) -> Result<Self, String> {
        let roots = roots(&authorities)?;
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name =
            ServerName::try_from(feed.server_name.clone()).map_err(|_| "the operator's name is none")?;
        Ok(Self {
            authorities,
            address: feed.address.clone(),
            name,
            tls: TlsConnector::from(Arc::new(config)),
            authority: feed.server_name.clone(),
            token: feed.token.clone(),
        })
    }

    /// The authorities that it trusts.
    pub(super) fn authorities(&self) -> &str {
        &self.authorities
    }

    /// Connects once, and follows the stream to its end.
    pub(super) async fn follow(&self, applied: &mut Applied, epochs: &mut Epochs) -> Ended {
        applied.begin();
        let why = match timeout(CONNECT, self.open(applied)).await {
            Ok(Ok(stream)) => return stream.follow(self, applied, epochs).await,
            Ok(Err(why)) => why,
            Err(_) => Why::Broken(format!("no answer within {CONNECT:?}")),
        };
        Ended { why, was_heard: false }
    }

    async fn open(&self, applied: &Applied) -> Result<Stream, Why> {
        let token = self.read_token()?;
        let tcp =
            TcpStream::connect(&self.address).await.map_err(|error| format!("cannot connect: {error}"))?;
        // Without it an acknowledgement may wait for that of the frame before.
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        let tls = self.tls.connect(self.name.clone(), tcp).await.map_err(|error| format!("TLS: {error}"))?;
        let (mut sender, connection) =
            builder().handshake(TokioIo::new(tls)).await.map_err(|error| format!("HTTP/2: {error}"))?;
        let connection = tokio_util::task::AbortOnDropHandle::new(applied.shared.pools.spawn(async move {
            // It ends with the stream, which says why.
            let _ = connection.await;
        }));
        let (frames, body) = mpsc::channel(4);
        let greeting = session::greeting(applied).encode();
        frames.send(Bytes::from(greeting)).await.map_err(|_| "the connection ended".to_owned())?;
        let request = self.request(&token, Frames(body))?;
        let response = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
        if response.status() != StatusCode::OK {
            let (head, body) = response.into_parts();
            return Err(refusal(head.status, &head.headers, &text(body).await));
        }
        let incoming = response.into_body();
        Ok(Stream { incoming, frames, token, _sender: sender, _connection: connection })
    }

    fn request(&self, token: &Token, body: Frames) -> Result<Request<Frames>, String> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|_| "the token cannot stand in a header")?;
        bearer.set_sensitive(true);
        Request::post(format!("https://{}{PATH}", self.authority))
            .header(header::AUTHORIZATION, bearer)
            .body(body)
            .map_err(|error| error.to_string())
    }

    /// Somebody else renews the file: it is read whenever it is needed.
    fn read_token(&self) -> Result<Token, String> {
        let text = std::fs::read_to_string(&self.token)
            .map_err(|error| format!("the token {} cannot be read: {error}", self.token.display()))?;
        Token::new(&text).map_err(str::to_owned)
    }
}

/// Authorities in PEM, as roots.
///
/// # Errors
/// If there are none, or one cannot be a root.
pub(super) fn roots(pem: &str) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| "the operator's authority is not PEM")?;
        roots.add(certificate).map_err(|_| "the operator's authority cannot be a root")?;
    }
    if roots.is_empty() { Err("the operator's authority has no certificate") } else { Ok(roots) }
}

/// Why there is no stream.
fn refusal(status: StatusCode, headers: &HeaderMap, text: &str) -> Why {
    // It asks in seconds, never by a date, for which the time would be needed.
    let retry_after = retry_after(status, headers, 0).unwrap_or_default();
    let why = match status {
        StatusCode::UNAUTHORIZED if text.is_empty() => "the token is not accepted",
        StatusCode::UNAUTHORIZED => text,
        StatusCode::SERVICE_UNAVAILABLE => return Why::Busy { retry_after },
        StatusCode::FORBIDDEN => return Why::Unread { text: text.to_owned(), retry_after },
        _ => "it is no feed",
    };
    Why::Broken(format!("the operator answers {}: {why}", status.as_u16()))
}

/// What an answer says in a line, without what could deceive in a log; nothing if it says too much.
async fn text(body: Incoming) -> String {
    let collected = Limited::new(body, REASON_BYTES).collect().await;
    let bytes = collected.map(|body| body.to_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().chars().filter(|char| !char.is_control()).collect()
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(64 << 10)
        .max_frame_size(16 << 10)
        .max_send_buf_size(64 << 10)
        .max_header_list_size(16 << 10)
        .max_concurrent_reset_streams(4)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    builder
}

/// A stream that the operator has accepted. Dropping it closes the connection.
struct Stream {
    incoming: Incoming,
    frames: mpsc::Sender<Bytes>,
    token: Token,
    _sender: http2::SendRequest<Frames>,
    _connection: tokio_util::task::AbortOnDropHandle<()>,
}

impl Stream {
    async fn follow(mut self, connector: &Connector, applied: &mut Applied, epochs: &mut Epochs) -> Ended {
        let mut decoder = Decoder::new(limits::LEADER_FRAME_BYTES);
        let mut was_heard = false;
        let mut look = tokio::time::interval(TOKEN);
        let mut reports = Reports::new(clock::now());
        let shared = Arc::clone(&applied.shared);
        loop {
            let outcome = tokio::select! {
                received = self.incoming.frame() => match received {
                    Some(Ok(frame)) => {
                        decoder.push(frame.data_ref().map_or(&[], Bytes::as_ref));
                        self.hear_all(&mut decoder, applied, epochs, &mut was_heard).await
                    }
                    Some(Err(error)) => Err(Why::Broken(format!("the stream broke: {error}"))),
                    None => Err(Why::Broken("the stream ended".to_owned())),
                },
                _ = look.tick() => {
                    epochs.alive(clock::now());
                    // What ends by its time alone ends without news.
                    reports.news(clock::now());
                    self.show_token(connector).await.map_err(Why::from)
                }
                () = shared.gates.news() => {
                    reports.news(clock::now());
                    Ok(())
                }
                () = at(reports.due()) => self.report(applied, &mut reports).await.map_err(Why::from),
            };
            if let Err(why) = outcome {
                return Ended { why, was_heard };
            }
        }
    }

    async fn hear_all(
        &mut self,
        decoder: &mut Decoder,
        applied: &mut Applied,
        epochs: &mut Epochs,
        was_heard: &mut bool,
    ) -> Result<(), Why> {
        while let Some(json) = decoder.next_frame().map_err(|error| error.to_string())? {
            let (epoch, frame) = LeaderFrame::decode(&json).map_err(|error| error.to_string())?;
            // What a later operator says besides is not for us.
            let Some(frame) = frame else { continue };
            match session::obey(epoch, frame, applied, epochs) {
                Next::Say(answer) => self.say(&answer).await?,
                Next::Listen => {}
                Next::Leave { reason, retry_after } => return Err(Why::Away { reason, retry_after }),
                Next::Distrust => return Err(format!("epoch {epoch} is that of a leader of the past").into()),
            }
            *was_heard = true;
        }
        Ok(())
    }

    async fn show_token(&mut self, connector: &Connector) -> Result<(), String> {
        // A file that is being swapped is read next time.
        let Ok(token) = connector.read_token() else { return Ok(()) };
        if token == self.token {
            return Ok(());
        }
        self.token = token.clone();
        self.say(&SidecarFrame::Auth(token)).await
    }

    /// Tells what was learned of partners, if there is anything new.
    async fn report(&self, applied: &Applied, reports: &mut Reports) -> Result<(), String> {
        let now = clock::now();
        match reports.look(applied.health(now), now) {
            Some(health) => self.say(&SidecarFrame::Health(health)).await,
            None => Ok(()),
        }
    }

    async fn say(&self, frame: &SidecarFrame) -> Result<(), String> {
        let sent = timeout(STALL, self.frames.send(Bytes::from(frame.encode()))).await;
        sent.map_err(|_| "the operator does not read")?.map_err(|_| "the stream ended".to_owned())
    }
}

/// At that time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The body of the request: frames as they are said.
struct Frames(mpsc::Receiver<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f69_an_operator_that_is_busy_is_left_alone_for_as_long_as_it_asks() {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from(7))]);
        let busy = refusal(StatusCode::SERVICE_UNAVAILABLE, &headers, "");
        assert!(
            matches!(busy, Why::Busy { retry_after } if retry_after == Duration::from_secs(7)),
            "{busy:?}"
        );
        assert!(matches!(refusal(StatusCode::UNAUTHORIZED, &headers, ""), Why::Broken(_)));
    }

    #[test]
    fn why_an_operator_refuses_is_said_and_its_wait_kept() {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from(60))]);
        let said =
            |status, text: &str| Ended { why: refusal(status, &headers, text), was_heard: false }.to_string();
        let unread = refusal(StatusCode::FORBIDDEN, &headers, "not watched");
        assert!(matches!(unread, Why::Unread { retry_after, .. } if retry_after == Duration::from_secs(60)));
        assert_eq!(said(StatusCode::FORBIDDEN, "not watched"), "the operator answers 403: not watched");
        assert_eq!(
            said(StatusCode::UNAUTHORIZED, "not bound to a Pod"),
            "the operator answers 401: not bound to a Pod"
        );
        assert_eq!(said(StatusCode::UNAUTHORIZED, ""), "the operator answers 401: the token is not accepted");
    }
}

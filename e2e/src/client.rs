//! A well-behaved HTTP/1.1 client on hyper. For ill-behaved ones see [`crate::raw`].
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::certs;

/// No answer of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer that was read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("{} with {:?}", self.status, self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header field, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The reason that the product gives: `x-chaperone-reason`.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.header("x-chaperone-reason").unwrap_or_default()
    }
}

/// One connection that stays open between requests.
pub struct Connection {
    address: String,
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection; ends with it.
    _driver: JoinSet<()>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Self::over(address, stream).await
    }

    async fn over(
        address: &str,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Its end shows in the request that it carries.
            let _ = connection.await;
        });
        Ok(Self { address: address.to_owned(), sender, _driver: driver })
    }

    /// Sends a request and returns the head of its answer; the body is still on its way.
    ///
    /// # Errors
    /// If the connection breaks before the head.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(Bytes::from(body)))?);
        tokio::time::timeout(PATIENCE, answer)
            .await
            .with_context(|| format!("no answer to {path}"))?
            .context("request")
    }

    /// Posts JSON and reads the answer to its end.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer> {
        let fields = [headers, &[("content-type", "application/json")]].concat();
        whole(self.send(Method::POST, path, &fields, body.to_string().into_bytes()).await?).await
    }
}

/// Reads an answer to its end.
///
/// # Errors
/// If the body breaks off or never ends.
pub async fn whole(answer: Response<Incoming>) -> Result<Answer> {
    let (head, body) = answer.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.context("body without end")??.to_bytes();
    Ok(Answer { status: head.status, headers: head.headers, body })
}

/// Gets a path on a new connection.
///
/// # Errors
/// If the connection breaks.
pub async fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut connection = Connection::open(address).await?;
    whole(connection.send(Method::GET, path, headers, Vec::new()).await?).await
}

/// Posts JSON on a new connection.
///
/// # Errors
/// If the connection breaks.
pub async fn post(address: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer> {
    Connection::open(address).await?.post(path, headers, body).await
}

/// As [`get`] or [`post`], over TLS to a server of `name` under the authority in `ca`.
///
/// # Errors
/// If the connection breaks or its certificate is refused.
pub async fn over_tls(
    address: &str,
    name: &str,
    ca: &Path,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer> {
    let tls = TlsConnector::from(certs::trusting(ca)?);
    let stream =
        tls.connect(ServerName::try_from(name.to_owned())?, TcpStream::connect(address).await?).await?;
    let mut connection = Connection::over(address, stream).await?;
    match body {
        Some(body) => connection.post(path, &[], body).await,
        None => whole(connection.send(Method::GET, path, &[], Vec::new()).await?).await,
    }
}

/// The `data:` of every event of a stream, in order; comments and other fields are left out.
#[must_use]
pub fn events(body: &str) -> Vec<String> {
    body.lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.trim_start().to_owned())
        .collect()
}

/// The concatenated text of a chat stream.
///
/// # Errors
/// If an event is no JSON.
pub fn chat_text(body: &str) -> Result<String> {
    let mut text = String::new();
    for data in events(body) {
        if data == "[DONE]" {
            return Ok(text);
        }
        let event: Value = serde_json::from_str(&data).with_context(|| format!("event {data:?}"))?;
        text.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    bail!("a stream without [DONE]: {body:?}")
}

//! HTTP/1.1 by hand, since a scripted partner must also speak it wrongly: reading requests, writing answers.
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::partner::render::Rendered;
use crate::partner::script::{Framing, Step};

/// The longest head that a partner reads.
const HEAD_BYTES: usize = 256 * 1024;

/// The longest body that a partner reads.
const BODY_BYTES: usize = 64 * 1024 * 1024;

/// A connection, plain or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection with what was read too far.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    ahead: Vec<u8>,
}

/// A request as read.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    async fn more(&mut self) -> Result<usize> {
        self.ahead.reserve(64 * 1024);
        Ok(self.stream.read_buf(&mut self.ahead).await?)
    }

    /// The next request; `None` where the other side closed between two.
    pub(crate) async fn request(&mut self) -> Result<Option<Request>> {
        let end = loop {
            if let Some(end) = self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if self.ahead.len() > HEAD_BYTES {
                bail!("head too long");
            }
            if self.more().await? == 0 {
                return Ok(None);
            }
        };
        let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
        let mut request = parse_head(&String::from_utf8_lossy(&head))?;
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = self.body(&request).await?;
        Ok(Some(request))
    }

    async fn body(&mut self, request: &Request) -> Result<Vec<u8>> {
        if request.header("transfer-encoding").is_some() {
            return self.chunked().await;
        }
        let length: usize =
            request.header("content-length").unwrap_or("0").trim().parse().context("content-length")?;
        self.take(length).await
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        if length > BODY_BYTES {
            bail!("body of {length} bytes");
        }
        while self.ahead.len() < length {
            if self.more().await? == 0 {
                bail!("closed in the middle of a body");
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    async fn chunked(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).with_context(|| format!("chunk size {size:?}"))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.more().await? == 0 {
                bail!("closed in the middle of a chunk");
            }
        }
    }

    /// Writes bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Ends the connection, TLS included.
    pub(crate) async fn close(mut self) {
        // The other side may be gone already: there is nobody to tell.
        let _ = self.stream.shutdown().await;
    }

    /// Completes when the other side closes; what it sends meanwhile is kept for the next request.
    pub(crate) async fn closed(&mut self) {
        while self.ahead.len() < BODY_BYTES {
            if !matches!(self.more().await, Ok(read) if read > 0) {
                return;
            }
        }
    }
}

fn parse_head(head: &str) -> Result<Request> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default(), first.next().context("request line")?);
    let headers = lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect::<Option<Vec<_>>>()
        .context("header field")?;
    Ok(Request { method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new() })
}

/// An answer, framed: what to write, piece by piece.
pub(crate) struct Framed {
    pub(crate) head: Vec<u8>,
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) end: Vec<u8>,
    /// Whether the connection can carry another request afterwards.
    pub(crate) keeps_alive: bool,
    pub(crate) pause: Duration,
}

/// Frames `answer` as `step` says.
pub(crate) fn frame(step: &Step, answer: Rendered) -> Framed {
    let shape = &step.shape;
    let length: usize = answer.pieces.iter().map(Vec::len).sum();
    let mut pieces = match shape.chunk_bytes {
        Some(size) => answer.pieces.concat().chunks(size.max(1)).map(<[u8]>::to_vec).collect(),
        None => answer.pieces,
    };
    if let Some(limit) = shape.cut_after_bytes {
        pieces = cut(pieces, limit);
    }
    let framing = shape.framing.unwrap_or(if answer.streamed { Framing::Chunked } else { Framing::Length });
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", step.status.unwrap_or(answer.status));
    if !step.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        head.push_str(&format!("content-type: {}\r\n", answer.content_type));
    }
    for (name, value) in &step.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match framing {
        Framing::Length => head.push_str(&format!("content-length: {length}\r\n")),
        Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
        Framing::Close => head.push_str("connection: close\r\n"),
    }
    head.push_str("\r\n");
    let is_cut = shape.cut_after_bytes.is_some();
    if framing == Framing::Chunked {
        pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).map(|piece| chunk(&piece)).collect();
    }
    let end = if framing == Framing::Chunked && !is_cut { b"0\r\n\r\n".to_vec() } else { Vec::new() };
    Framed {
        head: head.into_bytes(),
        pieces,
        end,
        keeps_alive: framing != Framing::Close && !is_cut,
        pause: Duration::from_millis(shape.pause_ms),
    }
}

fn cut(pieces: Vec<Vec<u8>>, limit: usize) -> Vec<Vec<u8>> {
    let mut left = limit;
    pieces
        .into_iter()
        .map_while(|mut piece| {
            piece.truncate(left);
            left -= piece.len();
            (!piece.is_empty()).then_some(piece)
        })
        .collect()
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
    framed.extend_from_slice(piece);
    framed.extend_from_slice(b"\r\n");
    framed
}

/// Decodes base64 of a script.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}

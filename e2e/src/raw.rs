//! Bytes on a socket, as an attacker or a broken client would send them.
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::Deadline;

/// A connection without any protocol.
pub struct Socket(TcpStream);

/// What came back on a socket.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Everything that was read.
    pub bytes: Vec<u8>,
    /// Whether the other side closed, or reset, the connection.
    pub is_closed: bool,
}

impl Received {
    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The statuses of all answers in it, in order.
    #[must_use]
    pub fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        text.match_indices("HTTP/1.")
            .filter_map(|(at, _)| text.get(at..)?.split(' ').nth(1)?.parse().ok())
            .collect()
    }
}

impl Socket {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Writes; an error means that the other side has closed.
    ///
    /// # Errors
    /// If the other side has closed.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.write_all(bytes).await?)
    }

    /// Reads until the other side closes, or `patience` ends.
    pub async fn read_to_close(&mut self, patience: Duration) -> Received {
        self.read_until(patience, |_| false).await
    }

    /// Reads until `is_enough`, the close, or the end of `patience`.
    pub async fn read_until(&mut self, patience: Duration, is_enough: impl Fn(&[u8]) -> bool) -> Received {
        let deadline = Deadline::after(patience);
        let mut received = Received::default();
        while !is_enough(&received.bytes) {
            match tokio::time::timeout(deadline.left(), self.0.read_buf(&mut received.bytes)).await {
                Err(_) => return received,
                Ok(Ok(0) | Err(_)) => {
                    received.is_closed = true;
                    return received;
                }
                Ok(Ok(_)) => {}
            }
        }
        received
    }
}

/// A well-formed request to post `body` to `path`, for tests that change one thing of it.
#[must_use]
pub fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

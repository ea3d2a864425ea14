//! Frames of HTTP/2, as an attacker would send them (RFC 9113).
use std::time::Duration;

use anyhow::Result;

use crate::raw::Socket;

/// What a client's connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Types of frames.
pub const HEADERS: u8 = 1;
/// As above.
pub const RST_STREAM: u8 = 3;
/// As above.
pub const SETTINGS: u8 = 4;
/// As above.
pub const CONTINUATION: u8 = 9;
/// Flags.
pub const END_STREAM: u8 = 1;
/// As above.
pub const END_HEADERS: u8 = 4;
/// `GET / http`, authority `localhost` (RFC 7541, appendix A).
pub const GET: &[u8] = b"\x82\x86\x84\x01\x09localhost";
/// `:status: 200`.
pub const OK: &[u8] = &[0x88];

/// How long the other side may take to close.
const PATIENCE: Duration = Duration::from_secs(20);

/// One frame; a payload of more than 2^24 - 1 bytes is cut.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let payload = payload.get(..(1 << 24) - 1).unwrap_or(payload);
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The preface and empty settings.
#[must_use]
pub fn opening() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// A head block of `first`, a field of 4,000 bytes that enters the table, and 12,000 references to it: 48 MB in 16 kB.
#[must_use]
pub fn bomb(first: &[u8]) -> Vec<u8> {
    // Literal with incremental indexing, new name `b`; 4,000 as an integer with a prefix of 7 bits.
    let literal = [&[0x40, 1, b'b', 0x7f, 0xa1, 0x1e], vec![b'a'; 4_000].as_slice()].concat();
    [first, &literal, &vec![0xbe; 12_000]].concat()
}

/// Opens a connection, writes `first` and then `frames` of one number after the other, until the other side closes.
///
/// # Errors
/// If it does not listen, or has not closed in time.
pub async fn attack(address: &str, first: &[u8], count: u32, frames: impl Fn(u32) -> Vec<u8>) -> Result<()> {
    let mut socket = Socket::open(address).await?;
    socket.write(&[opening().as_slice(), first].concat()).await?;
    let bytes: Vec<u8> = (0..count).flat_map(frames).collect();
    for piece in bytes.chunks(16 << 10) {
        if socket.write(piece).await.is_err() {
            return Ok(());
        }
    }
    let received = socket.read_to_close(PATIENCE).await;
    anyhow::ensure!(received.is_closed, "still open after the attack");
    Ok(())
}

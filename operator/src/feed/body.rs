//! The body of a stream's response: frames as they are written, with a limit on how long the peer may not take them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A write that stalls for longer ends the stream.
const STALL: Duration = Duration::from_secs(5);
/// Larger frames are written in parts of this size, so that a stall shows.
const PART: usize = 32 << 10;

/// What hyper sends.
pub(crate) struct Frames(mpsc::Receiver<Bytes>);

/// Where frames are put.
pub(crate) struct Writer(mpsc::Sender<Bytes>);

/// The peer does not read, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stalled;

/// A body, and its writer.
pub(crate) fn channel() -> (Writer, Frames) {
    let (sender, receiver) = mpsc::channel(1);
    (Writer(sender), Frames(receiver))
}

impl Writer {
    /// Writes frames in one go: many small ones would cost the peer's budget.
    pub(crate) async fn write(&self, frames: &[Bytes]) -> Result<(), Stalled> {
        let mut bytes = match frames {
            [one] => one.clone(),
            several => Bytes::from(several.concat()),
        };
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(PART));
            timeout(STALL, self.0.send(part)).await.map_err(|_| Stalled)?.map_err(|_| Stalled)?;
        }
        Ok(())
    }
}

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

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_ends_the_stream_after_five_seconds() {
        let (writer, frames) = channel();
        let large = Bytes::from(vec![0; 3 * PART]);
        let begun = crate::clock::now();
        assert_eq!(writer.write(&[large]).await, Err(Stalled));
        assert_eq!(crate::clock::now() - begun, STALL);
        drop(frames);
        assert_eq!(writer.write(&[Bytes::from_static(b"x")]).await, Err(Stalled), "the peer is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_are_ready_go_out_in_one_go() {
        let (writer, mut frames) = channel();
        writer.write(&[Bytes::from_static(b"one"), Bytes::from_static(b"two")]).await.unwrap();
        assert_eq!(frames.0.recv().await.unwrap(), "onetwo");
    }
}

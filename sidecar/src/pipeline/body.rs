//! The body of an answer to the app: what is complete, or what is on its way through a bounded buffer.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use chaperone_protocol::limits;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::record::{Ending, Record};

/// Pieces that may wait for the app; their bytes are bounded apart.
const PIECES: usize = 1_024;

/// Our end of a stream to the app. Dropped without [`Sender::end`], the app sees it cut, not ended.
pub(super) struct Sender {
    pieces: mpsc::Sender<Bytes>,
    state: Arc<StreamState>,
}

/// What both ends of a stream know.
#[derive(Default)]
pub(crate) struct StreamState {
    /// Bytes on their way.
    waiting: AtomicUsize,
    /// Whether nothing is missing behind the last piece.
    is_whole: AtomicBool,
}

/// A stream to the app that stops before its end.
#[derive(Debug, Error)]
#[error("the answer was cut")]
pub(crate) struct Cut;

impl Sender {
    /// `false` if the app is gone or has let more than its share pile up.
    pub(super) fn send_all(&self, out: &mut VecDeque<Bytes>, record: &mut Record) -> bool {
        let Some(piece) = joined(out) else { return true };
        let length = piece.len();
        // Relaxed: the channel orders what matters.
        if self.state.waiting.fetch_add(length, Ordering::Relaxed) > limits::RELAY_BUFFER_BYTES
            || self.pieces.try_send(piece).is_err()
        {
            return false;
        }
        record.sent(length);
        true
    }

    /// Ends when the app has gone.
    pub(super) async fn app_is_gone(&self) {
        self.pieces.closed().await;
    }

    /// Whether the app has gone, as opposed to one that only does not read.
    pub(super) fn is_app_gone(&self) -> bool {
        self.pieces.is_closed()
    }

    /// There is no more.
    pub(super) fn end(self) {
        // Relaxed: dropping the channel orders it before the receiver sees the end.
        self.state.is_whole.store(true, Ordering::Relaxed);
    }
}

/// All of `out` as one piece. What the partner sent at once goes on at once: an app must not be taken for slow because
/// it got no turn between two pieces.
fn joined(out: &mut VecDeque<Bytes>) -> Option<Bytes> {
    if out.len() <= 1 {
        return out.pop_front();
    }
    let mut whole = BytesMut::with_capacity(out.iter().map(Bytes::len).sum());
    out.drain(..).for_each(|piece| whole.extend_from_slice(&piece));
    Some(whole.freeze())
}

/// What the app receives.
pub(crate) enum ClientBody {
    /// Complete; the record ends when the last piece has been handed over.
    Whole { pieces: VecDeque<Bytes>, left: u64, finish: Option<Box<Finish>> },
    /// On its way.
    Stream { pieces: mpsc::Receiver<Bytes>, state: Arc<StreamState> },
}

/// A record that ends as served when the app has got everything, and as client gone otherwise.
pub(crate) struct Finish {
    pub(super) record: Record,
    pub(super) ending: Ending,
}

impl ClientBody {
    /// No bytes.
    pub(crate) fn empty() -> Self {
        Self::whole(VecDeque::new(), None)
    }

    /// All of `pieces`, with a known length.
    pub(crate) fn whole(pieces: VecDeque<Bytes>, finish: Option<Box<Finish>>) -> Self {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self::Whole { pieces, left, finish }
    }

    pub(super) fn stream() -> (Sender, Self) {
        let (sender, pieces) = mpsc::channel(PIECES);
        let state = Arc::<StreamState>::default();
        (Sender { pieces: sender, state: Arc::clone(&state) }, Self::Stream { pieces, state })
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole { pieces, left, finish } => {
                let piece = pieces.pop_front();
                let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
                *left -= length;
                if let Some(finish) = finish.as_mut() {
                    finish.record.sent(usize::try_from(length).unwrap_or(usize::MAX));
                }
                if *left == 0
                    && let Some(finish) = finish.take()
                {
                    finish.record.served(finish.ending, None);
                }
                Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
            }
            Self::Stream { pieces, state } => pieces.poll_recv(context).map(|piece| match piece {
                Some(piece) => {
                    state.waiting.fetch_sub(piece.len(), Ordering::Relaxed);
                    Some(Ok(Frame::data(piece)))
                }
                None => (!state.is_whole.swap(true, Ordering::Relaxed)).then_some(Err(Cut)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { left, .. } => SizeHint::with_exact(*left),
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}

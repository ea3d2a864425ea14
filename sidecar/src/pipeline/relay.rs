//! After the commit point: the partner's bytes in, the app's bytes out, until the last one. No retry from here on.
//!
//! A partner is read at its own pace into a bounded buffer; an app that does not read loses its own stream alone.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chaperone_protocol::limits;
use chaperone_protocol::reason::Reason;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::attempt::Committed;
use super::upstream::{Piece, Upstream};
use crate::api;
use crate::clock;
use crate::exchange::{Answer, Failure, LocalAnswer, Progress};
use crate::neutral::Stop;
use crate::record::{Ending, Record};
use crate::refusal::Refusal;
use crate::sidecar::Shared;

/// Pieces that may wait for the app; their bytes are bounded apart.
const PIECES: usize = 1_024;
/// How long the end of the HTTP message is waited for behind the end of the answer, so that the connection can be used again.
const TAIL: Duration = Duration::from_secs(1);

/// Feeds one piece to the answer. `false`: that was the end.
pub(crate) fn take(answer: &mut Answer, piece: Piece, out: &mut VecDeque<Bytes>) -> Result<bool, Failure> {
    match piece {
        Piece::Bytes(bytes) => answer.push(bytes, out).map(|()| true),
        Piece::Events(events) => answer.events(&events, out).map(|()| true),
        Piece::End => answer.end(out).map(|()| false),
        Piece::Broken => Err(Failure::new(Reason::StreamBroken)),
    }
}

/// Answers with what a partner sends.
pub(crate) fn answer(shared: &Arc<Shared>, committed: Committed, mut record: Record) -> Response<ClientBody> {
    let mut response = Response::new(ClientBody::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(committed.answer.content_type()));
    api::served_headers(headers, &record, &committed.answer);
    record.progressed(committed.answer.progress());
    if committed.complete {
        shared.pools.spawn(tail(committed.partner));
        *response.body_mut() =
            ClientBody::whole(committed.out, Some(finish_later(&committed.answer, record)));
        return response;
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let (sender, body) = ClientBody::stream();
    shared.tasks.spawn(relay(committed, record, sender));
    *response.body_mut() = body;
    response
}

/// Answers without a partner.
pub(crate) fn answer_locally(
    local: &LocalAnswer,
    adjusted: &[String],
    record: Record,
) -> Response<ClientBody> {
    let mut response = Response::new(ClientBody::whole(VecDeque::from([local.body.clone()]), None));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(local.content_type));
    api::local_headers(headers, &record, adjusted);
    record.served_locally(local.body.len());
    response
}

fn finish_later(answer: &Answer, record: Record) -> Box<Finish> {
    Box::new(Finish { record, ending: ending(answer.progress()) })
}

fn ending(progress: &Progress) -> Ending {
    if progress.stop == Some(Stop::Length) { Ending::Length } else { Ending::Complete }
}

/// Awaited by nobody but the task tracker; ends with the answer, with the app, or at its limits.
async fn relay(mut committed: Committed, mut record: Record, sender: Sender) {
    let mut idle = clock::now() + committed.idle;
    let mut seen = committed.answer.progress().meaningful;
    let result = loop {
        if !sender.send_all(&mut committed.out, &mut record) {
            return; // The app has left, or does not read: dropping the record says so.
        }
        if committed.answer.progress().finished {
            break committed.answer.end(&mut committed.out);
        }
        let (until, reason) = if committed.total < idle {
            (committed.total, Reason::TotalTimeout)
        } else {
            (idle, Reason::IdleTimeout)
        };
        let piece = tokio::select! {
            biased;
            () = sender.pieces.closed() => return,
            piece = timeout_at(until, committed.partner.next()) => piece,
        };
        let taken = match piece {
            Ok(piece) => take(&mut committed.answer, piece, &mut committed.out),
            Err(_) => Err(Failure::new(reason)),
        };
        match taken {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(failure) => break Err(failure),
        }
        let meaningful = committed.answer.progress().meaningful;
        if meaningful > seen {
            seen = meaningful;
            idle = clock::now() + committed.idle;
        }
    };
    conclude(committed, record, sender, result).await;
}

async fn conclude(mut committed: Committed, mut record: Record, sender: Sender, result: Result<(), Failure>) {
    let (ending, reason) = match result {
        Ok(()) => (ending(committed.answer.progress()), None),
        Err(failure) => {
            let refusal = Refusal::new(
                failure.reason,
                "the model's provider broke the answer off; what came is not complete",
            );
            committed.answer.break_off(&refusal, &mut committed.out);
            (Ending::Broken, Some(failure.reason))
        }
    };
    record.progressed(committed.answer.progress());
    let delivered = sender.send_all(&mut committed.out, &mut record);
    drop(sender);
    if delivered {
        record.served(ending, reason);
    }
    if reason.is_none() {
        tail(committed.partner).await;
    }
}

/// Reads what a partner sends behind its answer.
async fn tail(mut partner: Upstream) {
    if matches!(partner, Upstream::Http(_)) {
        let rest = async { while matches!(partner.next().await, Piece::Bytes(_)) {} };
        let _ = timeout_at(clock::now() + TAIL, rest).await;
    }
}

/// The app's end of a stream.
struct Sender {
    pieces: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

impl Sender {
    /// `false` if the app is gone or has let more than its share pile up.
    fn send_all(&self, out: &mut VecDeque<Bytes>, record: &mut Record) -> bool {
        let Some(piece) = joined(out) else { return true };
        let length = piece.len();
        // Relaxed: the channel orders what matters.
        if self.waiting.fetch_add(length, Ordering::Relaxed) > limits::RELAY_BUFFER_BYTES
            || self.pieces.try_send(piece).is_err()
        {
            return false;
        }
        record.sent(length);
        true
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
    Stream { pieces: mpsc::Receiver<Bytes>, waiting: Arc<AtomicUsize> },
}

/// A record that ends as served when the app has got everything, and as client gone otherwise.
pub(crate) struct Finish {
    record: Record,
    ending: Ending,
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

    fn stream() -> (Sender, Self) {
        let (sender, pieces) = mpsc::channel(PIECES);
        let waiting = Arc::new(AtomicUsize::new(0));
        (Sender { pieces: sender, waiting: Arc::clone(&waiting) }, Self::Stream { pieces, waiting })
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

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
            Self::Stream { pieces, waiting } => pieces.poll_recv(context).map(|piece| {
                piece.map(|piece| {
                    waiting.fetch_sub(piece.len(), Ordering::Relaxed);
                    Ok(Frame::data(piece))
                })
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

//! Where the pieces of an answer come from: a partner's connection, or a Mock's script.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::staged::Stage;
use crate::exchange::Reached;
use crate::neutral::Event;
use crate::outbound;

/// Bytes of a body that are taken in one turn, at least, where more are there.
const AT_ONCE: usize = 64 << 10;

/// Where an answer comes from.
pub(crate) enum Upstream {
    Http(HttpBody),
    Mock(MockPlayer),
    /// With a declared fault on it.
    Staged(Box<Stage>),
}

/// What is played, and when, counted from the start of the attempt.
pub(crate) type Moments = VecDeque<(Duration, Piece)>;

/// A Mock's script, on its way.
pub(crate) struct MockPlayer {
    pub(crate) began: Instant,
    pub(crate) moments: Moments,
}

/// A piece of an answer.
pub(crate) enum Piece {
    /// A head that came late, behind bytes of the body.
    Head(Box<Parts>),
    Bytes(Bytes),
    Events(Vec<Event>),
    End,
    /// It broke off, and how much of the request counts as seen.
    Broken(Reached),
}

impl Upstream {
    /// The next piece. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Piece {
        match self {
            Self::Http(body) => body.next().await,
            Self::Staged(stage) => stage.next().await,
            Self::Mock(player) => {
                let Some((after, _)) = player.moments.front() else { return Piece::End };
                sleep_until(player.began + *after).await;
                player.moments.pop_front().map_or(Piece::End, |(_, piece)| piece)
            }
        }
    }
}

/// A body on a connection.
pub(crate) struct HttpBody {
    incoming: Incoming,
    /// How it went on behind the bytes that were given last.
    behind: Option<Piece>,
}

impl From<Incoming> for HttpBody {
    fn from(incoming: Incoming) -> Self {
        Self { incoming, behind: None }
    }
}

impl HttpBody {
    /// All that is there, or what comes next. Dropping the future loses nothing.
    ///
    /// Over HTTP/2 each token is a frame of its own. What came at once goes on at once: an app must not be taken for
    /// slow because it got no turn between two of them.
    pub(super) async fn next(&mut self) -> Piece {
        if let Some(piece) = self.behind.take() {
            return piece;
        }
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        let mut first = Bytes::new();
        let mut joined = BytesMut::new();
        loop {
            let piece = match Pin::new(&mut self.incoming).poll_frame(context) {
                Poll::Ready(None) => Piece::End,
                Poll::Ready(Some(Err(error))) => Piece::Broken(outbound::reached(&error)),
                Poll::Ready(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    if first.is_empty() {
                        first = data;
                    } else {
                        if joined.is_empty() {
                            joined.extend_from_slice(&first);
                        }
                        joined.extend_from_slice(&data);
                    }
                    if joined.len() < AT_ONCE {
                        continue;
                    }
                    return Poll::Ready(Piece::Bytes(joined.freeze()));
                }
                Poll::Pending if first.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Piece::Bytes(whole(first, joined))),
            };
            if first.is_empty() {
                return Poll::Ready(piece);
            }
            self.behind = Some(piece);
            return Poll::Ready(Piece::Bytes(whole(first, joined)));
        }
    }
}

fn whole(first: Bytes, joined: BytesMut) -> Bytes {
    if joined.is_empty() { first } else { joined.freeze() }
}

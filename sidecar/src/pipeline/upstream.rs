//! Where the pieces of an answer come from: a partner's connection, or a Mock's script.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::staged::Stage;
use crate::neutral::Event;

/// Where an answer comes from.
pub(crate) enum Upstream {
    Http(Incoming),
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
    Broken,
}

impl Upstream {
    /// The next piece. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Piece {
        match self {
            Self::Http(body) => frame(body).await,
            Self::Staged(stage) => stage.next().await,
            Self::Mock(player) => {
                let Some((after, _)) = player.moments.front() else { return Piece::End };
                sleep_until(player.began + *after).await;
                player.moments.pop_front().map_or(Piece::End, |(_, piece)| piece)
            }
        }
    }
}

/// The next piece of a body. Dropping the future loses nothing.
pub(super) async fn frame(body: &mut Incoming) -> Piece {
    loop {
        match body.frame().await {
            None => return Piece::End,
            Some(Err(_)) => return Piece::Broken,
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Piece::Bytes(data);
                }
            }
        }
    }
}

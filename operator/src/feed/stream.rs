//! One connection of a sidecar: what it is sent next. Pure.
//!
//! At most one offer is unacknowledged. There is no queue: a stream that is free looks at what its scope's offer is
//! then, so that the newest wins and a slow sidecar costs nobody anything.

use bytes::Bytes;
use chaperone_protocol::snapshot::Version;
use chaperone_protocol::wire::feed::{Held, LeaderFrame};

use super::publish::Offer;

/// What one stream has been told, and has said.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Nothing was said yet.
    Greeting,
    /// Nothing is on its way.
    Idle {
        /// What the sidecar has in force.
        held: Option<Held>,
        /// What it refused last: it is not sent again.
        refused: Option<Version>,
        /// Whether it has heard that what it has is what it should have.
        is_told: bool,
    },
    /// Something is.
    Awaiting {
        /// What the sidecar has in force.
        held: Option<Held>,
        /// What it was sent.
        sent: Held,
    },
}

/// A sidecar said what it could not have meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfTurn;

impl Stream {
    /// The sidecar says what it has; returns what to send back.
    pub(crate) fn hello(
        &mut self,
        have: Option<Held>,
        offer: Option<&Offer>,
        epoch: u64,
    ) -> Result<Vec<Bytes>, OutOfTurn> {
        let Self::Greeting = self else { return Err(OutOfTurn) };
        *self = Self::Idle { held: have, refused: None, is_told: false };
        Ok(self.next(offer, epoch))
    }

    /// What to send now: nothing while something is unacknowledged, or nothing is new.
    pub(crate) fn next(&mut self, offer: Option<&Offer>, epoch: u64) -> Vec<Bytes> {
        let (Self::Idle { held, refused, is_told }, Some(offer)) = (&mut *self, offer) else {
            return Vec::new();
        };
        let wanted = offer.held();
        let is_refused = refused.as_ref().is_some_and(|it| *it == wanted.snapshot || *it == wanted.keys);
        if is_refused {
            return Vec::new();
        }
        if held.as_ref() == Some(&wanted) {
            let has_heard = std::mem::replace(is_told, true);
            return if has_heard { Vec::new() } else { vec![LeaderFrame::Unchanged.encode(epoch).into()] };
        }
        let mut frames = Vec::new();
        if held.as_ref().is_none_or(|held| held.keys != wanted.keys) {
            frames.push(offer.keys.frame(&wanted.snapshot, epoch));
        }
        if held.as_ref().is_none_or(|held| held.snapshot != wanted.snapshot) {
            frames.push(offer.edition.frame.clone());
        }
        *self = Self::Awaiting { held: held.clone(), sent: wanted };
        frames
    }

    /// Whether the sidecar serves anything that it could be told more about.
    pub(crate) fn serves(&self) -> bool {
        matches!(self, Self::Idle { held: Some(_), .. } | Self::Awaiting { held: Some(_), .. })
    }

    /// The sidecar has what it was sent.
    pub(crate) fn ack(&mut self, acknowledged: &Held) -> Result<(), OutOfTurn> {
        let Self::Awaiting { sent, .. } = self else { return Err(OutOfTurn) };
        if sent != acknowledged {
            return Err(OutOfTurn);
        }
        *self = Self::Idle { held: Some(acknowledged.clone()), refused: None, is_told: true };
        Ok(())
    }

    /// The sidecar refuses what it was sent, and keeps what it had.
    pub(crate) fn nack(&mut self, version: &Version) -> Result<(), OutOfTurn> {
        let Self::Awaiting { sent, held } = self else { return Err(OutOfTurn) };
        if sent.snapshot != *version && sent.keys != *version {
            return Err(OutOfTurn);
        }
        *self = Self::Idle { held: held.take(), refused: Some(version.clone()), is_told: true };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::hub::testing::{edition, keys, offer};

    fn greeted(have: Option<Held>) -> Stream {
        let mut stream = Stream::Greeting;
        assert_eq!(stream.hello(have, None, 1), Ok(Vec::new()));
        stream
    }

    #[test]
    fn a_sidecar_that_is_current_hears_so_in_a_few_bytes() {
        let offer = offer("a", "k");
        let mut stream = Stream::Greeting;
        let frames = stream.hello(Some(offer.held()), Some(&offer), 1).unwrap();
        assert_eq!(frames.len(), 1);
        assert!(frames[0].len() <= 40, "{} bytes", frames[0].len());
        assert!(stream.next(Some(&offer), 1).is_empty());
    }

    #[test]
    fn a_sidecar_that_waited_for_the_first_offer_gets_keys_and_then_the_snapshot() {
        let mut stream = greeted(None);
        let offer = offer("a", "k");
        let expected = [offer.keys.frame(&offer.edition.version, 1), offer.edition.frame.clone()];
        assert_eq!(stream.next(Some(&offer), 1), expected);
    }

    #[test]
    fn a_rotated_secret_sends_keys_alone_and_a_new_edition_itself_alone() {
        let old = offer("a", "k");
        let rotated = Offer { edition: old.edition.clone(), keys: keys("other") };
        let mut stream = greeted(Some(old.held()));
        assert_eq!(stream.next(Some(&rotated), 1), [rotated.keys.frame(&old.edition.version, 1)]);
        let edited = Offer { edition: edition("b"), keys: old.keys.clone() };
        let mut stream = greeted(Some(old.held()));
        assert_eq!(stream.next(Some(&edited), 1), std::slice::from_ref(&edited.edition.frame));
    }

    #[test]
    fn one_offer_is_under_way_at_a_time_and_the_newest_follows() {
        let (first, second, third) = (offer("a", "k"), offer("b", "k"), offer("c", "k"));
        let mut stream = greeted(None);
        assert!(!stream.next(Some(&first), 1).is_empty());
        assert!(stream.next(Some(&second), 1).is_empty());
        assert!(stream.next(Some(&third), 1).is_empty());
        assert_eq!(stream.ack(&third.held()), Err(OutOfTurn), "it was not sent");
        stream.ack(&first.held()).unwrap();
        assert_eq!(stream.next(Some(&third), 1), std::slice::from_ref(&third.edition.frame));
        assert_eq!(stream.ack(&first.held()), Err(OutOfTurn));
    }

    #[test]
    fn what_was_refused_is_not_sent_again() {
        let (bad, good) = (offer("bad", "k"), offer("good", "k"));
        let mut stream = greeted(None);
        assert!(!stream.next(Some(&bad), 1).is_empty());
        stream.nack(&bad.edition.version).unwrap();
        assert!(stream.next(Some(&bad), 1).is_empty());
        assert_eq!(stream.next(Some(&good), 1).len(), 2, "it still has nothing");
        assert_eq!(stream.nack(&bad.edition.version), Err(OutOfTurn));
    }

    /// The first sidecar that returns to a new leader is there before its scope is compiled.
    #[test]
    fn a_sidecar_that_was_current_before_the_first_offer_hears_so_once() {
        let offer = offer("a", "k");
        let mut stream = greeted(Some(offer.held()));
        let unchanged: Bytes = LeaderFrame::Unchanged.encode(1).into();
        assert_eq!(stream.next(Some(&offer), 1), [unchanged]);
        assert!(stream.next(Some(&offer), 1).is_empty());
    }

    #[test]
    fn a_second_hello_is_out_of_turn() {
        assert_eq!(greeted(None).hello(None, None, 1), Err(OutOfTurn));
        assert_eq!(Stream::Greeting.ack(&offer("a", "k").held()), Err(OutOfTurn));
    }
}

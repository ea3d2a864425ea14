//! Who may hold a connection to the webhook. Any Pod can open some, so a full house must not lock the API server out:
//! for whoever comes, the address that holds most connections gives one up, an idle one first. Pure but for its lock.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All connections.
#[derive(Debug)]
pub(super) struct Places {
    /// At a time.
    most: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Counts entries and answers: a lower one is longer ago.
    turn: u64,
    connections: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    is_idle: bool,
    /// When it came, or was answered last.
    used: u64,
    cut: CancellationToken,
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    /// The place is another's now.
    pub(super) cut: CancellationToken,
}

impl Places {
    /// For `most` connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// A place for somebody new, if need be that of another.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Place {
        let mut held = self.held();
        if held.connections.len() >= self.most {
            held.cut_one();
        }
        let (id, cut) = (held.next(), CancellationToken::new());
        held.connections.insert(id, Connection { peer, is_idle: false, used: id, cut: cut.clone() });
        Place { places: Arc::clone(self), id, cut }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing that is done under it can leave it half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn next(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    fn cut_one(&mut self) {
        let mut of_peer = BTreeMap::<IpAddr, usize>::new();
        for connection in self.connections.values() {
            *of_peer.entry(connection.peer).or_default() += 1;
        }
        let Some((greediest, _)) = of_peer.into_iter().max_by_key(|(_, count)| *count) else { return };
        let theirs = self.connections.iter().filter(|(_, connection)| connection.peer == greediest);
        let longest =
            theirs.min_by_key(|(_, connection)| (!connection.is_idle, connection.used)).map(|(id, _)| *id);
        if let Some(connection) = longest.and_then(|id| self.connections.remove(&id)) {
            connection.cut.cancel();
        }
    }
}

impl Place {
    /// A question begins.
    pub(super) fn asked(&self) {
        if let Some(connection) = self.places.held().connections.get_mut(&self.id) {
            connection.is_idle = false;
        }
    }

    /// It is answered.
    pub(super) fn answered(&self) {
        let mut held = self.places.held();
        let turn = held.next();
        if let Some(connection) = held.connections.get_mut(&self.id) {
            (connection.is_idle, connection.used) = (true, turn);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held().connections.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn cut(places: &[Place]) -> Vec<usize> {
        (0..places.len()).filter(|index| places[*index].cut.is_cancelled()).collect()
    }

    #[test]
    fn who_holds_most_gives_way_and_nobody_does_while_there_is_room() {
        let places = Places::new(4);
        let mut held =
            vec![places.enter(peer(1)), places.enter(peer(2)), places.enter(peer(2)), places.enter(peer(2))];
        assert!(cut(&held).is_empty());
        held.push(places.enter(peer(3)));
        assert_eq!(cut(&held), [1], "the oldest of the second's");
        held.push(places.enter(peer(2)));
        assert_eq!(cut(&held), [1, 2], "more for the second cost the second");
        drop(held.pop());
        held.push(places.enter(peer(1)));
        assert_eq!(cut(&held), [1, 2], "a place that was left is free");
    }

    #[test]
    fn an_idle_connection_gives_way_before_one_that_is_asked_and_the_longest_idle_first() {
        let places = Places::new(3);
        let mut held: Vec<Place> = (0..3).map(|_| places.enter(peer(1))).collect();
        held[2].answered();
        held[1].answered();
        held.push(places.enter(peer(1)));
        assert_eq!(cut(&held), [2]);
        held[1].asked();
        held.push(places.enter(peer(1)));
        assert_eq!(cut(&held), [0, 2], "all are asked: the oldest");
    }
}

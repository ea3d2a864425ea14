//! Reasoning that a partner wants back with the results of its calls, kept for apps that do not send it back.
//!
//! Found by (owner, id of a call) alone, so that nobody is given another tenant's thoughts; only their own partner gets
//! them. In memory, bounded in number and bytes, each for a limited time. Where room is short, whoever holds the most
//! loses the oldest first. It decides nothing about a turn whose thoughts are gone: that is the dialect's business.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chaperone_protocol::limits;
use prometheus::IntCounterVec;
use tokio::time::Instant;

use crate::dialect::Origin;

/// What an entry costs besides its texts, in bytes: keys, maps, allocations. An estimate.
const OVERHEAD: usize = 512;

/// One thought, as its partner wrote it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Thought {
    Signed { text: String, signature: String },
    Opaque { data: String },
}

impl fmt::Debug for Thought {
    /// No content.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Thought({} bytes)", self.bytes())
    }
}

impl Thought {
    fn bytes(&self) -> usize {
        match self {
            Self::Signed { text, signature } => text.len().saturating_add(signature.len()),
            Self::Opaque { data } => data.len(),
        }
    }
}

/// The thoughts of one turn that called tools.
#[derive(Debug)]
pub(crate) struct Reasoned {
    /// Who wrote it.
    pub(crate) origin: Origin,
    /// The ids of its calls, in order, as the app knows them.
    pub(crate) calls: Vec<String>,
    pub(crate) thoughts: Vec<Thought>,
}

impl Reasoned {
    fn bytes(&self) -> usize {
        let thoughts: usize = self.thoughts.iter().map(Thought::bytes).sum();
        let calls: usize = self.calls.iter().map(String::len).sum();
        thoughts.saturating_add(calls).saturating_add(OVERHEAD)
    }
}

/// All turns that are kept.
#[derive(Debug)]
pub(crate) struct Thoughts {
    shelf: Mutex<Shelf>,
    /// By what became of a turn.
    counts: IntCounterVec,
}

#[derive(Debug, Default)]
struct Shelf {
    turns: HashMap<Key, Kept>,
    /// Until when each is kept; the first one goes first.
    order: BTreeMap<Age, Key>,
    /// Bytes, by owner.
    held: HashMap<Arc<str>, usize>,
    bytes: usize,
    number: u64,
}

/// When a turn expires, and a number that tells two of the same moment apart.
type Age = (Instant, u64);

/// An owner, and the first call of a turn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    owner: Arc<str>,
    call: String,
}

#[derive(Debug)]
struct Kept {
    turn: Reasoned,
    bytes: usize,
    age: Age,
}

impl Thoughts {
    /// Keeps nothing yet. `counts` has one label: what became of a turn.
    pub(crate) fn new(counts: IntCounterVec) -> Self {
        Self { shelf: Mutex::default(), counts }
    }

    /// Keeps a turn of `owner`, who asked for it at `now`.
    pub(crate) fn keep(&self, owner: &str, turn: Reasoned, now: Instant) {
        let bytes = turn.bytes();
        let Some(call) = turn.calls.first().cloned() else { return };
        if bytes > limits::THOUGHT_BYTES {
            return self.count("too_large", 1);
        }
        let mut shelf = self.shelf();
        self.count("expired", shelf.expire(now));
        let key = Key { owner: owner.into(), call };
        shelf.remove(&key);
        shelf.insert(key, turn, bytes, now + limits::THOUGHT_LIFE);
        self.count("evicted", shelf.evict());
        self.count("kept", 1);
    }

    /// The thoughts that led `owner`'s partner to just these calls; `None` if they are not, or no longer, known.
    pub(crate) fn recall(
        &self,
        owner: &str,
        origin: &Origin,
        calls: &[&str],
        now: Instant,
    ) -> Option<Vec<Thought>> {
        let key = Key { owner: owner.into(), call: (*calls.first()?).to_owned() };
        let mut shelf = self.shelf();
        self.count("expired", shelf.expire(now));
        // A partner that gives an id twice must not be given the thoughts of another turn.
        let is_it = |kept: &&Kept| kept.turn.origin == *origin && kept.turn.calls == calls;
        let thoughts = shelf.turns.get(&key).filter(is_it).map(|kept| kept.turn.thoughts.clone());
        self.count(if thoughts.is_some() { "found" } else { "missing" }, 1);
        thoughts
    }

    /// Forgets what has expired. Called now and then, so that nothing outlives its time where nobody asks.
    pub(crate) fn expire(&self, now: Instant) {
        self.count("expired", self.shelf().expire(now));
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Every change of the shelf is complete before anything can panic.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &str, turns: u64) {
        if turns > 0 {
            self.counts.with_label_values(&[outcome]).inc_by(turns);
        }
    }
}

impl Shelf {
    fn insert(&mut self, key: Key, turn: Reasoned, bytes: usize, until: Instant) {
        self.number += 1;
        let age = (until, self.number);
        self.bytes += bytes;
        *self.held.entry(Arc::clone(&key.owner)).or_default() += bytes;
        self.order.insert(age, key.clone());
        self.turns.insert(key, Kept { turn, bytes, age });
    }

    fn remove(&mut self, key: &Key) {
        let Some(kept) = self.turns.remove(key) else { return };
        self.order.remove(&kept.age);
        self.bytes -= kept.bytes;
        if let Some(held) = self.held.get_mut(&key.owner) {
            *held -= kept.bytes;
            if *held == 0 {
                self.held.remove(&key.owner);
            }
        }
    }

    /// How many have gone.
    fn expire(&mut self, now: Instant) -> u64 {
        let mut gone = 0;
        while let Some((_, key)) = self.order.first_key_value().filter(|((until, _), _)| *until <= now) {
            let key = key.clone();
            self.remove(&key);
            gone += 1;
        }
        gone
    }

    /// Makes room; how many had to go.
    fn evict(&mut self) -> u64 {
        let mut gone = 0;
        while self.turns.len() > limits::THOUGHTS || self.bytes > limits::THOUGHTS_BYTES {
            let most =
                self.held.iter().max_by_key(|(owner, bytes)| (**bytes, *owner)).map(|(owner, _)| owner);
            let oldest = self.order.values().find(|key| Some(&key.owner) == most).cloned();
            let Some(oldest) = oldest else { break };
            self.remove(&oldest);
            gone += 1;
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chaperone_protocol::adapter::Dialect;
    use prometheus::Opts;

    use super::*;
    use crate::clock;

    fn thoughts() -> Thoughts {
        Thoughts::new(IntCounterVec::new(Opts::new("t", "t"), &["outcome"]).unwrap())
    }

    fn alpha() -> Origin {
        Origin { dialect: Dialect::Anthropic, partner: "team/alpha".to_owned() }
    }

    fn turn(calls: &[&str], bytes: usize) -> Reasoned {
        let thoughts = vec![Thought::Signed { text: "x".repeat(bytes), signature: calls.concat() }];
        Reasoned { origin: alpha(), calls: calls.iter().map(|id| (*id).to_owned()).collect(), thoughts }
    }

    fn count(thoughts: &Thoughts, outcome: &str) -> u64 {
        thoughts.counts.with_label_values(&[outcome]).get()
    }

    fn is_known(thoughts: &Thoughts, owner: &str, call: &str, now: Instant) -> bool {
        thoughts.recall(owner, &alpha(), &[call], now).is_some()
    }

    #[test]
    fn a_thought_is_for_its_owner_its_partner_and_its_calls_alone() {
        let (thoughts, now) = (thoughts(), clock::now());
        thoughts.keep("acme", turn(&["a", "b"], 9), now);
        let recall = |owner, origin: &Origin, calls: &[&str]| thoughts.recall(owner, origin, calls, now);
        let found = recall("acme", &alpha(), &["a", "b"]).unwrap();
        assert_eq!(found, turn(&["a", "b"], 9).thoughts);
        assert_eq!(recall("globex", &alpha(), &["a", "b"]), None);
        assert_eq!(recall("acme", &Origin { partner: "team/beta".to_owned(), ..alpha() }, &["a", "b"]), None);
        assert_eq!(recall("acme", &alpha(), &["a"]), None);
        assert_eq!(recall("acme", &alpha(), &["a", "c"]), None);
        assert_eq!(recall("acme", &alpha(), &[]), None);
        assert_eq!((count(&thoughts, "found"), count(&thoughts, "missing")), (1, 4));
    }

    #[test]
    fn a_later_turn_with_the_same_call_replaces_the_earlier_one() {
        let (thoughts, now) = (thoughts(), clock::now());
        thoughts.keep("o", turn(&["a"], 9), now);
        thoughts.keep("o", turn(&["a"], 5), now);
        assert_eq!(thoughts.recall("o", &alpha(), &["a"], now).unwrap(), turn(&["a"], 5).thoughts);
        assert_eq!(thoughts.shelf().bytes, turn(&["a"], 5).bytes());
    }

    #[test]
    fn a_thought_expires_also_where_nobody_asks() {
        let (thoughts, now) = (thoughts(), clock::now());
        thoughts.keep("o", turn(&["late"], 9), now + Duration::from_secs(1));
        thoughts.keep("o", turn(&["early"], 9), now);
        let end = now + limits::THOUGHT_LIFE;
        assert!(is_known(&thoughts, "o", "early", end - Duration::from_millis(1)));
        assert!(!is_known(&thoughts, "o", "early", end));
        assert!(is_known(&thoughts, "o", "late", end));
        thoughts.expire(end + Duration::from_secs(1));
        let shelf = thoughts.shelf();
        assert!(
            shelf.turns.is_empty() && shelf.order.is_empty() && shelf.held.is_empty() && shelf.bytes == 0
        );
    }

    #[test]
    fn who_keeps_the_most_makes_room() {
        let (thoughts, now) = (thoughts(), clock::now());
        thoughts.keep("modest", turn(&["mine"], 9), now);
        let large = limits::THOUGHT_BYTES - 2 * OVERHEAD;
        for number in 0..limits::THOUGHTS_BYTES / large + 3 {
            thoughts.keep("greedy", turn(&[&number.to_string()], large), now);
        }
        assert!(thoughts.shelf().bytes <= limits::THOUGHTS_BYTES);
        assert!(is_known(&thoughts, "modest", "mine", now), "another tenant's turns must not push it out");
        assert!(!is_known(&thoughts, "greedy", "0", now), "the oldest goes first");
        assert!(count(&thoughts, "evicted") > 0);
    }

    #[test]
    fn turns_are_bounded_in_number_and_in_size() {
        let (thoughts, now) = (thoughts(), clock::now());
        for number in 0..=limits::THOUGHTS {
            thoughts.keep("o", turn(&[&number.to_string()], 1), now);
        }
        assert_eq!(thoughts.shelf().turns.len(), limits::THOUGHTS);
        assert!(!is_known(&thoughts, "o", "0", now));
        assert_eq!(count(&thoughts, "evicted"), 1);
        thoughts.keep("o", turn(&["huge"], limits::THOUGHT_BYTES), now);
        assert!(!is_known(&thoughts, "o", "huge", now));
        assert_eq!(count(&thoughts, "too_large"), 1);
    }

    #[test]
    fn nothing_of_a_thought_is_printed() {
        let thoughts = thoughts();
        thoughts.keep("o", turn(&["id"], 9), clock::now());
        let printed = format!("{thoughts:?}");
        assert!(!printed.contains("xxxxxxxxx"), "{printed}");
    }
}

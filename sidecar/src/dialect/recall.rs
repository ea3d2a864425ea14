//! Thoughts that a client did not send back with the results of its calls: noted while the answer is written, and put
//! back before the next request is rendered for the partner that they came from.
//!
//! Only signed thoughts as the partner wrote them are noted: one that was changed on its way is not the partner's any
//! more, and a turn that lacks one goes on without thinking.

use std::collections::BTreeMap;
use std::sync::Arc;

use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::limits;
use tokio::time::Instant;

use super::{Encode, Origin, id, slot};
use crate::exchange::Failure;
use crate::neutral::{Block, Event, Part, Request, Role, Stop, Turn};
use crate::thoughts::{Reasoned, Thought, Thoughts};

/// Whose thoughts are noted and looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recall<'a> {
    pub(crate) thoughts: &'a Arc<Thoughts>,
    /// The tenant: all requests of a process are of one namespace.
    pub(crate) owner: &'a str,
    /// When the request was made ready.
    pub(crate) now: Instant,
}

/// Whether a partner of this dialect wants its thoughts back.
fn wants_them_back(dialect: Dialect) -> bool {
    match dialect {
        Dialect::Anthropic => true,
        Dialect::OpenAi | Dialect::Neutral => false,
    }
}

/// Gives the turns that wait for an answer to their calls the thoughts which led there, where the client left them out.
pub(crate) fn restore(request: &mut Request, origin: &Origin, recall: Recall<'_>) {
    if !wants_them_back(origin.dialect) {
        return;
    }
    let is_result = |part: &Part| matches!(part, Part::ToolResult { .. });
    // Behind the user's last own words. Of what is before, nobody wants thoughts back.
    let loop_of_calls = request
        .turns
        .iter_mut()
        .rev()
        .take_while(|turn| turn.role != Role::User || turn.parts.iter().any(is_result));
    for turn in loop_of_calls.filter(|turn| turn.role == Role::Assistant) {
        if !has_thoughts(turn, origin) {
            let found = recall.thoughts.recall(recall.owner, origin, &calls(turn), recall.now);
            let parts = found.into_iter().flatten().map(|thought| part(thought, origin));
            turn.parts.splice(0..0, parts.collect::<Vec<_>>());
        }
    }
}

/// Whether the client sent back what this partner believes.
fn has_thoughts(turn: &Turn, origin: &Origin) -> bool {
    let mut slots = turn.parts.iter().filter_map(|part| match part {
        Part::Reasoning { slot, .. } => slot.as_deref(),
        Part::Opaque { slot } => Some(slot.as_str()),
        Part::Text(_)
        | Part::Image(_)
        | Part::Document(_)
        | Part::CachePoint(_)
        | Part::ToolCall { .. }
        | Part::ToolResult { .. } => None,
    });
    slots.any(|envelope| slot::open(envelope, origin).is_some_and(|payload| !payload.is_empty()))
}

fn calls(turn: &Turn) -> Vec<&str> {
    let calls = turn.parts.iter().filter_map(|part| match part {
        Part::ToolCall { id, .. } => Some(id.as_str()),
        Part::Text(_)
        | Part::Image(_)
        | Part::Document(_)
        | Part::CachePoint(_)
        | Part::ToolResult { .. }
        | Part::Reasoning { .. }
        | Part::Opaque { .. } => None,
    });
    calls.collect()
}

fn part(thought: Thought, origin: &Origin) -> Part {
    match thought {
        Thought::Signed { text, signature } => {
            Part::Reasoning { text, slot: Some(slot::seal(origin, &signature)) }
        }
        Thought::Opaque { data } => Part::Opaque { slot: slot::seal(origin, &data) },
    }
}

/// Has what `encode` writes noted, where its partner will want thoughts back.
pub(crate) fn keeping(
    encode: Box<dyn Encode + Send>,
    origin: Origin,
    request_id: &str,
    recall: Recall<'_>,
) -> Box<dyn Encode + Send> {
    if !wants_them_back(origin.dialect) {
        return encode;
    }
    let Recall { thoughts, owner, now } = recall;
    let (thoughts, owner, request_id) = (Arc::clone(thoughts), owner.to_owned(), request_id.to_owned());
    let noted = Noted { calls: Vec::new(), thoughts: BTreeMap::new(), bytes: 0 };
    Box::new(Keeping { encode, thoughts, owner, now, origin, request_id, noted: Some(noted) })
}

/// An encoder, and what is noted of the answer that it writes.
struct Keeping {
    encode: Box<dyn Encode + Send>,
    thoughts: Arc<Thoughts>,
    owner: String,
    now: Instant,
    origin: Origin,
    request_id: String,
    /// `None`: there is nothing worth keeping in it any more.
    noted: Option<Noted>,
}

struct Noted {
    calls: Vec<String>,
    /// By block.
    thoughts: BTreeMap<usize, Thought>,
    bytes: usize,
}

impl Keeping {
    fn take(&mut self, event: &Event) {
        if let Event::Stop(stop) = event {
            let noted = self.noted.take().filter(|_| *stop == Stop::Tools);
            if let Some(turn) = noted.and_then(|noted| noted.turn(&self.origin)) {
                self.thoughts.keep(&self.owner, turn, self.now);
            }
            return;
        }
        let Some(noted) = &mut self.noted else { return };
        noted.take(event, &self.request_id);
        if noted.bytes > limits::THOUGHT_BYTES {
            self.noted = None;
        }
    }
}

impl Noted {
    fn take(&mut self, event: &Event, request_id: &str) {
        match event {
            Event::BlockStart { block: Block::Tool { id, .. }, .. } => {
                self.calls.push(id::of_call(id, request_id, self.calls.len()));
            }
            Event::BlockStart { index, block: Block::Reasoning } => {
                let thought = Thought::Signed { text: String::new(), signature: String::new() };
                self.thoughts.insert(*index, thought);
            }
            Event::BlockStart { index, block: Block::Opaque { data } } => {
                self.bytes = self.bytes.saturating_add(data.len());
                self.thoughts.insert(*index, Thought::Opaque { data: data.clone() });
            }
            Event::Delta { index, text: more } => {
                if let Some(Thought::Signed { text, .. }) = self.thoughts.get_mut(index) {
                    self.bytes = self.bytes.saturating_add(more.len());
                    text.push_str(more);
                }
            }
            Event::Signature { index, signature: whole } => {
                if let Some(Thought::Signed { signature, .. }) = self.thoughts.get_mut(index) {
                    self.bytes = self.bytes.saturating_add(whole.len());
                    signature.clone_from(whole);
                }
            }
            Event::Start { .. }
            | Event::BlockStart { block: Block::Text | Block::Refusal, .. }
            | Event::BlockStop { .. }
            | Event::Usage(_)
            | Event::Stop(_)
            | Event::Ping
            | Event::End => {}
        }
    }

    /// The turn, if there is one to keep: with all its thoughts, as they were signed.
    fn turn(self, origin: &Origin) -> Option<Reasoned> {
        let is_unsigned =
            |thought: &Thought| matches!(thought, Thought::Signed { signature, .. } if signature.is_empty());
        let thoughts: Vec<Thought> = self.thoughts.into_values().collect();
        if thoughts.is_empty() || thoughts.iter().any(is_unsigned) {
            return None;
        }
        Some(Reasoned { origin: origin.clone(), calls: self.calls, thoughts })
    }
}

impl Encode for Keeping {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.take(event);
        self.encode.event(event, out)
    }

    fn elapsed(&mut self, elapsed: std::time::Duration) {
        self.encode.elapsed(elapsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::metrics::Metrics;
    use crate::neutral::Usage;

    struct Silent;

    impl Encode for Silent {
        fn event(&mut self, _event: &Event, _out: &mut Vec<u8>) -> Result<(), Failure> {
            Ok(())
        }
    }

    fn alpha() -> Origin {
        Origin { dialect: Dialect::Anthropic, partner: "team/alpha".to_owned() }
    }

    /// A call and the thought before it.
    fn turn(signature: Option<&str>, stop: Stop) -> Vec<Event> {
        let tool = Block::Tool { id: "toolu_1".to_owned(), name: "weather".to_owned() };
        let signed = signature.map(|it| Event::Signature { index: 0, signature: it.to_owned() });
        let mut events = vec![
            Event::BlockStart { index: 0, block: Block::Reasoning },
            Event::Delta { index: 0, text: "It wants ".to_owned() },
            Event::Delta { index: 0, text: "the weather.".to_owned() },
        ];
        events.extend(signed);
        events.extend([
            Event::BlockStop { index: 0 },
            Event::BlockStart { index: 1, block: tool },
            Event::BlockStop { index: 1 },
            Event::Usage(Usage::default()),
            Event::Stop(stop),
            Event::End,
        ]);
        events
    }

    /// What a request that answers the call is given, after an answer of `events`.
    fn restored(events: &[Event], turns: impl FnOnce(&mut Vec<Turn>)) -> Vec<String> {
        let thoughts = Arc::new(Thoughts::new(Metrics::new().unwrap().answers.thoughts));
        let recall = Recall { thoughts: &thoughts, owner: "acme", now: clock::now() };
        let mut encode = keeping(Box::new(Silent), alpha(), "r-1", recall);
        events.iter().for_each(|event| encode.event(event, &mut Vec::new()).unwrap());
        let arguments = crate::dialect::read::arguments("").unwrap();
        let call = Part::ToolCall { id: "toolu_1".to_owned(), name: "weather".to_owned(), arguments };
        let result = Part::ToolResult { id: "toolu_1".to_owned(), parts: Vec::new(), is_error: false };
        let mut request = Request::default();
        let turn = |role, part| Turn { role, parts: vec![part] };
        request.turns = vec![turn(Role::Assistant, call), turn(Role::User, result)];
        turns(&mut request.turns);
        restore(&mut request, &alpha(), recall);
        let thought = |part: &Part| match part {
            Part::Reasoning { text, slot } => Some(format!("{text} {}", slot.as_deref().unwrap_or_default())),
            _ => None,
        };
        request.turns.iter().flat_map(|turn| &turn.parts).filter_map(thought).collect()
    }

    #[test]
    fn only_a_whole_turn_as_it_was_signed_is_given_back() {
        let sealed = slot::seal(&alpha(), "Eq");
        let whole = turn(Some("Eq"), Stop::Tools);
        assert_eq!(restored(&whole, |_| ()), [format!("It wants the weather. {sealed}")]);
        assert!(restored(&turn(None, Stop::Tools), |_| ()).is_empty(), "a thought that was changed");
        assert!(restored(&turn(Some("Eq"), Stop::Length), |_| ()).is_empty(), "a call that was cut");
        let long = Event::Delta { index: 0, text: "x".repeat(limits::THOUGHT_BYTES + 1) };
        let mut endless = whole;
        endless.insert(1, long);
        assert!(restored(&endless, |_| ()).is_empty(), "a thought without end");
    }

    #[test]
    fn what_the_app_sent_back_stands_and_what_is_over_is_not_asked_for() {
        let whole = turn(Some("Eq"), Stop::Tools);
        let echoed = |turns: &mut Vec<Turn>| {
            let slot = Some(slot::seal(&alpha(), "echoed"));
            turns[0].parts.insert(0, Part::Reasoning { text: "So.".to_owned(), slot });
        };
        assert_eq!(restored(&whole, echoed), [format!("So. {}", slot::seal(&alpha(), "echoed"))]);
        let answered = |turns: &mut Vec<Turn>| {
            turns.push(Turn { role: Role::Assistant, parts: vec![Part::Text("Sunny.".to_owned())] });
            turns.push(Turn { role: Role::User, parts: vec![Part::Text("Thanks.".to_owned())] });
        };
        assert!(restored(&whole, answered).is_empty());
    }
}

//! The turns of a conversation, brought into the form that every dialect can express.
//!
//! Neighbours of one role are one turn. Results follow their calls directly, in the order of the calls, and before
//! anything else in their turn. Ids fit every dialect, and no two calls share one. What breaks these rules beyond
//! repair is refused alike for every target.

use std::collections::BTreeSet;

use super::id;
use super::read::invalid;
use crate::neutral::{Part, Role, Turn};
use crate::refusal::Refusal;

/// A call that waits for its result.
struct Pending {
    /// The id that the client gave it.
    given: String,
    /// The id that it has from now on.
    id: String,
}

/// Brings `turns` into that form.
///
/// # Errors
/// A result without its call, or calls without results before the next turn of the assistant or the user.
pub(crate) fn settle(turns: Vec<Turn>) -> Result<Vec<Turn>, Refusal> {
    let mut turns = merge(turns);
    let mut used = BTreeSet::new();
    let mut pending = Vec::new();
    for turn in &mut turns {
        match turn.role {
            Role::System => {}
            Role::Assistant => {
                refuse_unanswered(&pending)?;
                pending = rename_calls(&mut turn.parts, &mut used);
            }
            Role::User => {
                turn.parts = answer(std::mem::take(&mut turn.parts), &pending)?;
                pending.clear();
            }
        }
    }
    Ok(turns)
}

/// Makes neighbours of one role one turn. Instructions stay apart: each is a message of its own.
pub(crate) fn merge(turns: Vec<Turn>) -> Vec<Turn> {
    let mut merged: Vec<Turn> = Vec::with_capacity(turns.len());
    for mut turn in turns {
        match merged.last_mut() {
            Some(last) if last.role == turn.role && turn.role != Role::System => {
                last.parts.append(&mut turn.parts);
            }
            _ => merged.push(turn),
        }
    }
    merged
}

/// Gives each call an id that fits and that no call before it has.
fn rename_calls(parts: &mut [Part], used: &mut BTreeSet<String>) -> Vec<Pending> {
    let mut pending = Vec::new();
    for part in parts {
        if let Part::ToolCall { id: given, .. } = part {
            let mut unique = id::fit(given);
            let mut count = 2_usize;
            while !used.insert(unique.clone()) {
                unique = id::fit(&format!("{given}#{count}"));
                count += 1;
            }
            pending.push(Pending { given: std::mem::replace(given, unique.clone()), id: unique });
        }
    }
    pending
}

/// Puts results first, in the order of their calls.
fn answer(parts: Vec<Part>, pending: &[Pending]) -> Result<Vec<Part>, Refusal> {
    let mut answered = vec![false; pending.len()];
    let mut placed: Vec<(usize, Part)> = Vec::with_capacity(parts.len());
    for mut part in parts {
        let place = match &mut part {
            Part::ToolResult { id, .. } => {
                let call = (0..pending.len()).find(|call| !answered[*call] && pending[*call].given == *id);
                let call = call.ok_or_else(|| {
                    invalid(&format!("tool result {id:?}"), "no call with this id comes directly before it")
                })?;
                answered[call] = true;
                id.clone_from(&pending[call].id);
                call
            }
            // It belongs to the part before it.
            Part::CachePoint(_) => placed.last().map_or(usize::MAX, |(place, _)| *place),
            Part::Text(_)
            | Part::Image(_)
            | Part::Document(_)
            | Part::ToolCall { .. }
            | Part::Reasoning { .. }
            | Part::Opaque { .. } => usize::MAX,
        };
        placed.push((place, part));
    }
    if let Some(call) = answered.iter().position(|answered| !answered) {
        return Err(unanswered(&pending[call]));
    }
    placed.sort_by_key(|(place, _)| *place);
    Ok(placed.into_iter().map(|(_, part)| part).collect())
}

fn refuse_unanswered(pending: &[Pending]) -> Result<(), Refusal> {
    pending.first().map_or(Ok(()), |call| Err(unanswered(call)))
}

fn unanswered(call: &Pending) -> Refusal {
    invalid(&format!("tool call {:?}", call.given), "has no result before the next turn")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::read::arguments;

    fn call(id: &str) -> Part {
        Part::ToolCall { id: id.to_owned(), name: "search".to_owned(), arguments: arguments("").unwrap() }
    }

    fn result(id: &str) -> Part {
        Part::ToolResult { id: id.to_owned(), parts: Vec::new(), is_error: false }
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    fn turn(role: Role, parts: Vec<Part>) -> Turn {
        Turn { role, parts }
    }

    fn outline(turns: &[Turn]) -> Vec<String> {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::ToolCall { id, .. } => format!("call {id}"),
            Part::ToolResult { id, .. } => format!("result {id}"),
            _ => "other".to_owned(),
        };
        turns
            .iter()
            .map(|turn| {
                format!("{:?}: {}", turn.role, turn.parts.iter().map(part).collect::<Vec<_>>().join(", "))
            })
            .collect()
    }

    #[test]
    fn results_follow_in_the_order_of_their_calls() {
        let turns = vec![
            turn(Role::User, vec![text("hi")]),
            turn(Role::Assistant, vec![call("a"), call("b")]),
            turn(Role::User, vec![result("b")]),
            turn(Role::User, vec![result("a")]),
            turn(Role::User, vec![text("and?")]),
        ];
        let settled = settle(turns).unwrap_or_default();
        assert_eq!(
            outline(&settled),
            ["User: hi", "Assistant: call a, call b", "User: result a, result b, and?"]
        );
    }

    #[test]
    fn repeated_ids_become_unique_in_order() {
        let round = || {
            [
                turn(Role::Assistant, vec![call("x"), call("x")]),
                turn(Role::User, vec![result("x"), result("x")]),
            ]
        };
        let turns: Vec<Turn> = round().into_iter().chain(round()).collect();
        let settled = settle(turns).unwrap_or_default();
        let ids: Vec<String> = settled
            .iter()
            .flat_map(|turn| &turn.parts)
            .filter_map(|part| match part {
                Part::ToolCall { id, .. } | Part::ToolResult { id, .. } => Some(id.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(ids[0], "x");
        assert_eq!(ids[0..2], ids[2..4]);
        assert_eq!(ids[4..6], ids[6..8]);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 4);
        assert!(ids.iter().all(|id| id::fits(id)));
    }

    #[test]
    fn a_call_and_its_result_come_together() {
        let lonely = settle(vec![turn(Role::User, vec![result("a")])]);
        assert!(lonely.err().is_some_and(|refusal| refusal.message.contains("\"a\"")));
        let unanswered = settle(vec![
            turn(Role::Assistant, vec![call("a"), call("b")]),
            turn(Role::User, vec![result("a"), text("go on")]),
        ]);
        assert!(unanswered.err().is_some_and(|refusal| refusal.message.contains("\"b\"")));
        let next = settle(vec![
            turn(Role::Assistant, vec![call("a")]),
            turn(Role::System, vec![text("be brief")]),
            turn(Role::Assistant, vec![text("so")]),
        ]);
        assert!(next.err().is_some_and(|refusal| refusal.message.contains("\"a\"")));
    }
}

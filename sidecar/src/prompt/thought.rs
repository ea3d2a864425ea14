//! Signed thoughts of earlier turns. Their partner takes them back only as it wrote them, so they are never edited: one
//! that holds personal data is left out whole, and the turn goes on without thinking.

use std::ops::Range;

use crate::json::{self, ELSEWHERE, Edit, Map, Member, Place, ROOT, Rule, Want};

const MESSAGES: Place = Place(1);
const MESSAGE: Place = Place(2);
const PARTS: Place = Place(3);
const PART: Place = Place(4);

const fn rule(at: Place, key: &'static str, then: Place) -> Rule {
    Rule { at, key, then, want: Want::Range }
}

const THOUGHTS: Map = Map {
    rules: &[
        rule(ROOT, "thinking", ELSEWHERE),
        rule(ROOT, "messages", MESSAGES),
        rule(MESSAGE, "content", PARTS),
        rule(PART, "type", ELSEWHERE),
        rule(PART, "thinking", ELSEWHERE),
        rule(PART, "signature", ELSEWHERE),
    ],
    elements: &[(MESSAGES, MESSAGE), (PARTS, PART)],
};

/// Joins `edits` with cuts of the signed thoughts that they would change; whether there were any.
pub(super) fn spare(body: &[u8], edits: Vec<Edit>) -> (Vec<Edit>, bool) {
    if edits.is_empty() || memchr::memmem::find(body, b"\"signature\"").is_none() {
        return (edits, false);
    }
    let skim = json::skim(body, &THOUGHTS).unwrap_or_default();
    let is_signed = |thought: &&Member| skim.all(PART, "signature").any(|it| it.trail == thought.trail);
    let is_changed = |thought: &&Member| edits.iter().any(|edit| within(&edit.range, &thought.value));
    let mut cuts: Vec<Edit> = Vec::new();
    for thought in skim.all(PART, "thinking").filter(is_signed).filter(is_changed) {
        let members: Vec<&Member> =
            skim.members.iter().filter(|it| it.at == PART && it.trail == thought.trail).collect();
        cuts.extend(block(body, &members).map(|block| Edit::cut(body, &block)));
    }
    if cuts.is_empty() {
        return (edits, false);
    }
    cuts.extend(skim.get(ROOT, "thinking").map(|thinking| Edit::cut(body, thinking)));
    let kept = edits.into_iter().filter(|edit| !cuts.iter().any(|cut| within(&edit.range, &cut.range)));
    let kept: Vec<Edit> = kept.collect();
    (kept.into_iter().chain(cuts).collect(), true)
}

/// The object that has just these members. One that has others is none of the API's, and is left to the partner to judge.
fn block(body: &[u8], members: &[&Member]) -> Option<Member> {
    let first = members.iter().min_by_key(|member| member.key.start)?;
    let last = members.iter().max_by_key(|member| member.value.end)?;
    let before = body.get(..first.key.start)?;
    let start = before.iter().rposition(|byte| !json::is_blank(*byte))?;
    let after = body.get(last.value.end..)?;
    let end = last.value.end + after.iter().position(|byte| !json::is_blank(*byte))?;
    let is_object = body.get(start) == Some(&b'{') && body.get(end) == Some(&b'}');
    is_object.then(|| Member { key: start..start, value: start..end + 1, ..(*first).clone() })
}

fn within(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// With every `ann` replaced.
    fn spared(body: &str) -> (String, bool) {
        let body = Bytes::from(body.to_owned());
        let edits = memchr::memmem::find_iter(&body, "ann").map(|at| Edit::new(at..at + 3, "****")).collect();
        let (edits, cut) = spare(&body, edits);
        (String::from_utf8(json::splice(&body, edits).concat()).unwrap(), cut)
    }

    #[test]
    fn a_signed_thought_is_left_out_whole_and_never_edited() {
        let body = |thoughts: &str, text: &str, thinking: &str| {
            format!(
                r#"{{{thinking}"messages":[{{"role":"assistant","content":[{thoughts}{{"type":"text","text":"{text}"}}]}}]}}"#
            )
        };
        let thinking = r#""thinking":{"type":"enabled","budget_tokens":9},"#;
        let signed = r#"{"type":"thinking", "thinking":"it is ann", "signature":"x+/="},"#;
        let other = r#"{"type":"thinking","thinking":"it is so","signature":"y"},"#;
        let both = format!("{other}{signed}");
        assert_eq!(spared(&body(&both, "Hi ann", thinking)), (body(other, "Hi ****", ""), true));
        let unsigned = r#"{"type":"thinking","thinking":"it is ann"},"#;
        let edited = unsigned.replace("ann", "****");
        assert_eq!(spared(&body(unsigned, "Hi", thinking)), (body(&edited, "Hi", thinking), false));
        assert_eq!(spared(&body(other, "Hi ann", thinking)), (body(other, "Hi ****", thinking), false));
    }
}

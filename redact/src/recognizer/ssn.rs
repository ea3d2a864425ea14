//! United States social security numbers.

use super::number::{Number, Shape, ends_cleanly};
use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

const CUES: &[CueGroup] = &[CueGroup::Ssn];
static GROUPED: Rule = Rule::new("ssn", Entity::Ssn, 60, 95).beside(CUES);
static BARE: Rule = Rule::new("ssn-bare", Entity::Ssn, 5, 60).beside(CUES);
/// Numbers that were printed in advertisements: public, so they count in Strict only.
static SAMPLE: Rule = Rule::new("ssn-sample", Entity::Ssn, 40, 40).unmoved();

/// Grouped 3-2-4 with one kind of separator, or nine bare digits.
pub(super) fn number(out: &mut Candidates<'_>, number: &Number<'_>) {
    let text = out.text;
    let count = if number.shaped(const { Shape::of(&[3, 2, 4]) }) {
        3
    } else if number.shaped(const { Shape::of(&[9]) }) {
        1
    } else {
        return;
    };
    let range = number.start()..number.end(count - 1);
    if !number.begins_cleanly() || !ends_cleanly(text, range.end) {
        return;
    }
    if count == 3 && !matches!(number.uniform(3), Some(b'-' | b' ' | b'.')) {
        return out.reject(&GROUPED, range, "the separators differ");
    }
    let digits = number.digits(count);
    if let Some(why) = impossible(digits) {
        return out.reject(&GROUPED, range, why);
    }
    let rule = match (digits, count) {
        ([0, 7, 8, 0, 5, 1, 1, 2, 0] | [2, 1, 9, 0, 9, 9, 9, 9, 9], _) => &SAMPLE,
        (_, 3) => &GROUPED,
        _ => &BARE,
    };
    out.propose(rule, range);
}

fn impossible(digits: &[u8]) -> Option<&'static str> {
    if digits[0] == 9 {
        return Some("areas from 900 on are not issued");
    }
    if digits[..3] == [0, 0, 0] || digits[..3] == [6, 6, 6] {
        return Some("area 000 and 666 are not issued");
    }
    if digits[3..5] == [0, 0] {
        return Some("group 00 is not issued");
    }
    (digits[5..] == [0, 0, 0, 0]).then_some("serial 0000 is not issued")
}

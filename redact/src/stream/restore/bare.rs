//! Bare tags: the five characters alone, exactly as minted, right behind the word of their label.

use super::Input;
use super::needle::{Found, Needles};

/// Characters that may stand between label and tag: "Person (7Q4FX)", "PERSON: #7Q4FX".
const GAP: usize = 3;

/// The variable part of a live placeholder.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) code: Vec<u8>,
    /// In small letters.
    pub(super) label: Vec<u8>,
    pub(super) index: usize,
}

impl Needles {
    /// The live tag that `text` begins with, if the label's word stands right `before` it.
    pub(super) fn find_bare(&self, before: &[u8], text: &[u8], input: Input) -> Found {
        let Some(first) = text.first() else { return Found::No };
        let from = self.codes.partition_point(|code| code.code[0] < *first);
        let mut open = false;
        for code in self.codes[from..].iter().take_while(|code| code.code[0] == *first) {
            let known = text.len().min(code.code.len());
            if text[..known] != code.code[..known] || !follows(before, &code.label) {
                continue;
            }
            match text.get(code.code.len()) {
                None if input == Input::More => open = true,
                None if known < code.code.len() => {}
                Some(next) if next.is_ascii_alphanumeric() => {}
                _ => return Found::Whole { len: known, needle: code.index },
            }
        }
        if open { Found::Open } else { Found::No }
    }
}

/// Whether `before` ends with the word of a label and one to three other characters.
fn follows(before: &[u8], label: &[u8]) -> bool {
    let gap = before.iter().rev().take_while(|byte| !byte.is_ascii_alphanumeric()).count();
    let (word, gap) = before.split_at(before.len() - gap);
    let characters = gap.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
    if !(1..=GAP).contains(&characters) || word.len() < label.len() {
        return false;
    }
    let (start, word) = word.split_at(word.len() - label.len());
    let same = |(byte, wanted): (&u8, &u8)| {
        byte.eq_ignore_ascii_case(wanted) || (*wanted == b'_' && matches!(byte, b' ' | b'-'))
    };
    word.iter().zip(label).all(same) && !start.last().is_some_and(u8::is_ascii_alphanumeric)
}

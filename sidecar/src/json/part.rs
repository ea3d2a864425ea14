//! The parts of an array or an object, which commas divide, and how to take some of them away.

use std::ops::Range;

use bytes::Bytes;

use super::{Edit, is_blank};

/// The parts of the array or object at `whole`, without the blanks around them. The text must have passed
/// [`super::skim`].
pub(crate) fn parts(body: &[u8], whole: &Range<usize>) -> Vec<Range<usize>> {
    let inside = whole.start + 1..whole.end.saturating_sub(1);
    let (mut parts, mut start) = (Vec::new(), inside.start);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for at in inside.clone() {
        let byte = body.get(at).copied().unwrap_or_default();
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(trimmed(body, start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = trimmed(body, start..inside.end);
    parts.extend(Some(last).filter(|last| !last.is_empty()));
    parts
}

fn trimmed(body: &[u8], range: Range<usize>) -> Range<usize> {
    let text = body.get(range.clone()).unwrap_or_default();
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    let behind = text.iter().rev().take_while(|byte| is_blank(**byte)).count();
    let start = range.start + blanks;
    start..start.max(range.end - behind)
}

/// Takes every part away for which `is_cut` says so, with the commas that it leaves over. No two edits overlap.
pub(crate) fn cut_parts(parts: &[Range<usize>], is_cut: impl Fn(usize) -> bool) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut index = 0;
    while index < parts.len() {
        let run = (index..parts.len()).take_while(|index| is_cut(*index)).count();
        if let Some(last) = parts.get(index..index + run).and_then(<[_]>::last) {
            // With the comma before the run; at the beginning, with the one behind it.
            let before = index.checked_sub(1).and_then(|before| parts.get(before)).map(|part| part.end);
            let behind = parts.get(index + run).map_or(last.end, |part| part.start);
            let range = before.map_or(parts[index].start..behind, |start| start..last.end);
            edits.push(Edit::new(range, Bytes::new()));
        }
        index += run + 1;
    }
    edits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::json::splice;

    #[test]
    fn commas_in_strings_and_inside_divide_nothing() {
        let text = br#"[ "a,\"b]" , {"c":[1,2]},3 ]"#;
        let found = parts(text, &(0..text.len()));
        let found: Vec<&str> =
            found.into_iter().map(|range| std::str::from_utf8(&text[range]).unwrap()).collect();
        assert_eq!(found, [r#""a,\"b]""#, r#"{"c":[1,2]}"#, "3"]);
        assert!(parts(b"[ ]", &(0..3)).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_rest(kept in prop::collection::vec(any::<bool>(), 0..8), gap in "[ \n]{0,2}") {
            let values: Vec<Value> = (0..kept.len()).map(|index| json!({"i": index, "s": "x,]\\"})).collect();
            let divider = format!("{gap},{gap}");
            let inside = values.iter().map(Value::to_string).collect::<Vec<_>>().join(&divider);
            let text = Bytes::from(format!("[{gap}{inside}{gap}]"));
            let found = parts(&text, &(0..text.len()));
            prop_assert_eq!(found.len(), values.len());
            let left = splice(&text, cut_parts(&found, |index| !kept[index])).concat();
            let left: Vec<Value> = serde_json::from_slice(&left).unwrap();
            let expected = values.into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(value, _)| value);
            prop_assert_eq!(left, expected.collect::<Vec<_>>());
        }
    }
}

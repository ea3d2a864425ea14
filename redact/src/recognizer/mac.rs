//! Hardware addresses: six pairs with one separator, or three groups of four with dots.

use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

static MAC: Rule = Rule::new("mac", Entity::MacAddress, 80, 95).beside(&[CueGroup::Mac]).unmoved();

/// An address that begins at `start`.
pub(super) fn address(out: &mut Candidates<'_>, start: usize) {
    let text = out.text;
    let hex = text[start..].iter().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (separator, groups) = match (hex, text.get(start + hex)) {
        (2, Some(separator @ (b':' | b'-'))) => (*separator, 6),
        (4, Some(b'.')) => (b'.', 3),
        _ => return,
    };
    if out.before(start).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        || follows_group(&text[..start], separator)
    {
        return;
    }
    let step = hex + 1;
    let end = start + groups * step - 1;
    let Some(address) = text.get(start..end) else { return };
    let formed = address.chunks(step).all(|group| {
        group[..hex].iter().all(u8::is_ascii_hexdigit) && group.get(hex).is_none_or(|byte| *byte == separator)
    });
    let goes_on = text.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        || (text.get(end) == Some(&separator) && text.get(end + 1).is_some_and(u8::is_ascii_hexdigit));
    if !formed || goes_on {
        return;
    }
    if hex == 4 && address.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
        return out.reject(&MAC, start..end, "groups of digits are not a hardware address");
    }
    if address.iter().filter(|byte| **byte != separator).all(|byte| *byte == b'0') {
        return out.reject(&MAC, start..end, "all zero is no device");
    }
    out.settle(&MAC, start..end);
}

/// Whether a group of something longer stands before: "addr:" is none.
fn follows_group(before: &[u8], separator: u8) -> bool {
    let Some(before) = before.strip_suffix(&[separator]) else { return false };
    let word =
        before.iter().rev().take(3).take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80).count();
    separator != b':' || word < 3
}

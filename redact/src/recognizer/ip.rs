//! IPv4 and IPv6 addresses; prefix length and port stay outside.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::number::Number;
use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

const CUES: &[CueGroup] = &[CueGroup::Ip];
static V4: Rule = Rule::new("ipv4", Entity::Ip, 70, 90).beside(CUES);
/// Four small numbers are more often a version.
static V4_SMALL: Rule = Rule::new("ipv4-small", Entity::Ip, 45, 90).beside(CUES);
static V6: Rule = Rule::new("ipv6", Entity::Ip, 70, 90).checked("IPv6 syntax").beside(CUES);
/// Says nothing about anybody: Strict only.
static LOOPBACK: Rule = Rule::new("ip-loopback", Entity::Ip, 40, 40).unmoved();

/// Longest text form of an IPv6 address, with an embedded IPv4 address.
const LONGEST_V6: usize = 45;

/// A strict dotted quad.
pub(super) fn version_4(out: &mut Candidates<'_>, number: &Number<'_>) {
    let Some(end) = quad(out.text, number) else { return };
    let start = number.start();
    if goes_before(&out.text[..start]) {
        return;
    }
    let first = number.digits(4);
    let range = start..end;
    if out.text[start..end].starts_with(b"127.") || first.iter().all(|digit| *digit == 0) {
        out.propose(&LOOPBACK, range);
    } else {
        out.propose(if like_version(out.text, &range) { &V4_SMALL } else { &V4 }, range);
    }
}

/// The end of a longer row, or of an address of version 6: but "80:10.8.0.4" is a port and an address.
fn goes_before(before: &[u8]) -> bool {
    match before {
        [.., last, b'.'] => last.is_ascii_alphanumeric() || *last == b':',
        [.., b':', b':'] => true,
        [rest @ .., b':'] => {
            let group = rest.iter().rev().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
            group > 0 && rest[..rest.len() - group].ends_with(b":")
        }
        _ => false,
    }
}

/// Behind a word and a mark ("nginx/1.25.3.1", `foo==1.2.3.4`), without port and prefix length, and all numbers below 32: "protobuf
/// 3.21.12.0". Private networks begin with 10.
fn like_version(text: &[u8], range: &Range<usize>) -> bool {
    let behind_word = matches!(text[..range.start], [.., word, b' '] if word.is_ascii_alphanumeric() || word >= 0x80)
        || text[..range.start].ends_with(b"==")
        || matches!(text[..range.start], [.., letter, b'/' | b'-'] if letter.is_ascii_alphabetic());
    let plain = !matches!(text.get(range.end), Some(b':' | b'/')) && !text[range.end..].starts_with(b" port");
    let small = |group: &[u8]| group.len() == 1 || (group.len() == 2 && group < b"32".as_slice());
    let mut groups = text[range.clone()].split(|byte| *byte == b'.');
    // Second numbers of releases are often zero.
    let release = groups.clone().next().is_some_and(small) && groups.clone().nth(1) == Some(b"0");
    let private = text[range.clone()].starts_with(b"10.");
    behind_word && plain && !private && (release || groups.all(small))
}

fn quad(text: &[u8], number: &Number<'_>) -> Option<usize> {
    if number.len() < 4 || number.uniform(4) != Some(b'.') {
        return None;
    }
    for index in 0..4 {
        let group = &text[number.group(index)];
        let value = group.iter().fold(0_u32, |sum, digit| (sum * 10 + u32::from(digit - b'0')).min(1000));
        if value > 255 || (group.len() > 1 && group[0] == b'0') {
            return None;
        }
    }
    let end = number.end(3);
    let goes_on = match text.get(end) {
        Some(b'.') => text.get(end + 1).is_some_and(u8::is_ascii_alphanumeric),
        Some(b'-') => text.get(end + 1).is_some_and(u8::is_ascii_alphabetic),
        Some(byte) => byte.is_ascii_alphanumeric() || *byte == b'_',
        None => false,
    };
    (!goes_on).then_some(end)
}

/// An IPv6 address that begins at `start`: a hex group or the first of two colons.
pub(super) fn version_6(out: &mut Candidates<'_>, start: usize) {
    let text = out.text;
    let first = &text[start..text.len().min(start + 6)];
    let hex = first.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if hex > 4 || first.get(hex) != Some(&b':') || (hex == 0 && first.get(1) != Some(&b':')) {
        return;
    }
    if out
        .before(start)
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'_' | b'-'))
    {
        return;
    }
    let rest = &text[start..text.len().min(start + LONGEST_V6 + 1)];
    let (mut len, mut colons) = (0, 0);
    for byte in rest.iter().take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')) {
        len += 1;
        colons += usize::from(*byte == b':');
    }
    out.work += len as u64;
    while len > 0 && (rest[len - 1] == b'.' || (rest[len - 1] == b':' && !rest[..len].ends_with(b"::"))) {
        len -= 1;
    }
    if rest.get(len).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return;
    }
    // Seven colons part eight groups, of which an embedded address stands for two, or two of them for any number.
    if colons >= 6 || out.text[start..start + len].windows(2).any(|pair| pair == b"::") {
        judge_6(out, start, start + len);
    }
}

fn judge_6(out: &mut Candidates<'_>, start: usize, end: usize) {
    let Some(address) =
        std::str::from_utf8(&out.text[start..end]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok())
    else {
        return;
    };
    let groups = out.text[start..end].split(|byte| *byte == b':').filter(|group| !group.is_empty()).count();
    let text = &out.text[start..end];
    let pairs = text.split(|byte| *byte == b':').all(|group| group.len() == 2);
    if pairs {
        return out.reject(&V6, start..end, "eight pairs are an EUI-64");
    }
    let code = groups < 2 || (groups < 4 && !text.iter().any(u8::is_ascii_digit));
    if address.is_loopback() || address.is_unspecified() {
        out.propose(&LOOPBACK, start..end);
    } else if code {
        out.reject(&V6, start..end, "names beside two colons are code");
    } else {
        out.settle(&V6, start..end);
    }
}

//! E-mail addresses, in any script.

use std::ops::Range;

use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

static EMAIL: Rule = Rule::new("email", Entity::Email, 95, 95).unmoved();

/// RFC 5321 allows 64 bytes; other scripts need up to three bytes per letter.
const MAX_LOCAL: usize = 64 * 3;
const MAX_DOMAIN: usize = 253;
/// What follows `@` in package and image names and is no domain.
const FILE_SUFFIXES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "json", "md", "txt", "py", "rs", "yaml",
    "yml", "html", "avif", "ico", "pdf",
];

/// Looks both ways from an `@`.
pub(super) fn around(out: &mut Candidates<'_>, at: usize) {
    let domain = domain(out.text, at + 1);
    if domain.is_empty() {
        return;
    }
    let local = local_part(out.text, at);
    out.work += (local.len() + domain.len()) as u64;
    let range = local.start..domain.end;
    if local.is_empty() {
        return;
    }
    match refuse(out.text, &local, &domain) {
        Some(why) => out.reject(&EMAIL, range, why),
        None => out.settle(&EMAIL, range),
    }
}

fn is_local(byte: u8) -> bool {
    byte >= 0x80
        || byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'(' | b')' | b',' | b':'..=b'<' | b'>' | b'@' | b'['..=b']')
}

/// The local part: to the left, without leading dots or quotes, from the last change of script on.
fn local_part(text: &[u8], at: usize) -> Range<usize> {
    let floor = at.saturating_sub(MAX_LOCAL);
    let mut start = at;
    while start > floor && is_local(text[start - 1]) {
        start -= 1;
    }
    // Query strings, assignments and markup are not part of the address.
    let marks = |at: &usize| match text[*at] {
        b'=' | b'?' | b'&' | b'/' | b'|' | b'`' | b'{' | b'}' | b'*' => true,
        b'\'' => !elides(text, *at),
        _ => false,
    };
    if let Some(cut) = (start..at).rev().find(marks) {
        start = cut + 1;
    }
    start = after_script_change(text, start, at);
    while start < at && !(text[start].is_ascii_alphanumeric() || text[start] >= 0x80 || text[start] == b'_') {
        start += 1;
    }
    start..at
}

/// The apostrophe of "o'neil@", not the quote of `f'ann@…'`.
fn elides(text: &[u8], at: usize) -> bool {
    let [.., mark, letter] = text[..at] else {
        return text[..at].iter().all(u8::is_ascii_alphabetic) && at == 1;
    };
    let single = letter.is_ascii_alphabetic() && !mark.is_ascii_alphanumeric() && mark < 0x80;
    let closed =
        text[at + 1..].iter().take(MAX_LOCAL).find(|byte| byte.is_ascii_whitespace() || **byte == b'\'');
    single && text.get(at + 1).is_some_and(u8::is_ascii_alphabetic) && closed != Some(&b'\'')
}

/// Chinese, Japanese and Korean have no spaces: a change to Latin is where the address begins.
fn after_script_change(text: &[u8], start: usize, at: usize) -> usize {
    if text[start..at].is_ascii() {
        return start;
    }
    let Ok(local) = std::str::from_utf8(&text[start..at]) else { return start };
    let ends_latin = local.chars().next_back().is_some_and(|last| !is_wide(last));
    let cut = local.char_indices().rev().find(|(_, letter)| ends_latin && is_wide(*letter));
    cut.map_or(start, |(index, letter)| start + index + letter.len_utf8())
}

fn is_wide(letter: char) -> bool {
    matches!(u32::from(letter), 0x2E80..=0x9FFF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0xFF00..=0xFFEF | 0x20000..=0x2FFFF)
}

/// Labels joined by dots; a last label that cannot be a top level domain is left out.
fn domain(text: &[u8], start: usize) -> Range<usize> {
    let rest = &text[start..text.len().min(start + MAX_DOMAIN)];
    let run = rest.iter().take_while(|byte| {
        byte.is_ascii_alphanumeric() || **byte >= 0x80 || **byte == b'-' || **byte == b'.'
    });
    let mut end = start + run.count();
    let run = &text[start..end];
    if let Some(run) = std::str::from_utf8(run).ok().filter(|run| !run.is_ascii()) {
        let first_wide = run.chars().next().is_some_and(is_wide);
        let cut = run.char_indices().find(|(_, letter)| !first_wide && is_wide(*letter));
        end = cut.map_or(end, |(index, _)| start + index);
    }
    while end > start && matches!(text[end - 1], b'.' | b'-') {
        end -= 1;
    }
    start..end
}

fn refuse(text: &[u8], local: &Range<usize>, domain: &Range<usize>) -> Option<&'static str> {
    let before = local.start.checked_sub(1).map(|at| text[at]);
    let local = &text[local.clone()];
    if local.is_ascii() && local.len() > 64 {
        return Some("the local part is longer than 64 bytes");
    }
    if local.last() == Some(&b'.') {
        return Some("the local part ends with a dot");
    }
    let after = text.get(domain.end);
    let Ok(name) = std::str::from_utf8(&text[domain.clone()]) else { return Some("the domain is broken") };
    let is_label = |label: &[u8]| {
        (1..=63).contains(&label.len()) && label.first() != Some(&b'-') && label.last() != Some(&b'-')
    };
    let Some((_, top)) =
        name.rsplit_once('.').filter(|_| name.as_bytes().split(|byte| *byte == b'.').all(is_label))
    else {
        return Some("the domain has no valid labels");
    };
    if FILE_SUFFIXES.iter().any(|suffix| top.eq_ignore_ascii_case(suffix)) {
        return Some("it ends like a file name");
    }
    if !(top.starts_with("xn--") || (top.chars().count() >= 2 && top.chars().all(char::is_alphabetic))) {
        return Some("the top level domain is not alphabetic");
    }
    if after == Some(&b':')
        && text
            .get(domain.end + 1)
            .is_some_and(|next| next.is_ascii_alphanumeric() || matches!(next, b'/' | b'~' | b'.'))
    {
        return Some("it is a remote of scp or git");
    }
    (before == Some(b'/') || before == Some(b':'))
        .then(|| userinfo(text, domain.start - 1 - local.len()))
        .flatten()
}

/// `scheme://user@host` and `scheme://user:password@host` name a login, not a mailbox.
fn userinfo(text: &[u8], start: usize) -> Option<&'static str> {
    let before = &text[start.saturating_sub(64)..start];
    let begins =
        before.iter().rposition(|byte| byte.is_ascii_whitespace() || *byte == b'"').map_or(0, |at| at + 1);
    let word = &before[begins..];
    word.windows(3).any(|part| part == b"://").then_some("it is the userinfo of a URL")
}

//! E-mail addresses in disguise: `%40`, `&#64;`, `ann [at] example [dot] org`.
//!
//! Decoded only around the cue and one level deep; anything deeper is out of scope.

use std::ops::Range;

use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

static ENCODED: Rule = Rule::new("email-encoded", Entity::Email, 85, 85).unmoved();
static SPELLED: Rule = Rule::new("email-spelled", Entity::Email, 60, 60).unmoved();

/// Top level domains that people spell out; without brackets any other word is just a word.
const SPOKEN: &[&str] = &[
    "com", "org", "net", "edu", "gov", "io", "de", "uk", "fr", "es", "it", "eu", "info", "biz", "us", "ca",
    "ch", "nl", "ai", "dev", "app", "me", "example", "test",
];

/// Words before "at" that speak of a place on the web, not of a mailbox.
const PLACED: &[&str] = &[
    "look",
    "looking",
    "looked",
    "see",
    "me",
    "us",
    "it",
    "them",
    "is",
    "are",
    "was",
    "here",
    "there",
    "available",
    "hosted",
    "find",
    "found",
    "visit",
    "site",
    "page",
    "website",
    "online",
    "live",
    "work",
    "works",
    "meet",
    "start",
];

/// Longest part on either side.
const LONGEST: usize = 100;

/// A percent sign or an ampersand that may stand for `@`.
pub(super) fn mark(out: &mut Candidates<'_>, at: usize) {
    let text = out.text;
    let forms = [b"%40".as_slice(), b"&#64;", b"&#x40;", b"&commat;"];
    let Some(form) = forms.into_iter().find(|form| text[at..].starts_with(form)) else { return };
    let start = at + form.len();
    let Some(end) = domain(text, start, text.len().min(start + LONGEST)) else { return };
    let local =
        text[..at].iter().rev().take(LONGEST).take_while(|byte| is_part(**byte) || **byte == b'%').count();
    out.work += (local + end - start) as u64;
    if local > 0 {
        out.settle(&ENCODED, at - local..end);
    }
}

const fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+')
}

/// The end of a domain whose dots may be encoded.
fn domain(text: &[u8], start: usize, limit: usize) -> Option<usize> {
    let mut at = start;
    let mut dots = 0;
    let mut last = 0;
    let mut end = None;
    while at < limit {
        let dot = [b".".as_slice(), b"%2E", b"%2e", b"&#46;", b"&period;"]
            .into_iter()
            .find(|dot| text[at..limit].starts_with(dot));
        if let Some(dot) = dot {
            dots += 1;
            last = 0;
            at += dot.len();
        } else if text[at].is_ascii_alphanumeric() || text[at] == b'-' {
            last += 1;
            at += 1;
            let whole = text.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
            end = (dots > 0 && last >= 2 && whole && text[at - last..at].iter().all(u8::is_ascii_alphabetic))
                .then_some(at)
                .or(end);
        } else {
            break;
        }
    }
    end
}

/// The word "at" between a name and labels that the word "dot" joins: both are needed.
pub(super) fn spelled(out: &mut Candidates<'_>, word: &Range<usize>) {
    let text = out.text;
    if !text[word.clone()].eq_ignore_ascii_case(b"at") {
        return;
    }
    let before = text[..word.start].iter().rev().take(3).take_while(|byte| b" [({<".contains(byte)).count();
    let end = word.start - before;
    let start = local_start(text, end);
    let bracketed = text.get(word.end).is_some_and(|byte| b"])}>".contains(byte));
    let mut at = word.end;
    let mut labels = 0;
    let mut address_end = None;
    loop {
        at += text[at..].iter().take(3).take_while(|byte| b" ])}>[({<".contains(byte)).count();
        let len = text[at..]
            .iter()
            .take(64)
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
            .count();
        out.work += len as u64;
        labels += 1;
        let last = &text[at..at + len];
        let spoken = SPOKEN.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(last));
        if labels > 1 && len >= 2 && last.iter().all(u8::is_ascii_alphabetic) && (bracketed || spoken) {
            address_end = Some(at + len);
        }
        let Some(next) = dot(text, at + len).filter(|_| len > 0 && labels < 5) else { break };
        at = next;
    }
    let name = &text[start..end];
    let placed = !bracketed && PLACED.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name));
    if let (Some(address_end), true) = (address_end, before > 0 && start < end && !placed) {
        out.propose(&SPELLED, start..address_end);
    }
}

/// The start of a local part that ends at `end`, with the dots that it spells out: "ann dot lee".
fn local_start(text: &[u8], end: usize) -> usize {
    const DOTS: [&[u8]; 5] = [b" dot ", b" [dot] ", b"[dot]", b" (dot) ", b"(dot)"];
    let part = |end: usize| text[..end].iter().rev().take(LONGEST).take_while(|byte| is_part(**byte)).count();
    let mut start = end - part(end);
    for _ in 0..3 {
        let before = DOTS.into_iter().find_map(|dot| text[..start].strip_suffix(dot)).map(<[u8]>::len);
        let Some(before) = before.filter(|before| part(*before) > 0) else { break };
        start = before - part(before);
    }
    start
}

/// The end of " dot " or "[dot]" at `at`.
fn dot(text: &[u8], at: usize) -> Option<usize> {
    let gap = text[at..].iter().take(3).take_while(|byte| b" [({<".contains(byte)).count();
    let word = text.get(at + gap..at + gap + 3)?;
    let after = text.get(at + gap + 3).is_some_and(|byte| b" ])}>".contains(byte));
    (gap > 0 && after && word.eq_ignore_ascii_case(b"dot")).then_some(at + gap + 3)
}

#[cfg(test)]
mod tests {
    use crate::{Entity, Filter, Policy, PolicySpec, Query, find};

    fn emails(text: &str) -> Vec<&str> {
        let spec = PolicySpec {
            filter: Filter::Balanced,
            entities: Some(vec![Entity::Email]),
            ..PolicySpec::default()
        };
        let policy = Policy::compile(&spec).unwrap();
        let spans = find(text, &Query::new(&policy)).unwrap().spans;
        spans.iter().map(|span| text.get(span.range.clone()).unwrap()).collect()
    }

    #[test]
    fn disguised_addresses_are_found() {
        for (text, wanted) in [
            ("?to=ann%40example.org&x=1", "ann%40example.org"),
            ("ann%2Btag%40example%2Eorg", "ann%2Btag%40example%2Eorg"),
            ("<a>ann&#64;example&#46;org</a>", "ann&#64;example&#46;org"),
            ("write ann [at] example [dot] org now", "ann [at] example [dot] org"),
            ("it is ann.lee at example dot co dot uk.", "ann.lee at example dot co dot uk"),
        ] {
            assert_eq!(emails(text), [wanted], "{text}");
        }
    }

    #[test]
    fn at_and_dot_alone_are_words() {
        for text in ["meet at noon", "look at the dot on it", "100%40 width", "at example dot", "a dot at b"]
        {
            assert_eq!(emails(text), Vec::<&str>::new(), "{text}");
        }
    }
}

//! Postal addresses: house number, street, place and post code, in the orders that countries use.
//!
//! A street word beside a house number begins one, and unit, place, post code and country that follow
//! within four lines belong to it. Where number, place and post code agree, no street word is needed.
//! A number beside a capitalised word is no address.

mod code;
mod head;
mod tail;
mod words;

use std::ops::Range;

use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

const CUES: &[CueGroup] = &[CueGroup::Address];
static STREET: Rule = Rule::new("street", Entity::Address, 60, 75).beside(CUES).unmoved();
/// Words that name much else: "Flash Drive", "Best Way", "12 oak street" in lower case.
static DOUBTFUL: Rule = Rule::new("street-doubtful", Entity::Address, 40, 65).beside(CUES).unmoved();
static WHOLE: Rule = Rule::new("street-and-post-code", Entity::Address, 85, 90).beside(CUES).unmoved();

/// Words that may make a word and what is beside it a street.
pub(super) const STREET_WORDS: &[&[&str]] = &[words::AFTER, words::AFTER_DOUBTFUL, words::BEFORE, &["box"]];
/// Those of them that do so in lower case too.
pub(super) const PLAIN_STREET_WORDS: &[&[&str]] = &[words::AFTER, words::BEFORE, &["drive"]];
/// What such words may end with.
pub(super) const STREET_ENDINGS: &[&str] = words::ENDINGS;

/// Most bytes that are read on either side.
const BYTES: usize = 160;

/// Looks at a word of letters; whether it is a street word is cheap to tell.
pub(super) fn word(out: &mut Candidates<'_>, word: &Range<usize>) {
    let text = out.text;
    let whole = words::whole(text, word);
    let Ok(name) = std::str::from_utf8(&text[whole.clone()]) else { return };
    if name.len() > 48 || name.chars().next().is_none_or(|first| first.is_ascii_digit()) {
        return;
    }
    let Some((range, rule)) = head::street(text, &whole, name) else { return };
    out.work += BYTES as u64;
    let start = head::unit_before(text, range.start);
    let tail = tail::extend(text, range.end);
    out.propose(if tail.complete { &WHOLE } else { rule }, start..tail.end);
}

/// Looks at a number or a word of letters and digits: a post code may have an address before it.
pub(super) fn post_code(out: &mut Candidates<'_>, start: usize) {
    let text = out.text;
    let Some(code) = code::read(text, start) else { return };
    out.work += BYTES as u64;
    if let Some(start) = head::before_code(text, &code) {
        out.propose(&WHOLE, start..tail::after_code(text, &code));
    }
}

#[cfg(test)]
mod tests {
    use crate::{Entity, Filter, Policy, PolicySpec, Query, find};

    fn addresses(text: &str) -> Vec<&str> {
        let spec = PolicySpec {
            filter: Filter::Balanced,
            entities: Some(vec![Entity::Address]),
            ..PolicySpec::default()
        };
        let policy = Policy::compile(&spec).unwrap();
        let spans = find(text, &Query::new(&policy)).unwrap().spans;
        spans.iter().map(|span| text.get(span.range.clone()).unwrap()).collect()
    }

    #[test]
    fn addresses_reach_from_the_number_to_the_post_code() {
        for (text, wanted) in [
            (
                "I live at 742 Evergreen Terrace, Springfield, IL 62704.",
                "742 Evergreen Terrace, Springfield, IL 62704",
            ),
            ("Send it to 12 Oak St today", "12 Oak St"),
            ("221B Baker Street, London NW1 6XE", "221B Baker Street, London NW1 6XE"),
            (
                "350 5th Ave, Apt 12B, New York, NY 10118-0110 please",
                "350 5th Ave, Apt 12B, New York, NY 10118-0110",
            ),
            ("Ich wohne in der Hauptstraße 5a, 10115 Berlin.", "Hauptstraße 5a, 10115 Berlin"),
            ("au 12, rue de la Paix, 75002 Paris", "12, rue de la Paix, 75002 Paris"),
            ("Calle Mayor 5, 28013 Madrid", "Calle Mayor 5, 28013 Madrid"),
            ("12 Oak Street\nSpringfield, IL 62704\nThanks", "12 Oak Street\nSpringfield, IL 62704"),
        ] {
            assert_eq!(addresses(text), [wanted], "{text}");
        }
    }

    #[test]
    fn numbers_beside_words_are_no_addresses() {
        for text in [
            "Chapter 12 Results",
            "the 3 main streets",
            "2 Way mirrors",
            "Wall Street rose 5 percent",
            "on 5 May we drove back",
            "Dr. Smith",
            "in the Best Way",
            "drove 12 km by road",
            "the Weg is long",
            "via Roma",
            "Version 2 Drive",
        ] {
            assert_eq!(addresses(text), Vec::<&str>::new(), "{text}");
        }
    }
}

//! Words of an address, read forwards and backwards, and the lists of words that tell.

use std::ops::Range;

/// After the name: "12 Oak Street".
pub(super) const AFTER: &[&str] = &[
    "street",
    "st",
    "avenue",
    "ave",
    "road",
    "rd",
    "boulevard",
    "blvd",
    "lane",
    "terrace",
    "parkway",
    "pkwy",
    "hwy",
    "crescent",
    "gardens",
    "mews",
    "turnpike",
    "causeway",
    "esplanade",
];
/// The same, but more often something else.
pub(super) const AFTER_DOUBTFUL: &[&str] = &[
    "ln", "drive", "dr", "court", "ct", "way", "place", "pl", "square", "sq", "highway", "circle", "close",
    "grove", "trail", "row", "hill", "walk", "alley", "plaza", "loop", "rise", "quay", "wharf", "parade",
];
/// Before the name: "12 rue de la Paix", "Calle Mayor 5", "Via Roma 3".
pub(super) const BEFORE: &[&str] = &[
    "rue",
    "avenue",
    "av",
    "boulevard",
    "bd",
    "chemin",
    "quai",
    "allée",
    "impasse",
    "cours",
    "place",
    "calle",
    "avenida",
    "avda",
    "paseo",
    "plaza",
    "carrer",
    "camino",
    "ronda",
    "via",
    "viale",
    "piazza",
    "corso",
    "rua",
    "travessa",
    "ul",
    "ulica",
    "pl",
    "al",
    "os",
    "c/",
    "platz",
    "straße",
    "postfach",
    "apartado",
];
/// At the end of the name: "Hauptstraße 5".
pub(super) const ENDINGS: &[&str] = &[
    "straße", "strasse", "str", "weg", "platz", "allee", "gasse", "damm", "ufer", "straat", "laan", "gracht",
    "plein", "ring", "markt", "chaussee", "gatan", "vägen", "gade", "vej",
];
/// Words that may stand between the parts.
pub(super) const JOINERS: &[&str] = &[
    "de", "la", "le", "les", "du", "des", "del", "della", "dei", "delle", "di", "da", "do", "dos", "of",
    "the", "am", "an", "der", "den", "im", "in", "upon", "sur", "sous", "et", "y", "und", "van", "von",
    "zum", "zur", "unter", "el", "los", "las", "d", "l", "en",
];
/// Letters and words behind a house number: "5 bis".
pub(super) const BEHIND_NUMBER: &[&str] = &["bis", "ter", "quater"];
pub(super) const UNITS: &[&str] = &[
    "apt",
    "apartment",
    "suite",
    "ste",
    "unit",
    "floor",
    "fl",
    "flat",
    "room",
    "rm",
    "bldg",
    "building",
    "piso",
    "étage",
    "etage",
    "stock",
    "whg",
    "wohnung",
    "puerta",
    "esc",
    "escalera",
    "bât",
    "bâtiment",
    "appt",
    "p.o",
    "po",
];

/// The word with its letters beyond ASCII; the trigger may have begun in its middle.
pub(super) fn whole(text: &[u8], word: &Range<usize>) -> Range<usize> {
    let belongs = |byte: &u8| byte.is_ascii_alphabetic() || *byte >= 0x80;
    let left = text[..word.start].iter().rev().take(48).take_while(|byte| belongs(byte)).count();
    let right = text[word.end..].iter().take(48).take_while(|byte| belongs(byte)).count();
    word.start - left..word.end + right
}

/// The next word, after at most three of the separators.
pub(super) fn next(text: &[u8], at: usize, separators: &[u8]) -> Option<Range<usize>> {
    let gap = text[at..].iter().take(3).take_while(|byte| separators.contains(byte)).count();
    let start = at + gap;
    let len = text[start..].iter().take(40).take_while(|byte| in_word(byte) || **byte == b'#').count();
    (gap > 0 && len > 0).then(|| start..start + len)
}

/// The word before `end`, after at most three of the separators.
pub(super) fn previous(text: &[u8], end: usize, separators: &[u8]) -> Option<Range<usize>> {
    let gap = text[..end].iter().rev().take(3).take_while(|byte| separators.contains(byte)).count();
    let end = end - gap;
    let len = text[..end].iter().rev().take(40).take_while(|byte| in_word(byte) || **byte == b'#').count();
    (gap > 0 && len > 0).then(|| end - len..end)
}

fn in_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte >= 0x80 || matches!(byte, b'\'' | b'-' | b'/')
}

/// Whether a word begins with a capital letter, in any script.
pub(super) fn capital(word: &[u8]) -> bool {
    let head = &word[..word.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(head) => head,
        Err(cut) => std::str::from_utf8(&head[..cut.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().is_some_and(char::is_uppercase)
}

/// Whether a list holds the word, in any case.
pub(super) fn known(list: &[&str], word: &[u8]) -> bool {
    std::str::from_utf8(word).is_ok_and(|word| {
        let lower = word.to_lowercase();
        list.contains(&lower.as_str())
    })
}

/// Whether the word joins others: "de", "l'Abbé".
pub(super) fn joiner(word: &[u8]) -> bool {
    JOINERS.iter().any(|known| known.as_bytes() == word) || matches!(word, [b'd' | b'l', b'\'', ..])
}

/// "5", "12a", "221B", "3-5", "12/14a": up to five digits and a letter, once or twice.
pub(super) fn house_number(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"#").unwrap_or(word);
    let mut parts = word.splitn(2, |byte| matches!(byte, b'-' | b'/'));
    let number = |part: &[u8], most: usize| {
        let digits = part.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (1..=most).contains(&digits) && matches!(part[digits..], [] | [b'a'..=b'z' | b'A'..=b'Z'])
    };
    let single = |part: &[u8]| matches!(part, [b'a'..=b'z' | b'A'..=b'Z']);
    parts.next().is_some_and(|first| number(first, 5))
        && parts.next().is_none_or(|second| number(second, 5) || single(second))
}

/// "5th", "42nd": a street's name, not a house's number.
pub(super) fn ordinal(word: &[u8]) -> bool {
    word[0].is_ascii_digit()
        && [b"st".as_slice(), b"nd", b"rd", b"th"].iter().any(|ending| word.ends_with(ending))
}

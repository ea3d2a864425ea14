//! Cuts running text into the tokens and sentences that the tagger was trained on.
//!
//! Training text is cut with [`next`] too, so what the model sees at run time is what it learned. Offsets are bytes and
//! always character boundaries. Nothing here looks further than a fixed number of bytes: time is linear on every input.

/// A sentence is cut after so many bytes, so that a caller gets control back.
pub(crate) const SLICE_BYTES: usize = 512;

/// A longer run of letters is cut: no name is that long.
const TOKEN_BYTES: usize = 128;

/// Words that keep their full stop, lower-cased, sorted.
const ABBREVIATIONS: [&str; 66] = [
    "apr", "assn", "aug", "ave", "bldg", "blvd", "bros", "capt", "cmdr", "co", "col", "corp", "cpl", "ct",
    "dec", "dept", "dr", "esq", "est", "etc", "feb", "fig", "fr", "fri", "ft", "gen", "gov", "hon", "hwy",
    "inc", "jan", "jr", "jul", "jun", "lt", "ltd", "maj", "mar", "messrs", "mon", "mr", "mrs", "ms", "mt",
    "nov", "oct", "ph", "prof", "pvt", "rd", "rep", "reps", "rev", "sat", "sen", "sens", "sep", "sept",
    "sgt", "sr", "st", "supt", "thur", "tues", "univ", "vs",
];

/// One token: a half-open byte range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Fills `tokens` with the next sentence at or after `from` and returns where the following one starts.
///
/// Reads at most [`SLICE_BYTES`] and one token beyond. Returns `text.len()` at the end; `tokens` may stay empty.
pub(crate) fn sentence(text: &str, from: usize, tokens: &mut Vec<Token>) -> usize {
    tokens.clear();
    let limit = floor_boundary(text, from.saturating_add(SLICE_BYTES).min(text.len()));
    let mut at = from;
    let mut before = Before::Words;
    loop {
        let gap = gap(text, at, limit);
        if gap.end >= limit {
            return if limit == text.len() { limit } else { cut(text, tokens, gap.end) };
        }
        let first = char_at(text, gap.end);
        if !tokens.is_empty() && ends_sentence(&gap, before, first) {
            return gap.end;
        }
        let token = next(text, gap.end);
        before = match text.as_bytes()[token.start] {
            b'.' | b'!' | b'?' => Before::Stop,
            b'"' | b'\'' | b')' | b']' if gap.end == at => before,
            _ => Before::Words,
        };
        tokens.push(token);
        at = token.end;
    }
}

/// Whether the tokens so far may be a whole sentence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Words,
    Stop,
}

/// White space between two tokens.
struct Gap {
    end: usize,
    newlines: usize,
    wide: Spacing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spacing {
    None,
    Some,
}

fn gap(text: &str, from: usize, limit: usize) -> Gap {
    let mut gap = Gap { end: from, newlines: 0, wide: Spacing::None };
    while gap.end < limit {
        let next = char_at(text, gap.end);
        if !next.is_whitespace() && !next.is_control() {
            break;
        }
        gap.newlines += usize::from(next == '\n');
        gap.wide = Spacing::Some;
        gap.end += next.len_utf8();
    }
    gap
}

/// A line ends a sentence unless the next one goes on in lower case, as wrapped prose does.
fn ends_sentence(gap: &Gap, before: Before, first: char) -> bool {
    gap.newlines > 1
        || ((gap.newlines == 1 || (before == Before::Stop && gap.wide == Spacing::Some))
            && !first.is_lowercase())
}

/// Ends an overlong sentence behind its last punctuation mark, where a name is unlikely to be split.
fn cut(text: &str, tokens: &mut Vec<Token>, limit: usize) -> usize {
    let half = tokens.len() / 2;
    let mark = tokens.iter().rposition(|token| {
        let first = text.as_bytes()[token.start];
        first.is_ascii_punctuation() && !matches!(first, b'-' | b'\'' | b'.' | b'@' | b'#')
    });
    match mark {
        Some(index) if index >= half && index + 1 < tokens.len() => {
            let next = tokens[index + 1].start;
            tokens.truncate(index + 1);
            next
        }
        _ => tokens.last().map_or(limit, |last| last.end.max(limit)),
    }
}

/// The token that starts at `start`, which must be a character boundary before the end of `text`.
pub(crate) fn next(text: &str, start: usize) -> Token {
    let bytes = text.as_bytes();
    let first = char_at(text, start);
    let after = start + first.len_utf8();
    let end = if is_word(first) {
        word_end(text, start)
    } else if matches!(first, '@' | '#') && bytes.get(after).is_some_and(|&byte| is_word_byte(byte)) {
        plain_end(text, after, start + TOKEN_BYTES)
    } else if is_apostrophe(first) {
        contraction_end(text, after).unwrap_or(after)
    } else {
        run_end(text, start, first)
    };
    Token { start, end }
}

/// A run of one and the same mark is one token: `...`, `-----`.
fn run_end(text: &str, start: usize, mark: char) -> usize {
    let mut end = start;
    while end < text.len() && end - start < TOKEN_BYTES && char_at(text, end) == mark {
        end += mark.len_utf8();
    }
    end
}

/// Letters, digits and `_` from `from` on.
fn plain_end(text: &str, from: usize, limit: usize) -> usize {
    let mut end = from;
    while end < text.len() && end < limit {
        let next = char_at(text, end);
        if !is_word(next) {
            break;
        }
        end += next.len_utf8();
    }
    end
}

/// The end of a word that may hold inner marks: `U.S.`, `O'Brien`, `AT&T`, `1,999.5`, an address, a URL.
fn word_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let limit = start + TOKEN_BYTES;
    if negation_end(text, start) == Some(start + 3) {
        return start + 3;
    }
    let mut end = start;
    loop {
        end = plain_end(text, end, limit);
        if end >= text.len() || end >= limit {
            return end;
        }
        let mark = char_at(text, end);
        let before = bytes[end - 1];
        let after = end + mark.len_utf8();
        let follows = bytes.get(after).copied().unwrap_or(b' ');
        let joins = match mark {
            '.' if is_word_byte(follows) => !is_missing_space(bytes, start, end),
            '.' => return if keeps_stop(&bytes[start..end]) { after } else { end },
            ',' | '-' | '/' => before.is_ascii_digit() && follows.is_ascii_digit(),
            '&' | '@' => is_word_byte(follows),
            ':' if text.as_bytes()[end..].starts_with(b"://") => return url_end(text, end, limit),
            ':' => before.is_ascii_digit() && follows.is_ascii_digit(),
            _ if is_apostrophe(mark) => match negation_end(text, end - 1) {
                Some(_) if end - 1 > start => return end - 1,
                _ if contraction_end(text, after).is_some() => return end,
                _ => is_word_byte(follows),
            },
            _ => false,
        };
        if !joins {
            return end;
        }
        end = after;
    }
}

fn url_end(text: &str, from: usize, limit: usize) -> usize {
    let mut end = from;
    while end < text.len() && end < limit {
        let next = char_at(text, end);
        if next.is_whitespace() || matches!(next, '<' | '>' | '"' | '\'' | ')' | ']' | '}' | ',' | ';') {
            break;
        }
        end += next.len_utf8();
    }
    end
}

/// `n't` at `start`, however its apostrophe is written: where it ends.
fn negation_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let apostrophe = start + 1;
    if !matches!(bytes.get(start), Some(b'n' | b'N')) || apostrophe >= text.len() {
        return None;
    }
    let mark = char_at(text, apostrophe);
    let t = apostrophe + mark.len_utf8();
    let ends = bytes.get(t + 1).is_none_or(|&byte| !is_word_byte(byte));
    (is_apostrophe(mark) && matches!(bytes.get(t), Some(b't' | b'T')) && ends).then_some(t + 1)
}

/// What follows an apostrophe, if it is one of the endings that stand as tokens of their own: where it ends.
fn contraction_end(text: &str, after: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let rest = &bytes[after..];
    let one =
        |length: usize| rest.get(length).is_none_or(|&byte| !is_word_byte(byte)).then_some(after + length);
    match rest {
        [b'l' | b'L', b'l' | b'L', ..] | [b'r' | b'R' | b'v' | b'V', b'e' | b'E', ..] => one(2),
        [b's' | b'S' | b'm' | b'M' | b'd' | b'D', ..] => one(1),
        _ => None,
    }
}

/// `end.Next`: a full stop with the space behind it left out.
fn is_missing_space(bytes: &[u8], start: usize, stop: usize) -> bool {
    stop >= start + 2
        && bytes[start..stop].iter().rev().take(2).all(u8::is_ascii_lowercase)
        && bytes[stop + 1].is_ascii_uppercase()
}

/// Whether the full stop behind `word` belongs to it: an initial, dotted letters, a known abbreviation.
fn keeps_stop(word: &[u8]) -> bool {
    if word.len() > 8 {
        return false;
    }
    if let [letter] = word {
        return letter.is_ascii_uppercase();
    }
    if word.contains(&b'.') {
        return word
            .split(|&byte| byte == b'.')
            .all(|part| part.len() <= 2 && part.iter().all(u8::is_ascii_alphabetic));
    }
    let mut lower = [0; 8];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    ABBREVIATIONS.binary_search_by(|known| known.as_bytes().cmp(lower)).is_ok()
}

fn is_apostrophe(mark: char) -> bool {
    matches!(mark, '\'' | '\u{2019}')
}

fn is_word(letter: char) -> bool {
    if letter.is_ascii() {
        letter.is_ascii_alphanumeric() || letter == '_'
    } else {
        // Combining marks belong to the letter before them.
        letter.is_alphanumeric() || matches!(letter, '\u{300}'..='\u{36f}')
    }
}

/// Any byte of a character beyond ASCII counts: such marks are rare inside words.
fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The character at `at`; a blank at the end of the text.
fn char_at(text: &str, at: usize) -> char {
    match text.as_bytes().get(at) {
        Some(&byte) if byte.is_ascii() => char::from(byte),
        _ => text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or(' '),
    }
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests;

//! Escapes of JSON strings: RFC 8259 §7.

/// The character of the JSON escape at the start of `raw`, with the escape's length. A surrogate
/// without its partner becomes U+FFFD.
pub(crate) fn unescape(raw: &[u8]) -> Option<(char, usize)> {
    let plain = match raw.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescape_unicode(raw),
        _ => return None,
    };
    Some((plain, 2))
}

fn unescape_unicode(raw: &[u8]) -> Option<(char, usize)> {
    let first = hex4(raw.get(2..6)?)?;
    if (0xD800..0xDC00).contains(&first) && raw.get(6..8) == Some(b"\\u") {
        let second = raw.get(8..12).and_then(hex4).filter(|low| (0xDC00..0xE000).contains(low));
        if let Some(low) = second {
            let scalar = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            return Some((char::from_u32(scalar)?, 12));
        }
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}

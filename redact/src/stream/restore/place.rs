//! Where in a text we are: inside a string of JSON, inside a URL or a link's target.
//!
//! In doubt it is a URL: a placeholder that stays is a blemish, a value that leaves is a leak.

use super::Landing;

/// What is known of the place, from left to right.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    string: bool,
    link: Option<Link>,
    angle: Angle,
}

/// Whether a `<` stands open on this line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Angle {
    #[default]
    Closed,
    Open,
}

/// A URL that goes on.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// The mark that ends it; zero if only white space or `<` does.
    close: u8,
    spaces: Spaces,
    /// Open parentheses within.
    depth: u8,
}

/// What white space does to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spaces {
    /// Nothing: the target is quoted.
    Belong,
    /// Nothing yet: the target has not begun.
    Precede,
    End,
}

impl Place {
    pub(super) const fn in_string(&self) -> bool {
        self.string
    }

    pub(super) const fn in_url(&self) -> bool {
        self.link.is_some()
    }

    /// Notes a byte; `before` is the text before it.
    pub(super) fn pass(&mut self, before: &[u8], byte: u8, landing: Landing) {
        if landing == Landing::Json && byte == b'"' {
            *self = Self { string: !self.string, ..Self::default() };
            return;
        }
        self.mark(before, byte);
    }

    /// Notes an escape of a JSON string.
    pub(super) fn pass_escape(&mut self, before: &[u8], escape: &[u8]) {
        let byte = match escape {
            [_, b'n' | b'r' | b't', ..] => b'\n',
            [_, b'u', hex @ ..] => match std::str::from_utf8(hex).map(|hex| u8::from_str_radix(hex, 16)) {
                Ok(Ok(byte)) => byte,
                _ => 0x80,
            },
            [_, byte, ..] => *byte,
            _ => b'\\',
        };
        self.mark(before, byte);
    }

    fn mark(&mut self, before: &[u8], byte: u8) {
        self.angle = match byte {
            b'<' => Angle::Open,
            b'>' | b'\n' => Angle::Closed,
            _ => self.angle,
        };
        self.link = match self.link {
            Some(link) => link.pass(byte),
            None => None,
        };
        if self.link.is_none_or(|link| link.spaces != Spaces::Belong) && may_begin(before, byte) {
            let tail = Tail::new(before, byte);
            self.link = tail.begins(self.angle).or(self.link);
        }
    }
}

/// Whether the byte before makes it worth to compare more.
fn may_begin(before: &[u8], byte: u8) -> bool {
    let is_blank = |byte: &&u8| matches!(**byte, b' ' | b'\n' | b'"' | b'\'' | b'\\');
    let last = || before.iter().rev().find(|byte| !is_blank(byte)).map_or(0, u8::to_ascii_lowercase);
    match byte {
        b'/' => matches!(last(), b'/' | b'f'),
        b'(' => matches!(last(), b']' | b'l'),
        b'.' => last() == b'w',
        b':' => last() == b'o',
        b'=' => matches!(last(), b'f' | b'c' | b't'),
        b'<' | b'"' | b'\'' | b' ' | b'\n' => matches!(last(), b'(' | b'='),
        _ => false,
    }
}

impl Link {
    /// The link after one more byte of it, if it goes on.
    fn pass(mut self, byte: u8) -> Option<Self> {
        if byte == self.close && self.depth == 0 {
            return None;
        }
        match byte {
            b'(' if self.close == b')' => self.depth = self.depth.saturating_add(1),
            b')' => self.depth = self.depth.saturating_sub(1),
            b' ' | b'\t' | b'\r' | b'\n' if self.spaces == Spaces::End => return None,
            b'<' if self.close != b'>' && self.spaces == Spaces::End => return None,
            b'\n' if self.close == b'>' => return None,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if self.spaces == Spaces::Precede => self.spaces = Spaces::End,
            _ => {}
        }
        Some(self)
    }
}

/// The last letters of a text, in small letters, without backslashes.
struct Tail {
    bytes: [u8; Self::LEN],
    from: usize,
}

impl Tail {
    const LEN: usize = 32;

    fn new(before: &[u8], byte: u8) -> Self {
        let mut tail = Self { bytes: [0; Self::LEN], from: Self::LEN };
        let letters = before.iter().rev().filter(|byte| **byte != b'\\');
        for letter in std::iter::once(&byte).chain(letters).take(Self::LEN) {
            tail.from -= 1;
            tail.bytes[tail.from] = letter.to_ascii_lowercase();
        }
        tail
    }

    fn text(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    /// The link that the text's last letters open.
    fn begins(&self, angle: Angle) -> Option<Link> {
        let text = self.text();
        let ends = |start: &&[u8]| text.ends_with(start);
        if let Some(start) = [b"](<".as_slice(), b"](", b"url("].iter().find(|start| ends(start)) {
            let quoted = start.ends_with(b"<");
            let (close, spaces) = if quoted { (b'>', Spaces::Belong) } else { (b')', Spaces::Precede) };
            return Some(Link { close, spaces, depth: 0 });
        }
        let slashes = [b"//".as_slice(), b"/u002f", b"u002f/", b"u002fu002f", b"www.", b"mailto:"];
        if let Some(start) = slashes.iter().find(|start| ends(start)) {
            if angle == Angle::Open {
                return Some(Link { close: b'>', spaces: Spaces::Belong, depth: 0 });
            }
            let close = closing(&text[..text.len() - start.len()]);
            return Some(Link { close, spaces: Spaces::End, depth: 0 });
        }
        let quote = text.last().copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let text = text.strip_suffix(quote.as_slice()).unwrap_or(text).trim_ascii_end();
        let name = text.strip_suffix(b"=")?.trim_ascii_end();
        let attribute = [b"href".as_slice(), b"src", b"srcset"].iter().any(|known| name.ends_with(known));
        let link = match quote {
            Some(close) => Link { close, spaces: Spaces::Belong, depth: 0 },
            None => Link { close: b'>', spaces: Spaces::Precede, depth: 0 },
        };
        attribute.then_some(link)
    }
}

/// The mark that closes what stands open before a scheme: `"https:`, `(https:`.
fn closing(before: &[u8]) -> u8 {
    let scheme = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':'));
    match before.iter().rev().nth(scheme.count()) {
        Some(b'(') => b')',
        Some(quote @ (b'"' | b'\'' | b'`')) => *quote,
        _ => 0,
    }
}

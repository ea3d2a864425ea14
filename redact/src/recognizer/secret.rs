//! Credentials: known prefixes, tokens of known shape, assignments to a name that says "secret",
//! PEM blocks, passwords in URLs.

use std::ops::Range;

use super::secret_table::{PREFIXES, Prefix};
use super::worth::ends_name;
use crate::entity::Entity::Secret;
use crate::finding::Rule;
use crate::scan::Candidates;

static JWT: Rule = Rule::new("jwt", Secret, 95, 95).checked("three base64url parts of JSON").unmoved();
static PEM: Rule = Rule::new("pem", Secret, 95, 95).checked("PEM armour of a private key").unmoved();
static BOT: Rule = Rule::new("bot-token", Secret, 95, 95).checked("id, separators and lengths").unmoved();
static URL: Rule = Rule::new("url-password", Secret, 95, 95).checked("userinfo of a URL").unmoved();
static ASSIGNED: Rule = Rule::new("secret-assignment", Secret, 60, 60).unmoved();

/// Alphabet of a token's body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    Letters,
    Upper,
    Hex,
    Token,
    Dotted,
    /// With the marks of both alphabets.
    Base64,
}

impl Body {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Letters => byte.is_ascii_alphanumeric(),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Token => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
        }
    }
}

/// Longest token that is followed to its end.
const LONGEST: usize = 4096;
/// A value of this length is judged by its entropy, a shorter one by its kinds of characters.
const LONG: usize = 20;
/// A token of JSON that is this long and goes on is one, whatever follows.
const LONG_JWT: usize = 120;
const LONGEST_PEM: usize = 16 * 1024;

/// A token that begins with this word.
pub(super) fn token(out: &mut Candidates<'_>, word: &Range<usize>) {
    if word.start < out.settled_to {
        return;
    }
    let rest = &out.text[word.start..];
    let joined = out.before(word.start).is_some_and(|byte| byte == b'_');
    if joined {
        return;
    }
    let head = rest.first_chunk().copied().unwrap_or_default();
    let known = rows(head).find_map(|row| matches(rest, row).map(|len| (row, len)));
    if let Some((row, len)) = known {
        return out.settle(&row.rule, word.start..word.start + len);
    }
    if rest.starts_with(b"eyJ") {
        return jwt(out, word.start);
    }
    if matches!(rest[0], b'M' | b'N' | b'O') && (23..=28).contains(&word.len()) {
        discord(out, word);
    }
}

/// The prefixes that begin with two bytes, in their order: nearly always none or one.
fn rows(head: [u8; 2]) -> impl Iterator<Item = &'static Prefix> {
    /// One bit for each prefix, by its first and by its second byte.
    static BY_BYTE: [[u128; 128]; 2] = {
        let mut tables = [[0; 128]; 2];
        let mut row = 0;
        while row < PREFIXES.len() {
            let prefix = PREFIXES[row].prefix.as_bytes();
            tables[0][prefix[0] as usize] |= 1 << row;
            tables[1][prefix[1] as usize] |= 1 << row;
            row += 1;
        }
        tables
    };
    let rows = |place: usize| BY_BYTE[place].get(usize::from(head[place])).copied().unwrap_or_default();
    let mut left = rows(0) & rows(1);
    std::iter::from_fn(move || {
        let row = PREFIXES.get(left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(row)
    })
}

fn matches(rest: &[u8], row: &Prefix) -> Option<usize> {
    let body = rest.strip_prefix(row.prefix.as_bytes())?;
    let len = run(body, row.most + 1, |byte| row.body.has(byte));
    let whole = body.get(len).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let varied = body[..len].iter().any(u8::is_ascii_digit) || body[..len].iter().any(u8::is_ascii_uppercase);
    let monotone = body[..len].iter().all(|byte| *byte == body[0]);
    (whole && varied && !monotone && (row.least..=row.most).contains(&len)).then_some(row.prefix.len() + len)
}

fn run(text: &[u8], most: usize, belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().take(most).take_while(|byte| belongs(**byte)).count()
}

fn jwt(out: &mut Candidates<'_>, start: usize) {
    let mut end = start;
    let mut parts = 0;
    while parts < 3 {
        let len = run(&out.text[end..], LONGEST, |byte| Body::Token.has(byte));
        out.work += len as u64;
        if len < 4 {
            break;
        }
        end += len;
        parts += 1;
        if parts == 3 || out.at(end) != Some(b'.') {
            break;
        }
        end += 1;
    }
    // A window of a stream may end inside the token: the beginning is telling enough.
    let cut = end == out.text.len() && end - start >= LONG_JWT;
    if (parts == 3 && end - start >= 32) || cut {
        out.settle(&JWT, start..end);
    }
}

/// Discord: id, time and signature, joined by dots.
fn discord(out: &mut Candidates<'_>, word: &Range<usize>) {
    let first = word.end;
    let second = run(out.text.get(first + 1..).unwrap_or_default(), 8, |byte| Body::Token.has(byte));
    let last = first + 1 + second;
    let third = run(out.text.get(last + 1..).unwrap_or_default(), 45, |byte| Body::Token.has(byte));
    if out.at(first) == Some(b'.') && second == 6 && out.at(last) == Some(b'.') && (27..=40).contains(&third)
    {
        out.settle(&BOT, word.start..last + 1 + third);
    }
}

/// Telegram: 8 to 10 digits, a colon, 35 letters that begin with `AA`.
pub(super) fn bot_token(out: &mut Candidates<'_>, start: usize) {
    let digits = run(&out.text[start..], 11, |byte| byte.is_ascii_digit());
    let rest = &out.text[start + digits..];
    if (8..=10).contains(&digits)
        && rest.starts_with(b":AA")
        && run(&rest[1..], 36, |byte| Body::Token.has(byte)) == 35
    {
        out.settle(&BOT, start..start + digits + 36);
    }
}

/// A private key from its first line to its last, or as far as it goes.
pub(super) fn pem(out: &mut Candidates<'_>, at: usize) {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let rest = &out.text[at..out.text.len().min(at + LONGEST_PEM)];
    if at < out.settled_to || !rest.starts_with(BEGIN) {
        return;
    }
    let line = &rest[..rest.len().min(64)];
    if !line.windows(11).any(|part| part == b"PRIVATE KEY") {
        return;
    }
    let end = rest.windows(9).position(|part| part == b"-----END ");
    let len = match end {
        Some(end) => {
            let tail = &rest[end + 9..];
            let close =
                tail.windows(5).take(64).position(|part| part == b"-----").map_or(tail.len(), |at| at + 5);
            end + 9 + close
        }
        None => rest.len(),
    };
    out.settle(&PEM, at..at + len);
}

/// The password of `scheme://user:password@host`.
pub(super) fn in_url(out: &mut Candidates<'_>, at: usize) {
    let floor = at.saturating_sub(256);
    let left = out.text[floor..at]
        .iter()
        .rev()
        .take_while(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'@' | b'"' | b'/'));
    let start = at - left.count();
    out.work += (at - start) as u64;
    if !out.text[..start].ends_with(b"://") {
        return;
    }
    let Some(colon) = out.text[start..at].iter().position(|byte| *byte == b':') else { return };
    let range = start + colon + 1..at;
    if !range.is_empty() && !is_placeholder(&out.text[range.clone()]) {
        out.settle(&URL, range);
    }
}

/// Names whose value is a credential; matched at the end of an identifier, in any case.
pub(super) const NAMES: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "accountkey",
    "clientsecret",
    "authtoken",
    "credential",
    "credentials",
    "passwort",
    "kennwort",
    "contraseña",
    "motdepasse",
    "wachtwoord",
    "signingkey",
    "encryptionkey",
    "sharedaccesskey",
    "sharedsecret",
    "storagekey",
    "masterkey",
    "subscriptionkey",
    "consumerkey",
    "bearer",
];

/// `name = value`, `name: value`, `"name": "value"`.
pub(super) fn assignment(out: &mut Candidates<'_>, at: usize) {
    if at < out.settled_to || at < out.assigned_to || !is_named(out.text, at) {
        return;
    }
    assigned(out, at + 1);
}

/// Verbs that say what a credential is.
pub(super) const VERBS: &[&str] = &["is", "ist", "es", "est", "lautet"];

/// "The password is hunter2Hunter", from one of [`VERBS`] on: a value in quotes, or one that is no compound of words.
pub(super) fn said(out: &mut Candidates<'_>, word: &Range<usize>) {
    if word.start >= out.settled_to.max(out.assigned_to) && is_named(out.text, word.start) {
        // "The password is: hunter2Hunter" too.
        let from = word.end + usize::from(out.at(word.end) == Some(b':'));
        let value = value(out.text, from);
        let quoted = value.start > from && matches!(out.text[value.start - 1], b'"' | b'\'' | b'`');
        if quoted || !out.text[value].contains(&b'-') {
            assigned(out, from);
        }
    }
}

/// "My API key 7cTQ2c12bjOK…", "Bearer 7cTQ2c12bjOK…": a long word right behind the name, with nothing that assigns.
/// "--password hunter2Hunter", "Authorization: Basic aHVu…": a word of any length.
pub(super) fn named(out: &mut Candidates<'_>, word: &Range<usize>) {
    if out.before(word.start) != Some(b' ') || word.start < out.settled_to.max(out.assigned_to) {
        return;
    }
    let before = &out.text[word.start.saturating_sub(40)..word.start - 1];
    let is_option = || before.rsplit(|byte| *byte == b' ').next().is_some_and(|name| name.starts_with(b"--"));
    let is_basic = || before.ends_with(b"uthorization: Basic");
    if (word.len() >= LONG || is_option()) && is_named(out.text, word.start) || is_basic() {
        assigned(out, word.start);
    }
}

fn assigned(out: &mut Candidates<'_>, from: usize) {
    let range = value(out.text, from);
    out.work += (range.len() + 32) as u64;
    out.assigned_to = range.end;
    judge(out, range);
}

/// The value that begins after quotes and spaces, without the marks that end a sentence.
fn value(text: &[u8], from: usize) -> Range<usize> {
    let skip = run(&text[from..], 6, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'`' | b'=' | b'>' | b'\\'));
    let start = from + skip;
    let quote = text[from..start].last().filter(|mark| matches!(mark, b'"' | b'\'' | b'`'));
    if let Some(len) = quote.and_then(|quote| quoted(&text[start..], *quote)) {
        return start..start + len;
    }
    let ends = |byte| {
        matches!(
            byte,
            0..=b' ' | b'"' | b'\'' | b'`' | b',' | b';' | b')' | b'}' | b']' | b'<' | b'>' | b'\\'
        )
    };
    let len = run(&text[start..], LONGEST, |byte| !ends(byte));
    // `token=…&next=…`: an ampersand ends a value only where another assignment follows.
    let query = text[start..start + len].iter().position(|byte| *byte == b'&');
    let len = query.filter(|cut| text[start + cut..start + len].contains(&b'=')).unwrap_or(len);
    let trimmed = text[start..start + len].iter().rev().take_while(|byte| matches!(byte, b'.' | b':' | b'?'));
    start..start + len - trimmed.count().min(len)
}

/// The length of a word that a quote ends, whatever marks it has.
fn quoted(rest: &[u8], quote: u8) -> Option<usize> {
    let len = run(rest, LONGEST, |byte| byte > b' ' && byte != quote && byte != b'\\');
    (rest.get(len) == Some(&quote)).then_some(len)
}

/// The value of a JSON key that names a credential.
pub(crate) fn keyed(out: &mut Candidates<'_>, key: &str) {
    let whole = 0..out.text.len();
    if names_secret(key.as_bytes())
        && !whole.is_empty()
        && whole.len() <= LONGEST
        && !out.text.iter().any(u8::is_ascii_whitespace)
    {
        judge(out, whole);
    }
}

fn judge(out: &mut Candidates<'_>, range: Range<usize>) {
    let value = &out.text[range.clone()];
    if value.len() < 8 {
        return;
    }
    if is_placeholder(value) {
        return out.reject(&ASSIGNED, range, "it is a placeholder");
    }
    if is_words(value) {
        return out.reject(&ASSIGNED, range, "it is words, not a credential");
    }
    let hex = value.iter().all(u8::is_ascii_hexdigit);
    let strong =
        if value.len() >= LONG { entropy(value) >= if hex { 3.0 } else { 3.5 } } else { classes(value) >= 3 };
    if strong {
        out.propose(&ASSIGNED, range);
    } else {
        out.reject(&ASSIGNED, range, "it is too regular for a credential");
    }
}

/// Whether the identifier that ends before `at` names a credential.
fn is_named(text: &[u8], at: usize) -> bool {
    let before = &text[at.saturating_sub(40)..at];
    let gap = before
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | b'"' | b'\'' | b'`' | b':' | b'\\'))
        .count()
        .min(4);
    let name = &before[..before.len() - gap];
    let said = [b" is".as_slice(), b" ist", b" es", b" est"].iter().find_map(|verb| name.strip_suffix(*verb));
    names_secret(said.unwrap_or(name))
}

fn names_secret(name: &[u8]) -> bool {
    let tail = name.iter().rev().take_while(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' ') || **byte >= 0x80
    });
    let letters = tail.take(32).filter(|byte| !matches!(byte, b'_' | b'-' | b' '));
    let mut backwards = [0; 32];
    let mut len = 0;
    for (place, letter) in backwards.iter_mut().zip(letters) {
        *place = letter.to_ascii_lowercase();
        len += 1;
    }
    if !ends_name([backwards[2], backwards[1], backwards[0]]) {
        return false;
    }
    let is_ending =
        |known: &str| known.len() <= len && known.bytes().rev().eq(backwards[..known.len()].iter().copied());
    NAMES.iter().any(|known| is_ending(known))
}

/// Template variables, masks, environment look-ups, calls.
fn is_placeholder(value: &[u8]) -> bool {
    let starts = [
        b"${".as_slice(),
        b"{{",
        b"<",
        b"$(",
        b"%(",
        b"process.env",
        b"os.environ",
        b"env(",
        b"env.",
        b"secrets.",
        b"$",
    ];
    let masks = value.iter().filter(|byte| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'#')).count();
    let calls = value.contains(&b'(') || value.contains(&b'[');
    starts.iter().any(|start| value.starts_with(start))
        || masks * 2 > value.len()
        || value.ends_with(b"}}")
        || calls
}

/// Words joined by `_`, `-` or dots, or one plain word.
fn is_words(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b'|'));
    // `config.apiKey`, `Kind::FirstToken`, `&ObjectKey` are code: no digit, and no other mark.
    let code = value.iter().all(|byte| byte.is_ascii_alphabetic() || b"._:&*".contains(byte))
        && value.iter().any(|byte| b".:&*".contains(byte));
    code || parts.all(|part| {
        part.iter().all(u8::is_ascii_lowercase)
            || part.iter().all(u8::is_ascii_uppercase)
            || part.len() <= 3 && part.iter().all(u8::is_ascii_digit)
    })
}

fn classes(value: &[u8]) -> usize {
    let kinds: [fn(&u8) -> bool; 4] =
        [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit, u8::is_ascii_punctuation];
    kinds.iter().filter(|kind| value.iter().any(kind)).count()
}

/// Shannon entropy in bits per byte.
#[expect(clippy::cast_precision_loss, reason = "lengths are below 4,096")]
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    value.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let len = value.len() as f64;
    let share = |count: &u32| f64::from(*count) / len;
    counts.iter().filter(|count| **count > 0).map(|count| -share(count) * share(count).log2()).sum()
}

//! The table of F41. Sources: RFC 9112 §§2.2, 3, 5, 6, 7, 11.2; the published smuggling classes CL.TE, TE.CL,
//! TE.TE and CL.0.

/// A mark that no partner may ever see.
pub(crate) const SMUGGLED: &str = "SMUGGLED";

const PATH: &str = "/v1/chat/completions";

/// What a case must come to.
#[derive(Clone, Copy)]
pub(crate) enum Must {
    /// Refused with 4xx or 5xx, or closed without a word; nothing arrives; the connection is closed.
    Refuse,
    /// Refused, or taken for exactly one request as RFC 9112 allows; closed afterwards.
    OnceThenClose,
    /// Harmless: one answer, at most one arrival.
    AtMostOnce,
}

/// One row of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) must: Must,
}

fn body() -> String {
    format!("{{\"model\":\"chat\",\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}", "hello")
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// A second request, hidden behind the first.
fn hidden() -> String {
    let body = body().replace("hello", SMUGGLED);
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A request with these header lines in place of the framing, and this after the head.
fn request(lines: &str, content: &str) -> Vec<u8> {
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{lines}\r\n\r\n{content}"
    )
    .into_bytes()
}

/// A well-framed request with one further header line.
fn with_line(line: &str) -> Vec<u8> {
    request(&format!("{line}\r\ncontent-length: {}", body().len()), &body())
}

/// A request with its own start line.
fn with_start(start: &str) -> Vec<u8> {
    let body = body();
    format!(
        "{start}\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |must: Must| move |(name, bytes): (&'static str, Vec<u8>)| Case { name, bytes, must };
    let mut all: Vec<Case> = Vec::new();
    all.extend(both_lengths().into_iter().map(case(Must::OnceThenClose)));
    all.extend(disputed_encodings().into_iter().map(case(Must::Refuse)));
    all.extend(disputed_lengths().into_iter().map(case(Must::Refuse)));
    all.extend(broken_heads().into_iter().map(case(Must::Refuse)));
    all.extend(broken_chunks().into_iter().map(case(Must::Refuse)));
    all.extend(unwanted_protocols().into_iter().map(case(Must::Refuse)));
    all.extend(harmless().into_iter().map(case(Must::AtMostOnce)));
    all
}

type Rows = Vec<(&'static str, Vec<u8>)>;

/// `Content-Length` beside `Transfer-Encoding`: the latter wins, and the connection ends.
fn both_lengths() -> Rows {
    let (content, length) = (chunked(&body()), body().len());
    let te = "transfer-encoding: chunked";
    vec![
        ("CL before TE", request(&format!("content-length: {length}\r\n{te}"), &content)),
        ("TE before CL", request(&format!("{te}\r\ncontent-length: {length}"), &content)),
        (
            "CL of 0 before TE",
            request(&format!("content-length: 0\r\n{te}"), &format!("{content}{}", hidden())),
        ),
        (
            "CL over both requests",
            request(
                &format!("content-length: {}\r\n{te}", content.len() + hidden().len()),
                &format!("{content}{}", hidden()),
            ),
        ),
        (
            "CL that ends inside a chunk",
            request(&format!("content-length: 4\r\n{te}"), &format!("{content}{}", hidden())),
        ),
    ]
}

/// Encodings that one side may take for chunked and the other not.
fn disputed_encodings() -> Rows {
    let with = |line: &str| request(line, &format!("{}{}", chunked(&body()), hidden()));
    let and_length = |line: &str| {
        request(&format!("{line}\r\ncontent-length: {}", body().len()), &format!("{}{}", body(), hidden()))
    };
    vec![
        ("TE xchunked", with("transfer-encoding: xchunked")),
        ("TE with a space before the colon", with("transfer-encoding : chunked")),
        ("TE identity", with("transfer-encoding: identity")),
        ("TE chunked, identity", with("transfer-encoding: chunked, identity")),
        (
            "TE chunked, then a second field identity",
            with("transfer-encoding: chunked\r\ntransfer-encoding: identity"),
        ),
        ("TE quoted", with("transfer-encoding: \"chunked\"")),
        ("TE with a vertical tab", with("transfer-encoding:\u{b}chunked")),
        ("TE cow", with("transfer-encoding: cow")),
        ("TE empty", with("transfer-encoding:")),
        ("TE cow beside CL", and_length("transfer-encoding: cow")),
        ("TE with a space before the colon, beside CL", and_length("transfer-encoding : chunked")),
        ("TE after a NUL", with("transfer-encoding: \0chunked")),
    ]
}

fn disputed_lengths() -> Rows {
    let length = body().len();
    let with = |lines: String| request(&lines, &format!("{}{}", body(), hidden()));
    vec![
        ("two different CL", with(format!("content-length: {length}\r\ncontent-length: {}", length + 1))),
        ("CL list of two values", with(format!("content-length: {length}, {}", length + 1))),
        ("CL with a plus", with(format!("content-length: +{length}"))),
        ("CL negative", with("content-length: -1".to_owned())),
        ("CL hexadecimal", with("content-length: 0x40".to_owned())),
        ("CL with a space inside", with("content-length: 6 4".to_owned())),
        ("CL beyond 64 bits", with("content-length: 99999999999999999999999".to_owned())),
        ("CL with an exponent", with("content-length: 1e2".to_owned())),
        ("CL with a NUL", with(format!("content-length: {length}\0"))),
        ("CL with a space before the colon", with(format!("content-length : {length}"))),
        ("CL with a fraction", with(format!("content-length: {length}.0"))),
    ]
}

fn broken_heads() -> Rows {
    vec![
        ("obs-fold with a space", with_line("x-folded: one\r\n two")),
        ("obs-fold with a tab", with_line("x-folded: one\r\n\ttwo")),
        ("obs-fold of the first field", with_start(&format!("POST {PATH} HTTP/1.1\r\n x-first: folded"))),
        ("obs-fold of CL", request(&format!("content-length:\r\n {}", body().len()), &body())),
        ("bare CR in a value", with_line("x-value: one\rtwo")),
        ("NUL in a value", with_line("x-value: one\0two")),
        ("NUL in a name", with_line("x-na\0me: value")),
        ("space in a name", with_line("x na: value")),
        ("name without a colon", with_line("x-nothing")),
        ("empty name", with_line(": value")),
        ("non-ASCII name", with_line("x-n\u{e4}me: value")),
        ("no version", with_start(&format!("POST {PATH}"))),
        ("version 1.2.3", with_start(&format!("POST {PATH} HTTP/1.2.3"))),
        ("NUL in the path", with_start("POST /v1/chat\0/completions HTTP/1.1")),
        ("space in the path", with_start("POST /v1/chat /completions HTTP/1.1")),
        ("control character in the method", with_start(&format!("PO\u{1}ST {PATH} HTTP/1.1"))),
    ]
}

fn broken_chunks() -> Rows {
    let te = "transfer-encoding: chunked";
    let with = |content: String| request(te, &content);
    let (body, length) = (body(), body().len());
    vec![
        ("chunk size with 0x", with(format!("0x{length:x}\r\n{body}\r\n0\r\n\r\n{}", hidden()))),
        ("chunk size negative", with(format!("-{length:x}\r\n{body}\r\n0\r\n\r\n"))),
        ("chunk size beyond 64 bits", with(format!("fffffffffffffffff\r\n{body}\r\n0\r\n\r\n"))),
        ("chunk size with a plus", with(format!("+{length:x}\r\n{body}\r\n0\r\n\r\n"))),
        ("chunk size empty", with(format!("\r\n{body}\r\n0\r\n\r\n"))),
        ("chunk longer than its size", with(format!("{:x}\r\n{body}\r\n0\r\n\r\n", length - 4))),
        (
            "chunk extension of 100 KiB",
            with(format!("{length:x};{}\r\n{body}\r\n0\r\n\r\n", "x".repeat(100 * 1024))),
        ),
        ("chunk extension with a bare LF", with(format!("{length:x};a\nb\r\n{body}\r\n0\r\n\r\n"))),
        (
            "TE in HTTP/1.0",
            format!(
                "POST {PATH} HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n{te}\r\n\r\n{}",
                chunked(&body)
            )
            .into_bytes(),
        ),
    ]
}

fn unwanted_protocols() -> Rows {
    let upgrade = |lines: &str| {
        request(&format!("{lines}\r\ncontent-length: {}", body().len()), &format!("{}{}", body(), hidden()))
    };
    vec![
        (
            "Upgrade to websocket, and a second request",
            upgrade(
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZQ==",
            ),
        ),
        (
            "Upgrade to h2c, and a second request",
            upgrade("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk"),
        ),
        ("a TLS hello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n".to_vec()),
    ]
}

/// Odd, and allowed: they must come to one request at most.
fn harmless() -> Rows {
    let (body, length) = (body(), body().len());
    vec![
        ("CONNECT", b"CONNECT api.test:443 HTTP/1.1\r\nhost: api.test:443\r\n\r\n".to_vec()),
        ("two equal CL", request(&format!("content-length: {length}\r\ncontent-length: {length}"), &body)),
        ("CL list of equal values", request(&format!("content-length: {length}, {length}"), &body)),
        ("CL with leading zeros", request(&format!("content-length: 000{length}"), &body)),
        ("TE with a tab", request("transfer-encoding:\tchunked", &chunked(&body))),
        ("TE in capitals", request("TRANSFER-ENCODING: CHUNKED", &chunked(&body))),
        (
            "chunk size in capitals with zeros",
            request("transfer-encoding: chunked", &format!("000{length:X}\r\n{body}\r\n0\r\n\r\n")),
        ),
        (
            "trailers that name a length",
            request(
                "transfer-encoding: chunked",
                &format!("{length:x}\r\n{body}\r\n0\r\ncontent-length: 5\r\nx-api-key: k\r\n\r\n"),
            ),
        ),
        (
            "bare LF as line ends",
            String::from_utf8_lossy(&with_start(&format!("POST {PATH} HTTP/1.1")))
                .replace("\r\n", "\n")
                .into_bytes(),
        ),
        (
            "absolute-form target of another host",
            with_start(&format!("POST http://evil.test{PATH} HTTP/1.1")),
        ),
        ("two Host fields", with_line("host: evil.test")),
        ("Expect: 100-continue", with_line("expect: 100-continue")),
        ("Connection names our own fields", with_line("connection: close, content-type, authorization")),
        (
            "GET with a body",
            format!(
                "GET /v1/models HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{}",
                hidden().len(),
                hidden()
            )
            .into_bytes(),
        ),
    ]
}

#[test]
fn the_table_has_the_sixty_cases_that_the_row_promises() {
    assert!(cases().len() >= 60, "{}", cases().len());
}

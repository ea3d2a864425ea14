use proptest::prelude::*;

use super::*;

/// The name and the data of an event.
type Read = (Option<String>, String);

/// Everything that a decoder says about chunks: the events, and the bytes of all pieces.
fn decode(chunks: &[&[u8]]) -> Result<(Vec<Read>, Vec<u8>), InvalidSse> {
    let mut decoder = Decoder::default();
    let (mut events, mut raw) = (Vec::new(), Vec::new());
    let mut take = |piece: Piece| match piece {
        Piece::LineFeed(bytes) => raw.extend_from_slice(&bytes),
        Piece::Frame(frame) => {
            raw.extend_from_slice(frame.raw());
            events.extend(frame.event().map(|it| (it.event.map(str::to_owned), it.data.to_owned())));
        }
    };
    for chunk in chunks {
        decoder.push(chunk);
        while let Some(piece) = decoder.next()? {
            take(piece);
        }
    }
    while let Some(piece) = decoder.finish()? {
        take(piece);
    }
    Ok((events, raw))
}

fn events(text: &str) -> Vec<Read> {
    decode(&[text.as_bytes()]).unwrap().0
}

fn event(name: Option<&str>, data: &str) -> Read {
    (name.map(str::to_owned), data.to_owned())
}

#[test]
fn fields_are_read_as_the_standard_has_them() {
    type Case<'a> = (&'a str, &'a [(Option<&'a str>, &'a str)]);
    let cases: &[Case<'_>] = &[
        ("data: a\n\n", &[(None, "a")]),
        ("data:a\n\n", &[(None, "a")]),
        ("data:  a\n\n", &[(None, " a")]),
        ("event: e\ndata: a\ndata: b\n\n", &[(Some("e"), "a\nb")]),
        ("data\n\n", &[(None, "")]),
        ("data:\ndata:\n\n", &[(None, "\n")]),
        (": comment\n\n", &[]),
        ("id: 1\nretry: 5\nunknown: x\ndata: a\n\n", &[(None, "a")]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", &[(None, "a"), (None, "b")]),
        ("data: a\r\rdata: b\r\r", &[(None, "a"), (None, "b")]),
        ("data: a\r\n\ndata: b\n\r\n", &[(None, "a"), (None, "b")]),
        ("\u{feff}data: a\n\n\n\ndata: b\n\n", &[(None, "a"), (None, "b")]),
        ("data: a\n\n\u{feff}data: b\n\n", &[(None, "a")]),
        ("data: a: b\n\n", &[(None, "a: b")]),
        ("data: no blank line", &[(None, "no blank line")]),
        ("data: no blank line\r", &[(None, "no blank line")]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(name, data)| event(*name, data)).collect();
        assert_eq!(events(text), expected, "{text:?}");
    }
}

#[test]
fn f47_cuts_change_nothing() {
    let texts = [
        "\u{feff}event: e\r\ndata: {\"a\":\"h\u{e9}llo \u{1f600}\"}\r\n\r\n: ping\r\n\r\ndata: [DONE]\r\n\r\n",
        "data: a\n\ndata: b\ndata: c\n\n\ndata: d",
        "data: a\rdata: b\r\rdata: c\r\r",
        "data: a\r\n\n\r\n\rdata: b\n\r",
    ];
    for text in texts {
        let bytes = text.as_bytes();
        let whole = decode(&[bytes]).unwrap();
        assert!(whole.1.starts_with(bytes), "every byte is kept");
        for cut in 0..=bytes.len() {
            assert_eq!(decode(&[&bytes[..cut], &bytes[cut..]]).unwrap(), whole, "cut at {cut} of {text:?}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(&single).unwrap(), whole);
    }
}

#[test]
fn an_event_leaves_before_the_next_byte_comes() {
    for end in ["\n\n", "\r\n\r\n", "\r\r"] {
        let mut decoder = Decoder::default();
        decoder.push(format!("data: a{end}").as_bytes());
        assert!(matches!(decoder.next(), Ok(Some(Piece::Frame(_)))), "{end:?}");
    }
}

#[test]
fn f47_every_byte_counts_against_a_limit() {
    let line = |length: usize| [b"data: ".to_vec(), vec![b'x'; length - 7], b"\n\n".to_vec()].concat();
    assert!(decode(&[&line(limits::SSE_LINE_BYTES)]).is_ok());
    assert_eq!(decode(&[&line(limits::SSE_LINE_BYTES + 1)]), Err(InvalidSse::Line));
    assert_eq!(decode(&[&vec![b'x'; limits::SSE_LINE_BYTES + 1]]), Err(InvalidSse::Line));
    // Empty lines of data, comments and unknown fields fill an event as payload does.
    for filler in ["data:\n", "data\n", ":\n", "x:\r\n", "event: e\r"] {
        let count = limits::SSE_EVENT_BYTES / filler.len() + 1;
        assert_eq!(decode(&[filler.repeat(count).as_bytes()]), Err(InvalidSse::Event), "{filler:?}");
    }
    assert_eq!(decode(&[b"data: \xff\n\n"]), Err(InvalidSse::Utf8));
}

#[test]
fn f47_memory_stays_within_one_event() {
    let mut decoder = Decoder::default();
    let chunk = "data: some words\n\n".repeat(1_000);
    for _ in 0..100 {
        decoder.push(chunk.as_bytes());
        while decoder.next().unwrap().is_some() {}
        assert_eq!(decoder.buffer.len(), 0);
        assert!(decoder.buffer.capacity() <= 4 * chunk.len());
    }
}

#[test]
fn what_is_written_is_read() {
    let mut out = Vec::new();
    write(&mut out, Some("error"), "{\"a\":1}");
    write(&mut out, None, "two\nlines");
    assert_eq!(decode(&[&out]).unwrap().0, [event(Some("error"), "{\"a\":1}"), event(None, "two\nlines")]);
}

proptest! {
    #[test]
    fn any_cuts_of_any_bytes_change_nothing(
        bytes in prop::collection::vec(prop::sample::select(b"data: e\r\n\r\n:\n\r\xc3\xa9".to_vec()), 0..60),
        cuts in prop::collection::vec(0_usize..60, 0..4),
    ) {
        let whole = decode(&[&bytes]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.push(0);
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(decode(&chunks), whole);
    }
}

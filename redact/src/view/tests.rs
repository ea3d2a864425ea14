use super::*;

fn shown(raw: &str, escapes: Escapes) -> String {
    String::from_utf8(View::new(raw.as_bytes(), escapes).unwrap().bytes(raw.as_bytes()).to_vec()).unwrap()
}

#[test]
fn plain_ascii_is_not_copied() {
    let view = View::new(b"call me", Escapes::Json).unwrap();
    assert!(view.text.is_none());
    assert_eq!(view.raw_range(&(2..4)), 2..4);
}

#[test]
fn digits_spaces_and_dashes_become_ascii() {
    assert_eq!(shown("٠١٢ ９９\u{2011}1\u{a0}2", Escapes::None), "012 99-1 2");
    assert_eq!(shown("𝟏𝟐𝟑", Escapes::None), "123");
    assert_eq!(shown("a＠b．com", Escapes::None), "a@b.com");
}

#[test]
fn compatibility_forms_become_ascii_and_map_to_whole_characters() {
    for (class, written, plain) in [
        ("full width", "４１１１－ａｎｎ＠ｘ．ｏｒｇ", "4111-ann@x.org"),
        ("digits of other scripts", "٤١ ४१ ๔๑ 𑁪", "41 41 41 4"),
        ("mathematical digits", "𝟒𝟙𝟣𝟭𝟷", "41111"),
        ("mathematical letters", "𝐚𝑛𝓃 𝔩𝕖𝖾 𝙰𝗡", "ann lee AN"),
        ("letter-like symbols", "ℎℯℓℴ ℂℍℝ", "helo CHR"),
        ("ligatures", "oﬃce ﬂat ﬁve ﬀ ﬅ ﬆ", "office flat five ff st st"),
        ("above the line", "⁵³⁶-²²-⁸⁷²⁶", "536-22-8726"),
        ("below the line", "₅₃₆ ₂₂ ₀₁₄₇₈₉", "536 22 014789"),
        ("spaces and dashes", "5\u{2009}3\u{2012}6\u{2212}1", "5 3-6-1"),
        ("invisible", "5\u{200b}3\u{2060}\u{ad}6", "536"),
    ] {
        assert_eq!(shown(written, Escapes::None), plain, "{class}");
        let escaped: String = written.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        assert_eq!(shown(&escaped, Escapes::Json), plain, "{class}");
        let view = View::new(written.as_bytes(), Escapes::None).unwrap();
        assert_eq!(view.raw_range(&(0..plain.len())), 0..written.len(), "{class}");
    }
    // A footnote or an exponent is no part of its number.
    assert_eq!(shown("555-0100¹ 10² 7₁", Escapes::None), "555-0100¹ 10² 7₁");
    let raw = "oﬃce";
    let view = View::new(raw.as_bytes(), Escapes::None).unwrap();
    assert_eq!(raw.get(view.raw_range(&(2..3))), Some("ﬃ"));
}

#[test]
fn quotes_are_of_one_kind_and_other_marks_part_words() {
    assert_eq!(shown("“PIN”: ‘7’ «o’neil»", Escapes::None), "\"PIN\": '7' \"o'neil\"");
    assert_eq!(shown("•a→b📞1", Escapes::None), " a b 1");
}

#[test]
fn invisible_characters_vanish_and_ranges_still_cover_them() {
    let raw = "x 1\u{200b}2 y";
    let view = View::new(raw.as_bytes(), Escapes::None).unwrap();
    assert_eq!(view.bytes(raw.as_ref()), b"x 12 y");
    assert_eq!(&raw.as_bytes()[view.raw_range(&(2..4))], "1\u{200b}2".as_bytes());
    assert_eq!(view.raw_range(&(5..6)), raw.len() - 1..raw.len());
}

#[test]
fn escapes_decode_and_map_to_whole_escapes() {
    let raw = br"a\u0040b \ud840\udc00 \n";
    let view = View::new(raw, Escapes::Json).unwrap();
    assert_eq!(view.bytes(raw.as_ref()), "a@b \u{20000} \n".as_bytes());
    assert_eq!(view.raw_range(&(1..2)), 1..7);
    assert_eq!(view.raw_range(&(0..3)), 0..8);
    assert_eq!(view.raw_range(&(4..8)), 9..21);
}

#[test]
fn a_lone_surrogate_is_shown_as_replacement() {
    assert_eq!(shown(r"\ud83dx", Escapes::Json), "\u{fffd}x");
    assert_eq!(shown(r"\ud83d\u0041", Escapes::Json), "\u{fffd}A");
}

#[test]
fn broken_input_is_refused() {
    assert_eq!(View::new(br"\q", Escapes::Json).unwrap_err(), InvalidText::BrokenEscape);
    assert_eq!(View::new(b"\xff", Escapes::None).unwrap_err(), InvalidText::NotUtf8);
}

#[test]
fn look_alikes_change_only_in_mixed_tokens() {
    assert_eq!(shown("привет мир", Escapes::None), "привет мир");
    // The first letter of the local part and the second of the domain are Cyrillic.
    assert_eq!(shown("аnna@eхample.com", Escapes::None), "anna@example.com");
    let raw = "см. аnna@x.com";
    let view = View::new(raw.as_bytes(), Escapes::None).unwrap();
    let at = view.bytes(raw.as_ref()).len() - "anna@x.com".len();
    assert_eq!(
        &raw.as_bytes()[view.raw_range(&(at..view.bytes(raw.as_ref()).len()))],
        "аnna@x.com".as_bytes()
    );
}

#[test]
fn tables_are_sorted_and_look_alikes_have_two_bytes() {
    assert!(tables::LOOK_ALIKES.is_sorted_by_key(|row| row.0));
    assert!(tables::LETTERLIKE.is_sorted_by_key(|row| row.0));
    assert!(tables::ZEROS.is_sorted());
    assert!(tables::LOOK_ALIKES.iter().all(|row| (0x80..0x800).contains(&row.0)));
}

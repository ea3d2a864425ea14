//! Work grows with the input and no faster, on inputs made to hurt. Counted, never timed.
#![cfg(test)]

use chaperone_redact::{CustomSpec, Filter, Policy, PolicySpec, Query, Score, Unscannable, find};

fn work(text: &str) -> u64 {
    let custom = CustomSpec {
        name: "Hurt".into(),
        pattern: "(a*)*b|[0-9]+x".into(),
        context: vec![],
        score: Score::percent(60),
    };
    let spec = PolicySpec { filter: Filter::Strict, custom: vec![custom], ..PolicySpec::default() };
    let policy = Policy::compile(&spec).unwrap();
    find(text, &Query::new(&policy)).unwrap().work
}

#[test]
fn more_than_4096_findings_are_refused_and_long_tables_are_not() {
    let policy = Policy::compile(&PolicySpec::default()).unwrap();
    let find = |text: &str| find(text, &Query::new(&policy));
    assert_eq!(find(&"a@b.example ".repeat(4097)), Err(Unscannable::TooManyFindings));
    assert_eq!(find(&"2024,123456789,87654321\n".repeat(20_000)).unwrap().spans, []);
}

#[test]
fn twice_the_input_is_at_most_2_2_times_the_work() {
    let repeated = [
        "1",
        "1 ",
        "12-",
        "4111 1111 1111 1111 ",
        "@",
        "a@",
        "a@b.c@",
        "::",
        "a:",
        "1:",
        "-----BEGIN ",
        "eyJ",
        "eyJ.",
        "sk-",
        "ab12",
        "password=",
        "password:x",
        "://a:",
        "0x",
        "bc1q",
        "1.1.1.1.",
        "00:",
        "DE89 ",
        "AB ",
        "March 1 ",
        "ssn ",
        "\u{430}b@",
        "é",
        "日",
        "a.",
        "_1",
        "bG9y",
        "bG9yZW0gaXBzdW0gZG9sb3Ig/",
        "NDExMSAxMTExIDExMTEgMTEx ",
    ];
    for piece in repeated {
        let text = |bytes: usize| piece.repeat(bytes / piece.len());
        let (once, twice) = (work(&text(12_000)), work(&text(24_000)));
        assert!(twice * 10 <= once * 22, "{piece:?}: {once} then {twice}");
        assert!(once <= 12_000 * 200, "{piece:?} costs {} per byte", once / 12_000);
    }
}

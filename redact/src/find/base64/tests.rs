use super::{Runs, SHORTEST};
use crate::{Entity, Filter, Policy, PolicySpec, Query, find};

const CARD: &str = "Y2FyZCA0MTExIDExMTEgMTExMSAxMTExIG9r";
/// `lorem ipsum dolor sit amet, we`, which can be repeated.
const PROSE: &str = "bG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIHdl";

fn found(filter: Filter, text: &str) -> Vec<String> {
    let policy = Policy::compile(&PolicySpec { filter, ..PolicySpec::default() }).unwrap();
    let spans = find(text, &Query::new(&policy)).unwrap().spans;
    spans.iter().map(|span| format!("{}:{}", span.entity, text.get(span.range.clone()).unwrap())).collect()
}

#[test]
fn a_value_with_a_check_masks_its_whole_run_at_strict_alone() {
    for (run, entity) in [
        (CARD, "CREDIT_CARD"),
        ("UGF5IERFODkgMzcwNCAwMDQ0IDA1MzIgMDEzMCAwMA==", "IBAN"),
        ("UGF5IERFODkgMzcwNCAwMDQ0IDA1MzIgMDEzMCAwMA", "IBAN"),
        ("NDExMTExMTExMTExMTExMX4/Pn4/Pg==", "CREDIT_CARD"),
        ("NDExMTExMTExMTExMTExMX4_Pn4_Pg", "CREDIT_CARD"),
        ("dGhlIGtleSBpcyBBS0lBSU9TRk9ETk43RVhBTVBMRS4=", "SECRET"),
        ("dG8gMUExelAxZVA1UUdlZmkyRE1QVGZUTDVTTG12N0RpdmZOYQ==", "CRYPTO_WALLET"),
        // "José" in Latin-1, and a card in full width.
        ("Sm9z6TogNDExMSAxMTExIDExMTEgMTExMQ==", "CREDIT_CARD"),
        ("77yU77yR77yR77yRIO+8ke+8ke+8ke+8kSDvvJHvvJHvvJHvvJEg77yR77yR77yR77yR", "CREDIT_CARD"),
    ] {
        for text in [
            run.to_owned(),
            format!("It is \"{run}\", as sent."),
            format!("data:text/plain;base64,{run}"),
            format!("https://shop.example/pay?q={run}&x=1"),
        ] {
            assert_eq!(found(Filter::Strict, &text), [format!("{entity}:{run}")], "{text}");
            assert_eq!(found(Filter::Balanced, &text), Vec::<String>::new(), "{text}");
        }
    }
}

#[test]
fn a_part_of_a_path_is_a_run_of_its_own() {
    let text = format!("https://shop.example/pay/{CARD}/now");
    assert_eq!(found(Filter::Strict, &text), [format!("CREDIT_CARD:{CARD}")]);
}

#[test]
fn what_is_glued_to_the_front_hides_no_value() {
    for (before, masked) in [
        ("id_", CARD),
        ("token-", CARD),
        ("ref-x-", CARD),
        ("123e4567-e89b-12d3-a456-426614174000_", CARD),
        ("https://shop.example/pay?q%3D", CARD),
        ("a%2B", CARD),
        ("/users/x-", CARD),
        ("id", &format!("id{CARD}")),
        ("token", &format!("token{CARD}")),
    ] {
        assert_eq!(
            found(Filter::Strict, &format!("see {before}{CARD} now")),
            [format!("CREDIT_CARD:{masked}")],
            "{before}"
        );
    }
    let url_safe = "NDExMTExMTExMTExMTExMX4_Pn4_Pg";
    assert_eq!(found(Filter::Strict, &format!("id_{url_safe}")), [format!("CREDIT_CARD:id_{url_safe}")]);
}

#[test]
fn a_long_run_is_read_in_steps() {
    let policy = Policy::compile(&PolicySpec { filter: Filter::Strict, ..PolicySpec::default() }).unwrap();
    for run in
        [PROSE.repeat(1600), "x-".to_owned() + &PROSE.repeat(1600), CARD.repeat(1600), "/".repeat(1 << 16)]
    {
        let text = format!("a {run}= b");
        let mut runs = Runs::of(text.as_bytes()).unwrap();
        let (mut spans, mut steps) = (Vec::new(), 0);
        loop {
            let before = runs.work;
            let spent = runs.step(text.as_bytes(), 512, &Query::new(&policy), &mut spans).unwrap();
            assert!(spent <= 512 + SHORTEST && runs.work - before <= 512, "{spent}");
            if spent == 0 {
                break;
            }
            steps += 1;
        }
        assert!(steps > 128, "{steps}");
        assert_eq!(spans.len(), usize::from(run.starts_with(CARD)));
    }
}

#[test]
fn what_decodes_to_no_checked_value_is_left_alone() {
    for text in [
        "YW5uLmxlZUBleGFtcGxlLm9yZyBpcyBteSBtYWls", // ann.lee@example.org is my mail
        "bXkgc3NuIGlzIDUzNi0yMi04NzI2IHRvZGF5",     // my ssn is 536-22-8726 today
        "b3JkZXIgNDExMSAxMTExIDExMTEgMTExMiBoZXJl", // order 4111 1111 1111 1112 here
        "WTJGeVpDQTBNVEV4SURFeE1URWdNVEV4TVNBeE1URXhJRzly", // a card, twice encoded
        "AAAANDExMSAxMTExIDExMTEgMTExMQAAAAAAAAAAAAAAAAAA", // a card among bytes that are no text
        "NDExMTExMTExMTExMTExMQ",                   // a card alone, too short
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", // a hash
        "123e4567-e89b-12d3-a456-426614174000",
        "internationalization/of/the/documentation-pages",
        PROSE,
    ] {
        assert_eq!(found(Filter::Strict, text), Vec::<String>::new(), "{text}");
    }
    for media in ["image/svg+xml", "IMAGE/svg+xml;charset=utf-8", "audio/x", "video/x", "font/woff2"] {
        assert_eq!(found(Filter::Strict, &format!("![i](data:{media};base64,{CARD})")), Vec::<String>::new());
    }
}

#[test]
fn other_findings_keep_their_own_label_and_only_what_is_asked_for_is_found() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJjYXJkIjoiNDExMTExMTExMTExMTExMSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
    assert_eq!(found(Filter::Strict, jwt), [format!("SECRET:{jwt}")]);
    let spec = PolicySpec {
        filter: Filter::Strict,
        entities: Some(vec![Entity::Iban]),
        allow: vec!["DE89 3704 0044 0532 0130 00".into()],
        ..PolicySpec::default()
    };
    let policy = Policy::compile(&spec).unwrap();
    for text in [CARD, "UGF5IERFODkgMzcwNCAwMDQ0IDA1MzIgMDEzMCAwMA=="] {
        assert_eq!(find(text, &Query::new(&policy)).unwrap().spans, [], "{text}");
    }
}

#[test]
fn a_run_of_any_length_is_masked_whole_and_64_kib_of_it_are_decoded() {
    for before in [0, 1, 12, 13, 100, 1600] {
        let run = format!("{}{CARD}{}", PROSE.repeat(before), PROSE.repeat(3));
        assert_eq!(found(Filter::Strict, &format!("a {run}=")).len(), 1, "{before}");
        assert_eq!(found(Filter::Strict, &format!("a {run}=")), [format!("CREDIT_CARD:{run}=")], "{before}");
    }
    let beyond = format!("{}{CARD}", PROSE.repeat(1639));
    assert_eq!(found(Filter::Strict, &beyond), Vec::<String>::new());
}

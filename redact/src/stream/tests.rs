use super::*;
use crate::policy::{Filter, PolicySpec};
use crate::pseudonym::{Form, Kind, Link, PseudonymKey};
use crate::{Entity, FieldTable, Rules, redact_json, redact_text};

const PLAIN: Form = Form { surrogate: None, link: Link::None };

fn policy(action: Action) -> Policy {
    Policy::compile(&PolicySpec { filter: Filter::Balanced, action, ..PolicySpec::default() }).unwrap()
}

fn vault() -> Vault {
    Vault::new(PseudonymKey::new([9; 32]), "alpha", "")
}

const PROSE: &str = "Hello Ann, please call (212) 555-0187 or write to ann.lee@exämple.org before March 12, 1985. \
    Naïve café — the card is 4111 1111 1111 1111 and the IBAN DE89 3704 0044 0532 0130 00, thanks. \
    Born on March 12, 1985 and paid with key AKIAIOSFODNN7EXAMPLE at 203.0.113.7, 日本語 ok. \
    Numbers: 1 22 333 4444 55555 666666 7777777 88888888 999999999 1 22 333 4444 55555 666666 7777777 88888888 999999999 \
    1 22 333 4444 55555 666666 7777777 88888888 999999999 1 22 333 4444 55555 666666 7777777 536-22-8726 12 12 12 12.";

fn whole(text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let policy = Arc::new(policy(Action::Label));
    let (mut stream, mut vault) = (StreamRedactor::new(policy, None), vault());
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        out.extend(stream.push(&text[from..cut], &mut vault).unwrap());
        assert!(stream.held.len() <= MAX_HELD);
        from = cut;
    }
    out.extend(stream.flush(&mut vault).unwrap());
    out
}

#[test]
fn f53_every_cut_gives_the_same_bytes() {
    let expected = whole(PROSE.as_bytes(), &[]);
    let text = String::from_utf8(expected.clone()).unwrap();
    for value in ["555-0187", "ann.lee", "4111", "DE89", "AKIA", "203.0.113.7", "536-22-8726"] {
        assert!(!text.contains(value), "{value} in {text}");
    }
    assert_eq!(whole(PROSE.as_bytes(), &(1..PROSE.len()).collect::<Vec<_>>()), expected);
    for cut in 1..PROSE.len() {
        assert_eq!(whole(PROSE.as_bytes(), &[cut]), expected, "cut at {cut}");
    }
}

#[test]
fn a_long_secret_is_masked_from_its_first_byte_to_its_last() {
    let body = "MIIEpAIBAAKCAQEA7\n".repeat(60);
    let text = format!(
        "key:\n-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----\nthen more words follow here"
    );
    let expected = "key:\n[SECRET]\nthen more words follow here";
    for step in [1, 7, 100, 5000] {
        let cuts: Vec<usize> = (1..text.len()).step_by(step).collect();
        assert_eq!(String::from_utf8(whole(text.as_bytes(), &cuts)).unwrap(), expected, "step {step}");
    }
    let token = format!("use eyJ{}.eyJ{}.sig{} now", "a1B2".repeat(80), "c3D4".repeat(80), "e5".repeat(40));
    assert_eq!(String::from_utf8(whole(token.as_bytes(), &[5, 99])).unwrap().matches("a1B2").count(), 0);
}

fn arguments(text: &[u8], cuts: &[usize]) -> String {
    let policy = Arc::new(policy(Action::Label));
    let (mut stream, mut vault) = (ArgumentRedactor::new(policy, None), vault());
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        out.extend(stream.push(&text[from..cut], &mut vault).unwrap());
        from = cut;
    }
    out.extend(stream.flush(&mut vault).unwrap());
    String::from_utf8(out).unwrap()
}

#[test]
fn f53_arguments_are_redacted_across_escapes_and_stay_json() {
    let text = r#"{"to":"ann\u0040example.org \ud83d\ude00","ssn": 536228726,"n":[1,-2.5e3],"note":"say \"hi\" to +49 30 901820"}"#.as_bytes();
    let expected = arguments(text, &[]);
    assert_eq!(
        expected,
        r#"{"to":"[EMAIL] \ud83d\ude00","ssn": "[SSN]","n":[1,-2.5e3],"note":"say \"hi\" to [PHONE]"}"#
    );
    for cut in 1..text.len() {
        assert_eq!(arguments(text, &[cut]), expected, "cut at {cut}");
    }
    assert_eq!(arguments(text, &(1..text.len()).collect::<Vec<_>>()), expected);
}

fn restore(vault: &Vault, landing: Landing, text: &str, cuts: &[usize]) -> String {
    let mut stream = StreamRestorer::new(vault, landing);
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        out.extend(stream.push(&text.as_bytes()[from..cut]));
        from = cut;
    }
    out.extend(stream.flush());
    String::from_utf8(out).unwrap()
}

#[test]
fn placeholders_are_restored_through_what_models_do_to_them() {
    let mut vault = vault();
    let tag = vault.mint("PERSON", "Ann \"Q\" Lee", PLAIN);
    let (label, code) = tag.split_once('_').unwrap();
    for bent in [
        tag.clone(),
        tag.to_lowercase(),
        format!("{label}\\_{code}"),
        format!("{label} {code}"),
        format!("{label}\u{2011}{code}"),
        format!("{label}_\u{200b}{code}"),
        format!("{label}**_{code}"),
    ] {
        let text = format!("Dear {bent}, and {bent}'s friends (`{bent}`)");
        let wanted = "Dear Ann \"Q\" Lee, and Ann \"Q\" Lee's friends (`Ann \"Q\" Lee`)";
        assert_eq!(restore(&vault, Landing::Text, &text, &[]), wanted, "{bent}");
        for cut in 1..text.len() {
            assert_eq!(restore(&vault, Landing::Text, &text, &[cut]), wanted, "{bent} cut at {cut}");
        }
        assert_eq!(restore(&vault, Landing::Text, &text, &(1..text.len()).collect::<Vec<_>>()), wanted);
    }
}

#[test]
fn urls_foreign_tags_and_numbers_keep_their_placeholders() {
    let mut vault = vault();
    let tag = vault.mint("PERSON", "Ann", PLAIN);
    for text in [
        format!("https://x.example/?q={tag}"),
        format!("![i](x/{tag})"),
        format!("<img src=\"{tag}\">"),
        "PERSON_00000 PERSON".to_owned(),
        format!("{tag}9"),
        format!("X{tag}"),
    ] {
        assert_eq!(restore(&vault, Landing::Text, &text, &[]), text);
    }
    let json = format!(r#"{{"n":{tag},"s":"a {tag}"}}"#);
    assert_eq!(restore(&vault, Landing::Json, &json, &[]), format!(r#"{{"n":{tag},"s":"a Ann"}}"#));
}

#[test]
fn f53_surrogates_of_the_request_are_left_for_the_restorer() {
    let mut asked = vault();
    let values = [
        (Entity::Email, "ann.lee@corp.org"),
        (Entity::Phone, "+49 30 901820"),
        (Entity::CreditCard, "4111 1111 1111 1111"),
        (Entity::Ip, "10.1.2.3"),
    ];
    let form = |entity| Form { surrogate: Kind::of(entity), link: Link::None };
    let minted = values.map(|(entity, value)| asked.mint(entity.label(), value, form(entity)));
    let [email, phone, card, ip] = &minted;
    let spaced = |digits: &str| {
        let (first, rest) = digits.split_at(digits.len() - 4);
        format!("{first} {rest}")
    };
    let text = format!(
        "Write to {email}, call {phone} or {}, pay {card} or {} at {ip}, not bob@example.net at 203.0.113.255 or +1 212 555 0187.",
        spaced(phone.strip_prefix("+1").unwrap()),
        spaced(card)
    );
    let policy = Arc::new(policy(Action::Label));
    for cut in 1..text.len() {
        let (mut stream, mut own) = (StreamRedactor::new(Arc::clone(&policy), None), vault().sparing(&asked));
        let mut out = stream.push(&text.as_bytes()[..cut], &mut own).unwrap();
        out.extend(stream.push(&text.as_bytes()[cut..], &mut own).unwrap());
        out.extend(stream.flush(&mut own).unwrap());
        let wanted = text
            .replace("bob@example.net", "[EMAIL]")
            .replace("203.0.113.255", "[IP]")
            .replace("+1 212 555 0187", "[PHONE]");
        assert_eq!(String::from_utf8(out).unwrap(), wanted, "cut at {cut}");
        assert_eq!(stream.counts().len(), 3);
    }
    let json = format!("{{\"card\":{card},\"more\":[\"{email}\",{phone}]}}").replace('+', "");
    let mut own = vault().sparing(&asked);
    let mut arguments = ArgumentRedactor::new(Arc::clone(&policy), None);
    let mut out = arguments.push(json.as_bytes(), &mut own).unwrap();
    out.extend(arguments.flush(&mut own).unwrap());
    assert_eq!(String::from_utf8(out).unwrap(), json);
    let rules = Rules { policy: &policy, table: FieldTable::Unknown, names: None };
    assert!(redact_json(json.as_bytes(), rules, &mut own).unwrap().counts().is_empty());
}

/// Rows far below the head, and longer than the context that is kept of prose.
const TABLE: &str = "Here is the table you asked for:\n\n| Customer | SSN | Date of birth | City of residence |\n\
    |---|---|---|---|\n| Ann Lee | 536708528 | 12/03/1985 | Paris, in the old house by the river |\n\
    | Bob Ray | 536708529 | 13/03/1985 | Berlin |\n| Carl Moe | 536708531 | 14/03/1985 | Madrid |\n\
    | Dora Fay | 536708532 | 15/03/1985 | Rome, where she and her two brothers have lived for many years now |\n\
    | Eve Poe | 536708533 | 16/03/1985 | Oslo |\n| Fay Rae | 536708534 | 17/03/1985 | Bonn |\n\
    \nThe order 536708535 of 17/03/2025 is on its way and comes in a few days from now.";

#[test]
fn f53_columns_of_a_table_are_found_however_far_below_their_head() {
    let names = crate::ner::Tagger::embedded().unwrap();
    let taggers: [Option<&dyn NameFinder>; 2] = [None, Some(names)];
    let spec = |entities: Vec<Entity>| PolicySpec {
        filter: Filter::Balanced,
        action: Action::Label,
        entities: Some(entities),
        ..PolicySpec::default()
    };
    for (at, names) in taggers.into_iter().enumerate() {
        let person = [Entity::Person].into_iter().take(at);
        let entities = [Entity::Ssn, Entity::DateOfBirth].into_iter().chain(person).collect();
        let policy = Arc::new(Policy::compile(&spec(entities)).unwrap());
        let rules = Rules { policy: &policy, table: FieldTable::Unknown, names };
        let wanted = redact_text(TABLE, rules, &mut vault()).unwrap().to_vec();
        let wanted = String::from_utf8(wanted).unwrap();
        assert_eq!(wanted.matches("[SSN]").count(), 6, "{wanted}");
        for step in [1, 3, 7, 50, TABLE.len()] {
            let (mut stream, mut vault) = (StreamRedactor::new(Arc::clone(&policy), names), vault());
            let mut out = Vec::new();
            for piece in TABLE.as_bytes().chunks(step) {
                out.extend(stream.push(piece, &mut vault).unwrap());
                if at == 0 {
                    out.extend(stream.pause(&mut vault).unwrap());
                }
            }
            out.extend(stream.flush(&mut vault).unwrap());
            let out = String::from_utf8(out).unwrap();
            for part in TABLE.split(['|', '\n']).filter(|part| part.contains(['/', '5']) && part.len() < 20) {
                assert!(!out.contains(part), "{part} of pieces of {step} in {out}");
            }
        }
        let mut stream = StreamRedactor::new(policy, names);
        assert_eq!(stream.finish(TABLE.as_bytes(), &mut vault()).unwrap(), wanted.as_bytes());
    }
}

#[test]
fn f53_columns_of_a_table_in_arguments_are_found_however_far_below_their_head() {
    let spec = PolicySpec {
        filter: Filter::Balanced,
        action: Action::Label,
        entities: Some(vec![Entity::Ssn, Entity::DateOfBirth]),
        ..PolicySpec::default()
    };
    let policy = Arc::new(Policy::compile(&spec).unwrap());
    let arguments = serde_json::json!({"note": "none", "table": TABLE, "order": "536708535"}).to_string();
    let redacted = |step: usize| {
        let (mut stream, mut vault) = (ArgumentRedactor::new(Arc::clone(&policy), None), vault());
        let pieces = arguments.as_bytes().chunks(step);
        let mut out: Vec<u8> = pieces.flat_map(|piece| stream.push(piece, &mut vault).unwrap()).collect();
        out.extend(stream.flush(&mut vault).unwrap());
        String::from_utf8(out).unwrap()
    };
    let whole = redacted(arguments.len());
    assert_eq!((whole.matches("[SSN]").count(), whole.matches("[DATE_OF_BIRTH]").count()), (6, 6), "{whole}");
    for kept in ["The order 536708535 of 17/03/2025", "\"order\":\"536708535\"", "| Bob Ray |"] {
        assert!(whole.contains(kept), "{kept} in {whole}");
    }
    for step in [1, 3, 7, 50] {
        assert_eq!(redacted(step), whole, "pieces of {step}");
    }
}

#[test]
fn a_pause_lets_go_of_what_begins_nothing() {
    let names = crate::ner::Tagger::embedded().unwrap();
    let policy = Arc::new(policy(Action::Label));
    let said = |text: &str| {
        let mut stream = StreamRedactor::new(Arc::clone(&policy), Some(names));
        let mut vault = vault();
        let first = stream.push(text.as_bytes(), &mut vault).unwrap();
        assert_eq!(String::from_utf8(first).unwrap(), "", "held until its sentence ends");
        String::from_utf8(stream.pause(&mut vault).unwrap()).unwrap()
    };
    assert_eq!(said("They said that the garden was green and qui"), "They said that the garden was green ");
    assert_eq!(said("I think that it was the kind Angela Mer"), "I think that it was the ");
    assert_eq!(said("the number to call us is +49 30 90"), "the number to call us ");
    assert_eq!(said("ann"), "");
}

/// Values of several words, and a part of each that must not leave.
const SPREAD: [(&str, &[&str]); 5] = [
    ("you can reach them via john.doe at example dot com if that helps", &["john", "example"]),
    ("you can reach them via john.doe (at) example (dot) com if that helps", &["john", "example"]),
    ("you can reach them via ann[at] example [dot] org if that helps", &["ann", "example"]),
    (
        "the office is in Paseo de la Castellana 89, 28046 Madrid if that helps",
        &["Paseo", "Castellana", "28046"],
    ),
    ("it is au 12, rue de la Paix, 75002 Paris if that helps", &["rue", "Paix", "75002"]),
];

#[test]
fn f53_pauses_anywhere_let_no_part_of_a_value_of_several_words_go() {
    let names = crate::ner::Tagger::embedded().unwrap();
    let policy = Arc::new(policy(Action::Label));
    let said = |text: &str, cuts: &[usize]| {
        let (mut stream, mut vault, mut from) =
            (StreamRedactor::new(Arc::clone(&policy), Some(names)), vault(), 0);
        let mut out = Vec::new();
        for cut in cuts {
            out.extend(stream.push(&text.as_bytes()[from..*cut], &mut vault).unwrap());
            out.extend(stream.pause(&mut vault).unwrap());
            from = *cut;
        }
        out.extend(stream.push(&text.as_bytes()[from..], &mut vault).unwrap());
        out.extend(stream.flush(&mut vault).unwrap());
        String::from_utf8(out).unwrap()
    };
    let named = (
        "Robert Manning, engineer at Gilbert, Walker and Rose, declined to comment.",
        ["Robert", "Walker", "Rose"].as_slice(),
    );
    for (text, parts) in SPREAD.into_iter().chain([named]) {
        let all: Vec<usize> = (1..text.len()).collect();
        let ways = all.iter().map(std::slice::from_ref).chain([all.as_slice()]);
        for cuts in ways {
            let out = said(text, cuts);
            assert!(!parts.iter().any(|part| out.contains(part)), "{out} of pauses at {cuts:?}");
        }
    }
}

#[test]
fn f53_values_of_several_words_are_found_where_no_names_are_looked_for() {
    for (text, parts) in SPREAD {
        let spec = PolicySpec {
            entities: Some(vec![Entity::Email, Entity::Address]),
            filter: Filter::Balanced,
            action: Action::Label,
            ..PolicySpec::default()
        };
        let alone = PolicySpec { entities: Some(vec![Entity::Email]), ..spec.clone() };
        for spec in [spec].into_iter().chain(parts.contains(&"example").then_some(alone)) {
            let policy = Arc::new(Policy::compile(&spec).unwrap());
            for step in [1, 5, text.len()] {
                let (mut stream, mut vault) = (StreamRedactor::new(Arc::clone(&policy), None), vault());
                let pieces = text.as_bytes().chunks(step);
                let mut out: Vec<u8> =
                    pieces.flat_map(|piece| stream.push(piece, &mut vault).unwrap()).collect();
                out.extend(stream.flush(&mut vault).unwrap());
                let out = String::from_utf8(out).unwrap();
                assert!(!parts.iter().any(|part| out.contains(part)), "{out} in pieces of {step}");
            }
        }
    }
}

#[test]
fn pauses_anywhere_let_no_part_of_a_value_go() {
    let names = crate::ner::Tagger::embedded().unwrap();
    let text = "They told me that she met Angela Merkel in the garden, wrote to ann.lee@example.org about it and \
        gave the card 4111 1111 1111 1111 to a man who was born on 12 March 1985 in the old house by the river.";
    let policy = Arc::new(policy(Action::Label));
    for cut in 1..text.len() {
        let (mut stream, mut vault) = (StreamRedactor::new(Arc::clone(&policy), Some(names)), vault());
        let mut out = stream.push(&text.as_bytes()[..cut], &mut vault).unwrap();
        out.extend(stream.pause(&mut vault).unwrap());
        out.extend(stream.push(&text.as_bytes()[cut..], &mut vault).unwrap());
        out.extend(stream.flush(&mut vault).unwrap());
        let out = String::from_utf8(out).unwrap();
        for part in ["Angela", "Merkel", "ann.lee", "example", "4111", "1111", "March", "1985"] {
            assert!(!out.contains(part), "cut at {cut}: {out}");
        }
    }
}

/// `lorem ipsum dolor sit amet, we` and a card, as base64.
const ENCODED_PROSE: &str = "bG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIHdl";
const ENCODED_CARD: &str = "Y2FyZCA0MTExIDExMTEgMTExMSAxMTExIG9r";

/// The same bytes for every cut, as text and within arguments; what is left of `text` in both.
fn strict(text: &str) -> [String; 2] {
    let policy = Policy::compile(&PolicySpec {
        filter: Filter::Strict,
        action: Action::Label,
        ..PolicySpec::default()
    });
    let policy = Arc::new(policy.unwrap());
    let json = serde_json::json!({ "note": text }).to_string().replace('/', "\\/");
    let plain = |parts: &[&[u8]]| {
        let (mut stream, mut vault) = (StreamRedactor::new(Arc::clone(&policy), None), vault());
        let mut out: Vec<u8> = parts.iter().flat_map(|part| stream.push(part, &mut vault).unwrap()).collect();
        assert!(stream.held.len() <= MAX_HELD);
        out.extend(stream.flush(&mut vault).unwrap());
        String::from_utf8(out).unwrap()
    };
    let arguments = |parts: &[&[u8]]| {
        let (mut stream, mut vault) = (ArgumentRedactor::new(Arc::clone(&policy), None), vault());
        let mut out: Vec<u8> = parts.iter().flat_map(|part| stream.push(part, &mut vault).unwrap()).collect();
        out.extend(stream.flush(&mut vault).unwrap());
        String::from_utf8(out).unwrap()
    };
    let (whole_text, whole_json) = (plain(&[text.as_bytes()]), arguments(&[json.as_bytes()]));
    for cut in 1..text.len() {
        let (one, other) = text.as_bytes().split_at(cut);
        assert_eq!(plain(&[one, other]), whole_text, "cut at {cut}");
    }
    for cut in 1..json.len() {
        let (one, other) = json.as_bytes().split_at(cut);
        assert_eq!(arguments(&[one, other]), whole_json, "cut at {cut}");
    }
    [whole_text, whole_json]
}

#[test]
fn f53_base64_is_masked_however_it_is_cut() {
    for before in [0, 3, 60, 183] {
        for after in [0, 6] {
            let words = "word ".repeat(before / 5) + &"x".repeat(before % 5);
            let text = format!("{words} {ENCODED_CARD}{} and on", ENCODED_PROSE.repeat(after));
            let [text, json] = strict(&text);
            assert_eq!(text, format!("{words} [CREDIT_CARD] and on"));
            assert_eq!(json, format!("{{\"note\":\"{words} [CREDIT_CARD] and on\"}}"));
        }
    }
    // In the other forms of the same, escaped slashes and padding among them.
    let [text, json] = strict("see NDExMTExMTExMTExMTExMX4/Pn4/Pg== and NDExMTExMTExMTExMTExMX4_Pn4_Pg, yes");
    assert_eq!(text, "see [CREDIT_CARD] and [CREDIT_CARD], yes");
    assert_eq!(json, "{\"note\":\"see [CREDIT_CARD] and [CREDIT_CARD], yes\"}");
}

#[test]
fn base64_that_is_longer_than_what_is_held_is_judged_in_pieces() {
    for start in 0..4 {
        let pad = "y".repeat(start);
        let run = ENCODED_PROSE.repeat(10) + ENCODED_CARD + &ENCODED_PROSE.repeat(6);
        // Two pieces have left, and the value is whole in the next one.
        let [text, json] = strict(&format!("{pad}({run} end"));
        for out in [&text, &json] {
            assert!(out.contains("[CREDIT_CARD] end") && !out.contains("MTExMSAx"), "{start}: {out}");
        }
    }
    let clean = format!("a {} b", ENCODED_PROSE.repeat(12));
    assert_eq!(strict(&clean)[0], clean);
}

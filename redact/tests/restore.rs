//! Restores placeholders through what models do to them, and pins what is not restored.
//!
//! Run with `--nocapture` to see the figures.
#![cfg(test)]

use std::collections::BTreeMap;

use chaperone_redact::{
    Action, FieldTable, Filter, Landing, Policy, PolicySpec, PseudonymFormat, PseudonymKey, PseudonymSpec,
    Rules, StreamRestorer, Urls, Vault, redact_text,
};

/// Sentences with a value each, and room for the placeholder to be bent.
const VALUES: [&str; 8] = [
    "ann.lee@example.org",
    "+49 30 901820",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "203.0.113.7",
    "00:1B:44:11:3A:B7",
    "AKIAIOSFODNN7EXAMPLE",
    "ssn 536-22-8726",
];

fn policy(format: PseudonymFormat) -> Policy {
    let pseudonym = PseudonymSpec { format, ..PseudonymSpec::default() };
    let spec = PolicySpec {
        filter: Filter::Balanced,
        action: Action::Pseudonym,
        pseudonym,
        ..PolicySpec::default()
    };
    Policy::compile(&spec).unwrap()
}

fn vault(seed: u8) -> Vault {
    Vault::new(PseudonymKey::new([seed; 32]), "alpha", "")
}

/// What the partner sees of `value`, and the vault that leads back.
fn sent(value: &str, policy: &Policy, seed: u8) -> (String, Vault) {
    let mut vault = vault(seed);
    let rules = Rules { policy, table: FieldTable::Unknown, names: None };
    let text = redact_text(value.as_bytes(), rules, &mut vault).unwrap().to_vec();
    (String::from_utf8(text).unwrap().split(' ').next_back().unwrap().to_owned(), vault)
}

fn restored(text: &str, vault: &Vault, landing: Landing) -> String {
    let mut restorer = StreamRestorer::new(vault, landing);
    let mut out = restorer.push(text.as_bytes());
    out.extend(restorer.flush());
    String::from_utf8(out).unwrap()
}

/// Ten kinds of mutation of a tag.
fn bent(tag: &str) -> BTreeMap<&'static str, Vec<String>> {
    let (label, code) = tag.rsplit_once('_').unwrap();
    let title: String = label.split_at(1).0.to_owned()
        + &label.to_lowercase().split_off(1)
        + "_"
        + code.split_at(1).0
        + &code.to_lowercase().split_off(1);
    BTreeMap::from([
        ("case", vec![tag.to_lowercase(), title]),
        ("escaped underscore", vec![tag.replace('_', "\\_"), format!("{label}\\_{code}")]),
        ("space", vec![tag.replace('_', " "), format!("{label}\u{a0}{code}")]),
        ("dash", ["-", "\u{2011}", "\u{2013}", "\u{2212}"].map(|dash| tag.replace('_', dash)).to_vec()),
        (
            "several separators",
            vec![format!("{label}_ {code}"), format!("{label} - {code}"), format!("{label}__{code}")],
        ),
        (
            "emphasis",
            vec![
                format!("**{tag}**"),
                format!("*{label}*_{code}"),
                format!("{label}_**{code}**"),
                format!("__{tag}__"),
            ],
        ),
        (
            "invisible marks",
            ["\u{200b}", "\u{ad}", "\u{2060}"].map(|mark| format!("{label}_{mark}{code}")).to_vec(),
        ),
        (
            "quotes and brackets",
            vec![
                format!("\"{tag}\""),
                format!("[{tag}]"),
                format!("`{tag}`"),
                format!("<{tag}>"),
                format!("“{tag}”"),
            ],
        ),
        ("endings", vec![format!("{tag}'s"), format!("{tag}s"), format!("{tag}’s"), format!("{tag}-like")]),
        (
            "bare beside its label",
            vec![
                format!("{label} ({code})"),
                format!("{}: {code}", label.to_lowercase()),
                format!("{label} #{code}"),
            ],
        ),
    ])
}

#[test]
fn unmodified_tags_are_always_restored_and_mutations_nearly_always() {
    let policy = policy(PseudonymFormat::Tag);
    let (mut whole, mut tried) = (0, 0);
    let mut kinds: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for seed in 0..25 {
        for value in VALUES {
            let (tag, vault) = sent(value, &policy, seed);
            let plain = value.strip_prefix("ssn ").unwrap_or(value);
            for frame in ["{}", "Dear {}, hello.", "a\n- {}\n", "({})", "x,{},y", "日本{}です"] {
                tried += 1;
                whole += u32::from(
                    restored(&frame.replace("{}", &tag), &vault, Landing::Text) == frame.replace("{}", plain),
                );
            }
            for (kind, all) in bent(&tag) {
                for text in all {
                    let done = restored(&format!("Dear {text}, hello."), &vault, Landing::Text);
                    let code = tag.rsplit_once('_').unwrap().1.to_lowercase();
                    let good = done.contains(plain) && !done.to_lowercase().contains(&code);
                    let count = kinds.entry(kind).or_default();
                    *count = (count.0 + u32::from(good), count.1 + 1);
                }
            }
        }
    }
    println!("{:<24} {whole:>5} of {tried}", "unmodified");
    kinds.iter().for_each(|(kind, (good, all))| println!("{kind:<24} {good:>5} of {all}"));
    let (good, all) = kinds.values().fold((0, 0), |sum, kind| (sum.0 + kind.0, sum.1 + kind.1));
    println!("{:<24} {good:>5} of {all}: {:.1} %", "mutations", f64::from(good) * 100.0 / f64::from(all));
    assert_eq!(whole, tried);
    assert!(kinds.len() == 10 && good * 100 >= all * 97);
}

#[test]
fn surrogates_are_restored_in_the_spellings_of_models() {
    let policy = policy(PseudonymFormat::Surrogate);
    for seed in 0..20 {
        let (phone, vault) = sent("call +49 30 901820", &policy, seed);
        let digits = phone.trim_start_matches("+1");
        let (area, rest) = digits.split_at(3);
        let (exchange, line) = rest.split_at(3);
        for text in [
            phone.clone(),
            format!("+1 {area} {exchange} {line}"),
            format!("({area}) {exchange}-{line}"),
            format!("{area}-{exchange}-{line}"),
            format!("1.{area}.{exchange}.{line}"),
        ] {
            assert_eq!(
                restored(&format!("Call {text}."), &vault, Landing::Text),
                "Call +49 30 901820.",
                "{text}"
            );
            let longer = format!("Call {text}7.");
            assert_eq!(restored(&longer, &vault, Landing::Text), longer);
        }
        let (card, vault) = sent("card 4111 1111 1111 1111", &policy, seed);
        let grouped = card
            .as_bytes()
            .chunks(4)
            .map(|group| str::from_utf8(group).unwrap())
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(restored(&grouped, &vault, Landing::Text), "4111 1111 1111 1111");
        for value in ["ann.lee@example.org", "10.20.30.40", "fe80::1:2", "3C-22-FB-00-00-01"] {
            let (surrogate, vault) = sent(value, &policy, seed);
            assert_ne!(surrogate, value);
            assert_eq!(
                restored(&format!("<{}>.", surrogate.to_uppercase()), &vault, Landing::Text),
                format!("<{value}>.")
            );
            let other = format!("{surrogate}.org");
            assert_eq!(restored(&other, &vault, Landing::Text), other);
        }
    }
}

/// A pattern of one name, so that no tagger is needed; and what the partner sees of it.
fn named(name: &str) -> (String, Vault) {
    let custom = chaperone_redact::CustomSpec {
        name: "Person".into(),
        pattern: name.into(),
        context: vec![],
        score: chaperone_redact::Score::percent(90),
    };
    let spec = PolicySpec { custom: vec![custom], action: Action::Pseudonym, ..PolicySpec::default() };
    sent(&name.replace("\\\\", "\\"), &Policy::compile(&spec).unwrap(), 3)
}

#[test]
fn nothing_is_restored_where_a_click_would_send_it_away() {
    let (tag, vault) = named("Ann");
    for text in [
        "https://evil.example/?q={}",
        "http://evil.example/a(b){}",
        "see (https://evil.example/{}) there",
        "www.evil.example/{}",
        "![x](https://evil.example/{})",
        "![x]( /{})",
        "![x](<https://evil.example/a b {}>)",
        "[x](//evil.example/(a){})",
        "[x]: <https://evil.example/a b {}>",
        "<https://evil.example/{}>",
        "<img src=\"https://evil.example/a b>{}\">",
        "<img src = '{}'>",
        "<a href={}>",
        "<a href=\"x\n{}\">",
        "mailto:evil@x.example?body={}",
        "{\"u\":\"https://evil.example/{}\"}",
    ] {
        let text = text.replace("{}", &tag);
        assert_eq!(restored(&text, &vault, Landing::Text), text);
        let mut restorer = StreamRestorer::new(&vault, Landing::Text).with_urls(Urls::Restore);
        let mut out = restorer.push(text.as_bytes());
        out.extend(restorer.flush());
        assert_eq!(String::from_utf8(out).unwrap(), text.replace(&tag, "Ann"));
        let json = serde_json::json!({ "text": text }).to_string();
        for json in [json.clone(), json.replace('/', "\\/"), json.replace('/', "\\u002f")] {
            assert_eq!(restored(&json, &vault, Landing::Json), json);
        }
    }
}

#[test]
fn what_follows_a_link_is_restored() {
    let (tag, vault) = named("Ann");
    for text in [
        "https://x.example/ {}",
        "[x](https://x.example/) {}",
        "[x](https://x.example/(a)b) {}",
        "(https://x.example),\n{}",
        "<https://x.example> {}",
        "<a href=\"https://x.example\">{}</a>",
        "{\"u\":\"https://x.example\",\"name\":\"{}\"}",
        "`https://x.example`{}",
        "note [1] ({})",
        "a / b // c {}",
    ] {
        assert_eq!(restored(&text.replace("{}", &tag), &vault, Landing::Text), text.replace("{}", "Ann"));
    }
}

#[test]
fn values_are_escaped_for_the_json_they_land_in() {
    let (tag, vault) = named("A\"q\"\\\\b");
    let text = format!(r#"{{"a":"x\n{tag}","{tag}":[{tag}]}}"#);
    let back = restored(&text, &vault, Landing::Json);
    assert_eq!(back, format!(r#"{{"a":"x\nA\"q\"\\b","A\"q\"\\b":[{tag}]}}"#));
    let mut restorer = StreamRestorer::new(&vault, Landing::Json);
    restorer.push(text.as_bytes());
    assert_eq!((restorer.restored(), restorer.kept_outside_strings()), (2, 1));
}

#[test]
fn foreign_tags_pass_and_are_counted() {
    let (tag, vault) = named("Ann");
    let text = format!(
        "{tag} EMAIL_00000 and PHONE_12345678, XEMAIL_00000, email_00000, EMAIL_0000, CREDIT_CARD_0000U EMAIL_00000"
    );
    for cut in 0..text.len() {
        let mut restorer = StreamRestorer::new(&vault, Landing::Text);
        let mut out = restorer.push(&text.as_bytes()[..cut]);
        out.extend(restorer.push(&text.as_bytes()[cut..]));
        out.extend(restorer.flush());
        assert_eq!(String::from_utf8(out).unwrap(), text.replace(&tag, "Ann"));
        assert_eq!((restorer.restored(), restorer.foreign()), (1, 3), "cut at {cut}");
    }
}

/// What a model may do and we cannot undo; each stays as the model wrote it.
#[test]
fn known_failures_keep_what_the_model_wrote() {
    let (tag, vault) = named("Ann");
    let (label, code) = tag.split_once('_').unwrap();
    let spelled: Vec<String> = tag.chars().map(String::from).collect();
    let reversed: String = code.chars().rev().collect();
    for (what, text) in [
        ("translated", format!("PERSONNE_{code}")),
        ("spelled out", spelled.join(" - ")),
        ("split over lines", format!("{label}_{}\n{}", code.split_at(2).0, code.split_at(2).1)),
        ("sorted or reversed", format!("{label}_{reversed}")),
        ("shortened", format!("{label}_{}", code.split_at(4).0)),
        ("bare, far from its label", format!("the code {code} of that {label}")),
        ("bare, in small letters", format!("{label} ({})", code.to_lowercase())),
        ("split by a table", format!("| {label} | {code}x |")),
        ("arithmetic", format!("{label}_{code}1")),
    ] {
        assert_eq!(restored(&text, &vault, Landing::Text), text, "{what}");
    }
}

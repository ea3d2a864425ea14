mod known;

use super::*;
use crate::entity::Entity;
use crate::finding::Score;
use crate::names::{NameKind, NameSpan};
use crate::policy::{Filter, PolicySpec};

fn labels(text: &str) -> Vec<String> {
    let spec = PolicySpec { filter: Filter::Balanced, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).unwrap();
    let found = find(text, &Query::new(&policy)).unwrap();
    found
        .spans
        .iter()
        .map(|span| format!("{}:{}", span.entity, text.get(span.range.clone()).unwrap()))
        .collect()
}

#[test]
fn one_of_each_kind_is_found() {
    for (text, wanted) in [
        ("card 4111 1111 1111 1111 exp 12/27", "CREDIT_CARD:4111 1111 1111 1111"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN:DE89 3704 0044 0532 0130 00"),
        ("my ssn is 536-22-8726.", "SSN:536-22-8726"),
        ("call +49 30 901820 now", "PHONE:+49 30 901820"),
        ("call (212) 555-0187 ext. 12", "PHONE:(212) 555-0187 ext. 12"),
        ("write to ann.lee@example.org.", "EMAIL:ann.lee@example.org"),
        ("from 203.0.113.7:8080", "IP:203.0.113.7"),
        ("from 2001:db8::8a2e:370:7334/64", "IP:2001:db8::8a2e:370:7334"),
        ("at 00:1B:44:11:3A:B7", "MAC_ADDRESS:00:1B:44:11:3A:B7"),
        ("born on 12 March 1985 in", "DATE_OF_BIRTH:12 March 1985"),
        ("DOB: 03/12/1985", "DATE_OF_BIRTH:03/12/1985"),
        ("passport C01X00T47", "PASSPORT:C01X00T47"),
        ("routing number 021000021", "BANK_ACCOUNT:021000021"),
        ("my account number is 20111215", "BANK_ACCOUNT:20111215"),
        ("Konto-Nr. 20111215", "BANK_ACCOUNT:20111215"),
        ("acct no: 20111215", "BANK_ACCOUNT:20111215"),
        ("DNI 12345678Z", "NATIONAL_ID:12345678Z"),
        ("DNI 12345678 Z", "NATIONAL_ID:12345678 Z"),
        ("DNI 12.345.678-Z", "NATIONAL_ID:12.345.678-Z"),
        ("DNI 12.345.678 Z", "NATIONAL_ID:12.345.678 Z"),
        ("key AKIAIOSFODNN7EXAMPLE", "SECRET:AKIAIOSFODNN7EXAMPLE"),
        ("password: Tr0ub4dor&3", "SECRET:Tr0ub4dor&3"),
        ("to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "CRYPTO_WALLET:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        (
            "to bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
            "CRYPTO_WALLET:bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        ),
    ] {
        assert_eq!(labels(text), [wanted], "{text}");
    }
}

#[test]
fn what_is_found_does_not_depend_on_where_a_chunk_ends() {
    const TEXT: &str = "in der Hauptstraße 5a, 10115 Berlin, ann.lee@example.org, IBAN DE89 3704 0044 0532 0130 00, \
        The password is hunter2Hunter, born March 12, 1985, key AKIAIOSFODNN7EXAMPLE, 0x12 00:1B:44:11:3A:B7 from 10.1.2.3";
    let wanted = labels(TEXT);
    assert_eq!(wanted.len(), 8, "{wanted:?}");
    for shift in 1..130 {
        assert_eq!(labels(&(" ".repeat(shift) + TEXT)), wanted, "{shift} bytes further");
    }
}

#[test]
fn look_alikes_are_left_alone() {
    for text in [
        "order 4111 1111 1111 1112",
        "on 2024-03-12 we shipped",
        "account opened 20190304",
        "Konto seit 20111215",
        "version 1.2.3.4",
        "std::vector<int>",
        "build 20240312.1",
        "shelf B7-12345, A1-12",
        "127.0.0.1:80",
        "git@github.com:org/repo.git",
        "icon@2x.png",
        "3.14159265358979",
        "range 100-200-3000",
        "sha 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
        "password = os.environ[\"DB\"]",
        "token: ${TOKEN_FROM_ENV}",
        "219-09-9999",
    ] {
        assert_eq!(labels(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn names_are_looked_for_in_all_that_may_be_more_than_a_code_word() {
    let behind = |before: &str, count, text| before.repeat(count) + text;
    for text in [
        "Mary Miller".into(),
        behind("12;34\n", 400, "My manager is Mary Miller and she lives in Boston"),
        behind("| 1200 | 34.5 |\n", 4000, "Mary Miller"),
        behind("0", 63, "a b"),
        behind("a", 128, " b"),
        "王小明住在北京".into(),
    ] {
        assert!(may_name(text.as_bytes(), ""), "{text}");
    }
    for text in ["", "Mary", "mary-miller", "2024-01-01 10", "a 1", "größe", "1 \u{2013} 2"]
        .map(String::from)
        .into_iter()
        .chain([behind("12 ", 4000, "EUR"), behind("a", 1000, ""), behind("1", 5000, "")])
    {
        assert!(!may_name(text.as_bytes(), ""), "{text}");
    }
    assert!(may_name(b"Mary", "firstName"));
}

#[test]
fn a_thing_is_no_person_below_strict_and_somebody_s_thing_is_always() {
    let named = |filter, text: &str, name| {
        let spec = PolicySpec { filter, entities: Some(vec![Entity::Person]), ..PolicySpec::default() };
        let policy = Policy::compile(&spec).unwrap();
        let finder = OneName(name, NameKind::Person);
        find(text, &Query { names: Some(&finder), ..Query::new(&policy) }).unwrap().spans.len()
    };
    for (text, name, balanced) in [
        ("treated for Maria's lymphoma", "Maria", 1),
        ("put it into Alice's calendar", "Alice", 1),
        ("treated for Crohn's disease", "Crohn", 0),
        ("a Huffman coding", "Huffman", 0),
    ] {
        assert_eq!(named(Filter::Balanced, text, name), balanced, "{text}");
        assert_eq!(named(Filter::Strict, text, name), 1, "{text}");
    }
}

/// Finds one word as a name, wherever it stands.
struct OneName(&'static str, NameKind);

impl NameFinder for OneName {
    fn find(&self, text: &str, _: f32, out: &mut Vec<NameSpan>) {
        out.extend(text.match_indices(self.0).map(|(start, found)| NameSpan {
            start,
            end: start + found.len(),
            kind: self.1,
            score: 0.9,
        }));
    }
}

fn named(text: &str, finder: &OneName) -> Vec<String> {
    let policy = Policy::compile(&PolicySpec::default()).unwrap();
    let query = Query { names: Some(finder), ..Query::new(&policy) };
    let found = find(text, &query).unwrap();
    found
        .spans
        .iter()
        .map(|span| format!("{}:{}", span.entity, text.get(span.range.clone()).unwrap()))
        .collect()
}

#[test]
fn names_come_from_the_finder_also_in_long_lines_and_behind_wide_letters() {
    let ann = OneName("Ann", NameKind::Person);
    assert_eq!(named("é, Ann came", &ann), ["PERSON:Ann"]);
    let long = format!("{}Ann", "word ".repeat(500));
    assert_eq!(named(&long, &ann), ["PERSON:Ann"]);
    assert_eq!(named(&format!("{} Ann", "日".repeat(1000)), &ann), ["PERSON:Ann"]);
}

#[test]
fn a_place_joins_the_address_before_it_and_is_no_finding_of_its_own_at_balanced() {
    let place = OneName("Springfield", NameKind::Location);
    assert_eq!(named("at 12 Oak Street, Springfield today", &place), ["ADDRESS:12 Oak Street, Springfield"]);
    assert_eq!(named("in Springfield today", &place), Vec::<String>::new());
}

#[test]
fn allowed_values_stay_in_any_spelling() {
    let spec = PolicySpec { allow: vec!["Help@OurCo.test".into()], ..PolicySpec::default() };
    let policy = Policy::compile(&spec).unwrap();
    let found = find("help@ourco.test and ann@ourco.test", &Query::new(&policy)).unwrap();
    assert_eq!(found.spans.len(), 1);
}

#[test]
fn custom_patterns_find_across_windows() {
    let row = crate::CustomSpec {
        name: "Badge".into(),
        pattern: "E-[0-9]{6}".into(),
        context: vec!["badge".into()],
        score: Score::percent(20),
    };
    let policy = Policy::compile(&PolicySpec { custom: vec![row], ..PolicySpec::default() }).unwrap();
    for padding in [0, 3834, 3836, 3840, 4080, 4090, 9000] {
        let text = format!("{} badge E-123456 ok", "x".repeat(padding));
        let found = find(&text, &Query::new(&policy)).unwrap();
        assert_eq!(found.spans.len(), 1, "padding {padding}");
    }
    assert_eq!(find("E-123456", &Query::new(&policy)).unwrap().spans, []);
}

#[test]
fn values_are_found_in_every_compatibility_form_and_masked_to_the_character() {
    for (text, wanted) in [
        ("my ssn is ５３６－２２－８７２６ ok", "SSN:５３６－２２－８７２６"),
        ("my ssn is ٥٣٦-٢٢-٨٧٢٦ ok", "SSN:٥٣٦-٢٢-٨٧٢٦"),
        ("my ssn is 𝟱𝟯𝟲-𝟐𝟐-𝟾𝟽𝟸𝟼 ok", "SSN:𝟱𝟯𝟲-𝟐𝟐-𝟾𝟽𝟸𝟼"),
        ("my ssn is ⁵³⁶-²²-⁸⁷²⁶ ok", "SSN:⁵³⁶-²²-⁸⁷²⁶"),
        ("my 𝐬𝐬𝐧 is 536-22-8726¹ ok", "SSN:536-22-8726"),
        ("write to 𝒶𝓃𝓃.𝓁ℯℯ@ℯ𝓍𝒶𝓂𝓅𝓁ℯ.ℴ𝓇ℊ ok", "EMAIL:𝒶𝓃𝓃.𝓁ℯℯ@ℯ𝓍𝒶𝓂𝓅𝓁ℯ.ℴ𝓇ℊ"),
        ("write to oﬃce@exam\u{200b}ple.org ok", "EMAIL:oﬃce@exam\u{200b}ple.org"),
    ] {
        assert_eq!(labels(text), [wanted], "{text}");
    }
}

use super::*;
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
        ("DNI 12345678Z", "NATIONAL_ID:12345678Z"),
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
fn look_alikes_are_left_alone() {
    for text in [
        "order 4111 1111 1111 1112",
        "on 2024-03-12 we shipped",
        "version 1.2.3.4",
        "std::vector<int>",
        "build 20240312.1",
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

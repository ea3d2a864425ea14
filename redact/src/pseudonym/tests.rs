use super::*;
use crate::entity::Entity;

const PLAIN: Form = Form { surrogate: None, link: Link::None };
const LINKED: Form = Form { surrogate: None, link: Link::Parts };

fn vault(partner: &str) -> Vault {
    Vault::new(PseudonymKey::new([7; 32]), partner, "")
}

fn surrogates(entity: Entity) -> Form {
    Form { surrogate: Kind::of(entity), link: Link::None }
}

#[test]
fn one_value_has_one_tag_per_partner() {
    let (mut alpha, mut beta) = (vault("alpha"), vault("beta"));
    let tag = alpha.mint("PHONE", "(212) 555-0187", PLAIN);
    assert_eq!(alpha.mint("PHONE", "212 555 0187", PLAIN), tag);
    assert_ne!(beta.mint("PHONE", "(212) 555-0187", PLAIN), tag);
    assert_eq!(vault("alpha").mint("PHONE", "2125550187", PLAIN), tag);
    assert_eq!(tag.len(), "PHONE_".len() + TAG);
}

#[test]
fn a_tag_in_the_users_text_is_never_minted() {
    let tag = vault("alpha").mint("EMAIL", "a@b.example", PLAIN);
    for text in [format!("see {tag}"), tag.to_lowercase(), tag.replace('_', " "), tag.replace('_', "-")] {
        let mut other = vault("alpha");
        other.reserve(text.as_bytes(), 0, text.len());
        assert_eq!(other.mint("EMAIL", "a@b.example", PLAIN).len(), "EMAIL_".len() + LONG_TAG, "{text}");
    }
}

#[test]
fn no_tag_is_a_word_or_begins_another() {
    let mut vault = vault("alpha");
    let tags: Vec<String> =
        (0..3_000).map(|at| vault.mint("PERSON", &format!("name {at}x"), PLAIN)).collect();
    for tag in &tags {
        let code = tag.strip_prefix("PERSON_").unwrap();
        assert!(is_tag(code.as_bytes()) && code.bytes().any(|byte| byte.is_ascii_digit()), "{tag}");
    }
    let mut sorted = tags;
    sorted.sort_unstable();
    assert!(sorted.windows(2).all(|pair| !pair[1].starts_with(&pair[0])));
}

#[test]
fn a_surrogate_in_the_users_text_is_never_minted() {
    for (entity, value) in [
        (Entity::Ip, "10.1.2.3"),
        (Entity::Phone, "+49 30 901820"),
        (Entity::MacAddress, "3c:22:fb:00:00:01"),
    ] {
        let label = entity.label();
        let first = vault("alpha").mint(label, value, surrogates(entity));
        let mut other = vault("alpha");
        let text = format!("this stays: {first}");
        other.reserve(text.as_bytes(), 0, text.len());
        let second = other.mint(label, value, surrogates(entity));
        assert_ne!(first, second);
        assert!(!second.starts_with(label), "{second}");
    }
}

#[test]
fn when_a_small_range_is_used_up_tags_go_on() {
    let mut vault = vault("alpha");
    let form = surrogates(Entity::MacAddress);
    let all: Vec<String> = (0..600)
        .map(|at| vault.mint("MAC_ADDRESS", &format!("3c:22:fb:00:{:02x}:{:02x}", at / 256, at % 256), form))
        .collect();
    let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), 600);
    assert!(all.iter().filter(|placeholder| placeholder.starts_with("00:00:5e")).count() > 200);
}

#[test]
fn a_part_of_exactly_one_known_name_has_its_tag() {
    let mut vault = vault("alpha");
    let ann = vault.mint("PERSON", "Ann Lee", LINKED);
    assert_eq!(vault.mint("PERSON", "LEE", LINKED), ann);
    let bob = vault.mint("PERSON", "Bob Lee", LINKED);
    assert_eq!(vault.mint("PERSON", "Ann", LINKED), ann);
    assert_eq!(vault.mint("PERSON", "bob", LINKED), bob);
    // Whose name it is cannot be known any more.
    let lee = vault.mint("PERSON", "Lee", LINKED);
    assert!(lee != ann && lee != bob);
}

#[test]
fn nothing_can_be_printed() {
    let mut vault = vault("alpha");
    vault.mint("EMAIL", "a@b.example", PLAIN);
    assert_eq!(format!("{vault:?}"), "Vault(1 tags)");
}

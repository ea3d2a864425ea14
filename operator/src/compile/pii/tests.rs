//! The table of rules, a row a test, and what holds for every pair of sides.

use chaperone_crds::field::pii as crd;
use chaperone_protocol::snapshot::pii::{Analyzer, PartsOfNames};
use proptest::prelude::*;

use super::*;
use crate::compile::finding::{Findings, Kind};
use crate::world::{KeyForm, World};

const CLASSES: [DataClass; 4] =
    [DataClass::Public, DataClass::Internal, DataClass::Confidential, DataClass::Restricted];

fn key() -> ObjectKey {
    ObjectKey { namespace: "team".parse().unwrap(), name: "alpha".parse().unwrap() }
}

/// A side as YAML has it, `filter` included; empty: it says nothing.
fn side(yaml: &str) -> Side {
    if yaml.is_empty() {
        return Side::default();
    }
    let pii: crd::PartnerPii = serde_saphyr::from_str(yaml).unwrap();
    let mut findings = Findings::default();
    let mut notes = Notes::of(Kind::Partner, &key(), &mut findings);
    let read = of_partner(Some(&pii), (&key(), &World::default()), &mut notes);
    // A block of a filter alone stands for a route with `piiFilter` and no `pii`.
    let is_filter_alone = pii == crd::PartnerPii { filter: pii.filter, ..crd::PartnerPii::default() };
    Side { block: if is_filter_alone { None } else { read.block }, ..read }
}

fn internal(partner: &str, route: &str) -> Pii {
    combine(&side(partner), &side(route), DataClass::Internal)
}

fn secret() -> ObjectKey {
    ObjectKey { name: "mtls".parse().unwrap(), ..key() }
}

fn names(entities: &[Entity]) -> Option<BTreeSet<Entity>> {
    Some(entities.iter().copied().collect())
}

#[test]
fn filter_is_the_higher_and_not_below_the_class() {
    use Filter::{Balanced, Lenient, Off, Strict};
    let rows = [
        ("", "", [Lenient, Lenient, Balanced, Strict]),
        ("filter: 'Off'", "", [Off, Off, Balanced, Strict]),
        ("filter: 'Off'", "filter: 'Off'", [Off, Off, Balanced, Strict]),
        ("filter: 'Off'", "filter: Lenient", [Lenient, Lenient, Balanced, Strict]),
        ("filter: Balanced", "", [Balanced, Balanced, Balanced, Strict]),
        ("filter: Balanced", "filter: Strict", [Strict; 4]),
        ("action: Block", "", [Lenient, Lenient, Balanced, Strict]),
    ];
    for (one, other, wanted) in rows {
        for (class, wanted) in CLASSES.into_iter().zip(wanted) {
            assert_eq!(combine(&side(one), &side(other), class).filter, wanted, "{one} {other} {class:?}");
            assert_eq!(combine(&side(other), &side(one), class).filter, wanted, "{other} {one} {class:?}");
        }
    }
}

#[test]
fn entities_add_up_and_a_filter_without_a_list_brings_its_default_set() {
    use Entity::{Email, Phone, Ssn};
    assert_eq!(internal("entities: [Email, Ssn]", "entities: [Phone]").entities, names(&[Email, Phone, Ssn]));
    assert_eq!(internal("filter: Balanced\nentities: [Email]", "").entities, names(&[Email]));
    let strict = internal("", "filter: Strict").entities;
    assert_eq!(internal("filter: Lenient\nentities: [Email]", "filter: Strict").entities, strict);
    assert!(strict.as_ref().is_some_and(|set| set.contains(&Entity::Location)));
    // The set is that of the combined filter, also for the side that wrote the lower one.
    assert_eq!(internal("filter: Lenient", "filter: Strict\nentities: [Email]").entities, strict);
    assert_eq!(internal("", "").entities, internal("filter: Lenient", "").entities);
    assert_eq!(internal("entities: [All]", "").entities, names(Entity::ALL));
}

#[test]
fn the_stricter_action_stands_for_each_entity() {
    let pii = internal(
        "entities: [Email, Phone, Ssn, Person]\naction: Pseudonym\nactions: {Ssn: Block, Phone: Hash}",
        "entities: [Email]\nactions: {Phone: Label, Ssn: Mask, Person: Mask}",
    );
    let wanted =
        [(Entity::Email, Action::Pseudonym), (Entity::Phone, Action::Label), (Entity::Ssn, Action::Block)];
    // Person is masked, which needs no entry: Mask beats Pseudonym.
    assert_eq!(pii.actions, BTreeMap::from(wanted));
    let order = [Action::Pseudonym, Action::Hash, Action::Mask, Action::Label, Action::Block];
    for (at, weak) in order.iter().enumerate() {
        for strong in &order[at..] {
            let of = |action| format!("entities: [Email]\naction: {action:?}");
            let pii = internal(&of(weak), &of(strong));
            assert_eq!(pii.actions.get(&Entity::Email).copied().unwrap_or_default(), *strong);
        }
    }
}

#[test]
fn restoring_and_allowing_need_both_and_a_side_without_a_block_does_not_count() {
    use Restored::{Text, ToolArguments, Urls};
    let restored = |partner: &str, route: &str| Vec::from_iter(internal(partner, route).restore);
    assert_eq!(restored("", ""), [Text, ToolArguments]);
    assert_eq!(restored("restore: {urls: true}", ""), [Text, ToolArguments, Urls]);
    assert_eq!(restored("restore: {urls: true}", "filter: Strict"), [Text, ToolArguments, Urls]);
    assert_eq!(restored("restore: {urls: true}", "action: Mask"), [Text, ToolArguments]);
    assert_eq!(restored("restore: {responses: false}", "restore: {urls: true}"), [ToolArguments]);
    let allowed = |partner: &str, route: &str| Vec::from_iter(internal(partner, route).allow);
    assert_eq!(allowed("allow: [a, b]", ""), ["a", "b"]);
    assert_eq!(allowed("allow: [a, b]", "allow: [b, c]"), ["b"]);
    assert_eq!(allowed("allow: [a, b]", "action: Mask"), [""; 0]);
}

#[test]
fn names_are_looked_for_unless_both_say_off_or_nobody_wants_one() {
    let off = "filter: Balanced\nner: {backend: 'Off'}";
    assert_eq!(internal(off, off).ner, Ner::Off);
    assert_eq!(internal(off, "filter: Balanced").ner, Ner::Embedded);
    assert_eq!(internal(off, "").ner, Ner::Embedded);
    assert_eq!(internal("entities: [Email]", "").ner, Ner::Off);
    assert_eq!(internal("entities: [Address]", "").ner, Ner::Embedded);
    assert_eq!(internal("", "").ner, Ner::Off, "the Lenient set has no names");
    assert_eq!(internal("responses: {entities: [Person]}", "").ner, Ner::Embedded);
}

#[test]
fn an_analyzer_wins_over_the_tagger_and_two_are_both_asked() {
    let off = "filter: Balanced\nner: {backend: 'Off'}";
    let near = "filter: Balanced\nner: {backend: Presidio, presidio: {endpoint: 'http://127.0.0.1:3000'}}";
    let far = "ner: {backend: Presidio, presidio: {endpoint: 'https://presidio.test/', tls: {clientCertSecretRef: {name: mtls}}, timeout: 5s, language: de, scoreThreshold: '0.65'}}";
    let asked = |one: &str, other: &str| -> Vec<_> {
        let pii = internal(one, other);
        let written =
            |it: &Analyzer| format!("{} {:?} {} {}", it.endpoint, it.timeout, it.language, it.score_percent);
        pii.ner.analyzers().iter().map(written).collect()
    };
    let (near_is, far_is) = ("http://127.0.0.1:3000 2s en 40", "https://presidio.test 5s de 65");
    for other in ["", off, "ner: {backend: Embedded}", near] {
        assert_eq!(asked(near, other), [near_is], "{other}");
    }
    assert_eq!(asked(far, near), [near_is, far_is]);
    assert_eq!(internal("entities: [Email]", far).ner, Ner::Off, "no name is asked for");
    let answers = "entities: [Email]\nresponses: {entities: [Person]}";
    assert_eq!(internal(answers, far).ner, Ner::Embedded, "it reads no answers");
}

#[test]
fn an_analyzer_is_placed_as_a_partner_is_but_that_it_may_be_near() {
    let world = World {
        secrets: BTreeMap::from([(
            secret(),
            ["tls.crt", "tls.key"].map(|key| (key.to_owned(), KeyForm::Other)).into(),
        )]),
        ..World::default()
    };
    let found = |endpoint: &str, tls: &str| {
        let ner = format!("ner: {{backend: Presidio, presidio: {{endpoint: '{endpoint}'{tls}}}}}");
        let pii: crd::PartnerPii = serde_saphyr::from_str(&ner).unwrap();
        let mut findings = Findings::default();
        let owner = (&key(), &world);
        of_partner(Some(&pii), owner, &mut Notes::of(Kind::Partner, &key(), &mut findings));
        let all = findings.into_sorted().into_iter();
        all.map(|it| (it.path.replace("spec.pii.ner.presidio.", ""), it.reason)).collect::<Vec<_>>()
    };
    let mutual = ", tls: {clientCertSecretRef: {name: mtls}}";
    for sound in ["http://127.0.0.1:3000", "http://localhost", "https://127.0.0.1", "https://[::1]:3000"] {
        assert_eq!(found(sound, ""), [], "{sound}");
    }
    for far in ["https://presidio.pii.svc", "https://10.0.0.7/a", "https://presidio.example.com"] {
        let anonymous = [("tls".to_owned(), Reason::NoClientCertificate)];
        assert_eq!(found(far, ""), anonymous, "{far}");
        assert_eq!(found(far, ", tls: {serverName: presidio.test}"), anonymous, "{far}");
        assert_eq!(found(far, mutual), [], "{far}");
    }
    let reasons = |endpoint: &str| {
        let tls = if endpoint.starts_with("https") { mutual } else { "" };
        let all = found(endpoint, tls).into_iter();
        all.inspect(|(path, _)| assert_eq!(path, "endpoint")).map(|(_, reason)| reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons("http://presidio.pii.svc"), [Reason::Plaintext]);
    assert_eq!(reasons("https://169.254.169.254"), [Reason::ForbiddenAddress]);
    assert_eq!(reasons("https://metadata.google.internal"), [Reason::ForbiddenAddress]);
    assert_eq!(reasons("https://0x7f000001"), [Reason::ForbiddenAddress]);
    assert_eq!(reasons("https://a@b"), [Reason::InvalidValue]);
}

#[test]
fn patterns_answers_and_other_data_take_the_union_and_the_stricter() {
    let one = "action: Hash\ncustom: [{name: Badge, pattern: 'B[0-9]+', score: '0.6'}, {name: Desk, pattern: 'D[0-9]+'}]\n\
        actions: {Desk: Pseudonym}\nresponses: {entities: [Secret]}\nnonText: Allow\nmask: {keepLast: 4}";
    let other = "custom: [{name: Badge, pattern: 'B[0-9]+', score: '0.6'}]\nresponses: {entities: [Ssn], action: Label}\n\
        nonText: Block\nmask: {keepLast: 2}\npseudonym: {scope: Conversation}";
    let pii = internal(one, other);
    let custom: Vec<_> = pii.custom.iter().map(|it| (&*it.name, it.score_percent, it.action)).collect();
    assert_eq!(custom, [("Badge", 60, Action::Hash), ("Desk", 100, Action::Pseudonym)]);
    let answers =
        ResponsePii { entities: names(&[Entity::Secret, Entity::Ssn]).unwrap(), action: Action::Label };
    assert_eq!(pii.responses, Some(answers));
    assert_eq!((pii.non_text, pii.keep_last, pii.scope), (NonText::Block, 2, PseudonymScope::Conversation));
    assert_eq!(internal(one, "").responses.map(|answers| answers.action), Some(Action::Mask));
}

#[test]
fn placeholders_are_tags_of_single_names_unless_both_sides_agree() {
    let surrogates =
        "entities: [Email, Person]\naction: Pseudonym\npseudonym: {format: Surrogate, linkNames: true}";
    let forms = |one: &str, other: &str| {
        let pii = internal(one, other);
        assert_eq!(pii, internal(other, one));
        (pii.format, pii.parts_of_names == PartsOfNames::Linked)
    };
    let (surrogate, tag) = (PseudonymFormat::Surrogate, PseudonymFormat::Tag);
    assert_eq!(forms(surrogates, ""), (surrogate, true));
    assert_eq!(
        forms(surrogates, "pseudonym: {hint: true}"),
        (surrogate, true),
        "what is not written does not count"
    );
    assert_eq!(forms(surrogates, "pseudonym: {format: Tag, linkNames: false}"), (tag, false));
    assert_eq!(forms(surrogates, "actions: {Email: Mask}"), (tag, true), "no name has surrogates");
    assert_eq!(forms("pseudonym: {hint: true}", ""), (tag, false));
}

#[test]
fn surrogates_that_nothing_would_have_are_refused() {
    let pii = "entities: [Person]\naction: Pseudonym\npseudonym: {format: Surrogate}";
    let pii: crd::PartnerPii = serde_saphyr::from_str(pii).unwrap();
    let mut findings = Findings::default();
    let owner = (&key(), &World::default());
    of_partner(Some(&pii), owner, &mut Notes::of(Kind::Partner, &key(), &mut findings));
    let paths: Vec<_> = findings.into_sorted().into_iter().map(|it| (it.path, it.reason)).collect();
    assert_eq!(paths, [("spec.pii.pseudonym.format".to_owned(), Reason::InvalidValue)]);
}

/// What is wrong with a Partner of these patterns: paths and reasons.
fn refused(patterns: Vec<(String, String)>) -> Vec<(String, Reason)> {
    let custom =
        patterns.into_iter().map(|(name, pattern)| serde_json::json!({ "name": name, "pattern": pattern }));
    let pii: crd::PartnerPii =
        serde_json::from_value(serde_json::json!({ "custom": custom.collect::<Vec<_>>() })).unwrap();
    let mut findings = Findings::default();
    let owner = (&key(), &World::default());
    of_partner(Some(&pii), owner, &mut Notes::of(Kind::Partner, &key(), &mut findings));
    findings.into_sorted().into_iter().map(|finding| (finding.path, finding.reason)).collect()
}

#[test]
fn f55_patterns_are_bounded_before_they_are_sent() {
    let one = |pattern: String| refused(vec![("Badge".to_owned(), pattern)]);
    let pattern = |reason| vec![("spec.pii.custom[0].pattern".to_owned(), reason)];
    // Catastrophic for an engine that backtracks; ours is linear, so that it may run.
    assert_eq!(one("(a+)+b".to_owned()), []);
    assert_eq!(one(r"(\w{1,500}){1,500}".to_owned()), pattern(Reason::InvalidPattern));
    assert_eq!(one("a".repeat(1 << 20)), pattern(Reason::InvalidPattern));
    let many = (0..10_000).map(|at| (format!("Badge{at}"), "B[0-9]+".to_owned())).collect();
    assert_eq!(refused(many), [("spec.pii.custom".to_owned(), Reason::LimitExceeded)]);
}

fn any_side() -> impl Strategy<Value = Side> {
    let filter = prop::option::of(prop::sample::select(vec!["'Off'", "Lenient", "Balanced", "Strict"]));
    let entities =
        prop::option::of(prop::sample::subsequence(vec!["Email", "Ssn", "Person", "Address"], 1..4));
    let action = prop::option::of(prop::sample::select(vec!["Pseudonym", "Hash", "Mask", "Label", "Block"]));
    let kept = prop::option::of(0..5_u8);
    let urls = any::<bool>();
    let ner = prop::option::of(prop::sample::select(vec![
        // Not Off, which stands only where both write it.
        "{backend: Embedded}",
        "{backend: Presidio, presidio: {endpoint: 'http://127.0.0.1:3000'}}",
        "{backend: Presidio, presidio: {endpoint: 'https://presidio.test', tls: {clientCertSecretRef: {name: mtls}}}}",
    ]));
    (filter, entities, action, kept, urls, ner).prop_map(|(filter, entities, action, kept, urls, ner)| {
        let mut yaml = format!("restore: {{urls: {urls}}}\n");
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                yaml += &format!("{key}: {value}\n");
            }
        };
        line("ner", ner.map(str::to_owned));
        line("filter", filter.map(str::to_owned));
        line("entities", entities.map(|entities| format!("[{}]", entities.join(", "))));
        line("action", action.map(str::to_owned));
        line("mask", kept.map(|kept| format!("{{keepLast: {kept}}}")));
        side(&yaml)
    })
}

/// Whether `pii` redacts at least what `than` does.
fn is_as_strict(pii: &Pii, than: &Pii) -> bool {
    let action = |pii: &Pii, entity| pii.actions.get(entity).copied().unwrap_or_default();
    let (own, theirs) = (pii.entities.as_ref().unwrap(), than.entities.as_ref().unwrap());
    pii.filter >= than.filter
        && theirs.iter().all(|entity| own.contains(entity) && action(pii, entity) >= action(than, entity))
        && pii.keep_last <= than.keep_last
        && pii.restore.is_subset(&than.restore)
        && pii.ner >= than.ner
}

proptest! {
    #[test]
    fn the_order_of_sides_does_not_matter(
        one in any_side(), other in any_side(), class in prop::sample::select(&CLASSES)
    ) {
        prop_assert_eq!(combine(&one, &other, class), combine(&other, &one, class));
    }

    #[test]
    fn a_side_twice_is_that_side(one in any_side(), class in prop::sample::select(&CLASSES)) {
        prop_assert_eq!(combine(&one, &one, class), combine(&one, &Side::default(), class));
    }

    #[test]
    fn a_higher_class_is_never_laxer(one in any_side(), other in any_side(), at in 0..3_usize) {
        let lower = combine(&one, &other, CLASSES[at]);
        let higher = combine(&one, &other, CLASSES[at + 1]);
        prop_assert!(is_as_strict(&higher, &lower), "{lower:?} {higher:?}");
    }
}

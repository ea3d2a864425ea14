use chaperone_protocol::snapshot::pii::{Action, Entity, Filter, Ner, Pii};
use chaperone_redact::{FieldTable, NameFinder, NameSpan};

use super::*;

const CANARY: &str = "ann.lee@example.org";

fn body() -> Bytes {
    Bytes::from(format!(
        "{{\"messages\":[{{\"role\":\"user\",\"content\":\"Ann Lee wrote from {CANARY}\"}}]}}"
    ))
}

fn policy(action: Action) -> PairPolicy {
    let actions = [(Entity::Email, action)].into();
    PairPolicy::of(&Pii { filter: Filter::Balanced, ner: Ner::Off, actions, ..Pii::default() }).unwrap()
}

/// A tagger with a defect.
struct Broken;

impl NameFinder for Broken {
    fn find(&self, text: &str, _: f32, _: &mut Vec<NameSpan>) {
        panic!("cannot read {text:?}");
    }
}

async fn scanned(
    policy: &PairPolicy,
    names: Option<&dyn NameFinder>,
    patience: Duration,
) -> Result<(), Refusal> {
    let rules = Rules { policy: &policy.requests, table: FieldTable::OpenAiChat, names };
    let mut vault = Vault::new(chaperone_redact::PseudonymKey::new([7; 32]), "alpha", "");
    let scanned = scan(&body(), rules, &mut vault, patience).await;
    scanned.map(drop).map_err(|failure| failure.refusal(policy))
}

fn refused(result: Result<(), Refusal>) -> Reason {
    let refusal = result.unwrap_err();
    assert!(!refusal.message.contains("ann.lee") && !refusal.message.contains("Lee"), "{}", refusal.message);
    refusal.reason
}

#[tokio::test]
async fn f54_a_redactor_that_panics_sends_nothing_and_says_nothing() {
    let refusal = scanned(&policy(Action::Mask), Some(&Broken), PATIENCE).await;
    assert_eq!(refused(refusal), Reason::PiiUnscannable);
}

#[tokio::test(start_paused = true)]
async fn f54_a_redactor_that_is_slow_sends_nothing() {
    struct Slow;
    impl NameFinder for Slow {
        fn find(&self, _: &str, _: f32, _: &mut Vec<NameSpan>) {}
    }
    let refusal = scanned(&policy(Action::Mask), Some(&Slow), Duration::ZERO).await;
    assert_eq!(refused(refusal), Reason::PiiUnscannable);
}

#[tokio::test]
async fn what_is_blocked_is_told_by_kind_and_count() {
    let refusal = scanned(&policy(Action::Block), None, PATIENCE).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::PiiBlocked);
    assert!(refusal.message.ends_with("EMAIL (1)"), "{}", refusal.message);
    assert!(scanned(&policy(Action::Mask), None, PATIENCE).await.is_ok());
}

#[test]
fn a_redaction_serves_no_other_partner() {
    let redactions = Redactions::default();
    let setup = crate::exchange::testing::Setup::new(
        ClientApi::ChatCompletions,
        chaperone_protocol::adapter::Adapter::OpenAI,
        r#"{"model":"fast","messages":[]}"#,
    );
    let (alpha, beta): (PartnerName, PartnerName) =
        ("team/alpha".parse().unwrap(), "team/beta".parse().unwrap());
    let redaction = Redaction {
        prompt: setup.prompt,
        rewrite: setup.rewrite,
        request_id: "r".to_owned(),
        correlation_id: "c".to_owned(),
    };
    redactions.keep(&alpha, &Arc::new(redaction));
    assert!(redactions.of(&alpha).is_some());
    assert!(redactions.of(&beta).is_none());
}

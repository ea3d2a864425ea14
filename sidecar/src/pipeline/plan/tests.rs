use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::adapter::{Adapter, DataClass};
use chaperone_protocol::snapshot::{Model, Partner, Protection, Timeouts, WeightedTarget};

use super::*;

fn target(name: &str, context: u64) -> Target {
    let model = Model {
        context_tokens: Some(Tokens(context)),
        max_output_tokens: None,
        capabilities: Default::default(),
        price: None,
        first_token: None,
    };
    let partner = Partner {
        name: name.parse().unwrap(),
        adapter: Adapter::OpenAI,
        endpoint: Some(format!("https://{name}.test/v1").parse().unwrap()),
        addresses: Default::default(),
        credential: None,
        api_version: Default::default(),
        tls: Default::default(),
        schema_version: None,
        models: BTreeMap::new(),
        timeouts: Timeouts::default(),
        protection: Protection::default(),
        http: Default::default(),
        health_check: None,
        mock: None,
    };
    Target { partner: Arc::new(partner), model_name: "m".parse().unwrap(), model }
}

fn route(targets: Vec<(Target, u32, Vec<Target>)>) -> Route {
    Route {
        alias: "fast".parse().unwrap(),
        targets: targets
            .into_iter()
            .map(|(target, weight, fallbacks)| WeightedTarget { target, weight, fallbacks })
            .collect(),
        data_class: DataClass::Internal,
        max_tokens: Default::default(),
        deadline: Duration::from_secs(300),
        whole_answers: Default::default(),
        faults: Vec::new(),
        pii: Default::default(),
    }
}

/// Everything is allowed, and the draw is the longest wait.
const CHANCE: Chance =
    Chance { left: Duration::from_secs(300), budget: Allowed::Yes, newer_key: Allowed::No, random: u64::MAX };

fn names(plan: &mut Plan<'_>) -> Vec<String> {
    std::iter::from_fn(|| plan.next().map(|target| target.partner.name.to_string())).collect()
}

#[test]
fn the_drawn_target_comes_first_and_its_own_fallbacks_follow() {
    let route = route(vec![
        (target("alpha", 1), 0, vec![target("never", 1)]),
        (target("beta", 1), 3, vec![target("gamma", 1), target("delta", 1)]),
    ]);
    assert_eq!(names(&mut Plan::new(&route, "any")), ["beta", "gamma", "delta"]);
}

#[test]
fn weights_are_kept_and_the_same_id_draws_the_same_target() {
    let route = route(vec![(target("alpha", 1), 90, vec![]), (target("beta", 1), 10, vec![])]);
    let first = |id: &str| Plan::new(&route, id).next().unwrap().partner.name.to_string();
    let ids = (0..10_000).map(|number| format!("request-{number}"));
    let betas = ids.filter(|id| first(id) == "beta").count();
    assert!((900..1_100).contains(&betas), "{betas} of 10000 went to a target with a weight of 10 %");
    assert_eq!(first("request-7"), first("request-7"));
}

#[test]
fn the_first_reason_is_told_with_the_shortest_wait() {
    let route = route(vec![(target("alpha", 1), 1, vec![target("beta", 1)])]);
    let mut plan = Plan::new(&route, "id");
    let alpha = plan.next().unwrap();
    let limited =
        Failure { retry_after: Some(Duration::from_secs(9)), ..Failure::new(Reason::PartnerRateLimited) };
    plan.failed(alpha, limited, &CHANCE);
    let beta = plan.next().unwrap();
    let overloaded =
        Failure { retry_after: Some(Duration::from_secs(3)), ..Failure::new(Reason::PartnerOverloaded) };
    plan.failed(beta, overloaded, &CHANCE);
    assert!(plan.next().is_none());
    let refusal = plan.refusal();
    assert_eq!(
        (refusal.reason, refusal.retry_after),
        (Reason::PartnerRateLimited, Some(Duration::from_secs(3)))
    );
}

#[test]
fn a_content_refusal_is_not_shopped_around() {
    let route = route(vec![(target("alpha", 1), 1, vec![target("beta", 1)])]);
    let mut plan = Plan::new(&route, "id");
    let alpha = plan.next().unwrap();
    plan.failed(alpha, Failure::new(Reason::ContentPolicy), &CHANCE);
    assert!(plan.next().is_none());
}

#[test]
fn a_prompt_that_is_too_long_goes_only_to_a_larger_context() {
    let chain = vec![target("same", 8), target("larger", 9)];
    let route = route(vec![(target("small", 8), 1, chain)]);
    let mut plan = Plan::new(&route, "id");
    let small = plan.next().unwrap();
    plan.failed(small, Failure::new(Reason::ContextLength), &CHANCE);
    assert_eq!(names(&mut plan), ["larger"]);
}

/// Asks the next target in vain, again and again: what was decided each time.
fn fail_all(plan: &mut Plan<'_>, failure: &Failure, chance: &Chance) -> Vec<(String, Step)> {
    let mut steps = Vec::new();
    while let Some(target) = plan.next() {
        loop {
            plan.asked(target);
            let step = plan.failed(target, failure.clone(), chance);
            steps.push((target.partner.name.to_string(), step));
            if step == Step::Next {
                break;
            }
        }
    }
    steps
}

fn asked(route: &Route, failure: &Failure, chance: &Chance) -> Vec<String> {
    let mut plan = Plan::new(route, "id");
    fail_all(&mut plan, failure, chance).into_iter().map(|(name, _)| name).collect()
}

fn chain(names: &[&str]) -> Route {
    let (first, rest) = names.split_first().unwrap();
    route(vec![(target(first, 1), 1, rest.iter().map(|name| target(name, 1)).collect())])
}

#[test]
fn rule_6_1_attempts_are_bounded_by_the_first_target_fallbacks_included() {
    let error = Failure::new(Reason::PartnerError);
    assert_eq!(asked(&chain(&["a"]), &error, &CHANCE), ["a", "a", "a"]);
    // While another target is left, one quick retry.
    assert_eq!(asked(&chain(&["a", "b", "c", "d"]), &error, &CHANCE), ["a", "a", "b"]);
    assert_eq!(asked(&chain(&["a", "b"]), &Failure::new(Reason::FirstTokenTimeout), &CHANCE), ["a", "b"]);
}

#[test]
fn rule_6_1_a_retry_does_not_take_the_attempt_of_a_fallback() {
    let mut first = target("a", 1);
    let mut partner = Partner::clone(&first.partner);
    partner.protection.retry.max_attempts = std::num::NonZeroU32::new(2).unwrap();
    first.partner = Arc::new(partner);
    let route = route(vec![(first, 1, vec![target("b", 1)])]);
    assert_eq!(asked(&route, &Failure::new(Reason::PartnerError), &CHANCE), ["a", "b"]);
}

#[test]
fn rule_6_1_a_slow_retry_gives_way_to_another_target() {
    let slow = Failure { retry_after: Some(Duration::from_secs(2)), ..Failure::new(Reason::PartnerError) };
    assert_eq!(asked(&chain(&["a", "b"]), &slow, &CHANCE), ["a", "b", "b"]);
}

#[test]
fn rule_6_4_a_wait_that_does_not_fit_the_deadline_is_no_retry() {
    let slow = Failure { retry_after: Some(Duration::from_secs(20)), ..Failure::new(Reason::PartnerError) };
    assert_eq!(asked(&chain(&["a"]), &slow, &CHANCE).len(), 3);
    assert_eq!(asked(&chain(&["a"]), &slow, &Chance { left: Duration::from_secs(23), ..CHANCE }).len(), 1);
}

#[test]
fn rule_6_2_without_budget_the_same_partner_is_not_asked_again() {
    let error = Failure::new(Reason::PartnerError);
    let poor = Chance { budget: Allowed::No, ..CHANCE };
    assert_eq!(asked(&chain(&["a"]), &error, &poor), ["a"]);
    assert_eq!(asked(&chain(&["a", "b"]), &error, &poor), ["a", "b"]);
}

#[test]
fn a_429_falls_back_at_once_and_is_retried_where_its_wait_fits_the_queue() {
    let limited = |seconds: u64| Failure {
        retry_after: Some(Duration::from_secs(seconds)),
        ..Failure::new(Reason::PartnerRateLimited)
    };
    assert_eq!(asked(&chain(&["a", "b"]), &limited(0), &CHANCE)[..2], ["a", "b"]);
    assert_eq!(asked(&chain(&["a"]), &limited(5), &CHANCE).len(), 3);
    assert_eq!(asked(&chain(&["a"]), &limited(30), &CHANCE).len(), 1);
}

#[test]
fn a_refused_credential_is_retried_once_with_a_newer_key() {
    let refused = Failure::new(Reason::PartnerCredential);
    assert_eq!(asked(&chain(&["a"]), &refused, &CHANCE), ["a"]);
    let newer = Chance { newer_key: Allowed::Yes, ..CHANCE };
    assert_eq!(asked(&chain(&["a"]), &refused, &newer), ["a", "a"]);
}

#[test]
fn a_reset_behind_a_whole_request_is_retried_only_where_nothing_is_billed() {
    let reset = Failure::new(Reason::PartnerUnavailable);
    assert_eq!(asked(&chain(&["a"]), &reset, &CHANCE), ["a"]);
    let mut free = target("a", 1);
    let mut partner = Partner::clone(&free.partner);
    partner.protection.cancel_billing = CancelBilling::None;
    free.partner = Arc::new(partner);
    assert_eq!(asked(&route(vec![(free, 1, vec![])]), &reset, &CHANCE), ["a", "a"]);
}

#[test]
fn what_the_partner_did_not_begin_is_asked_once_more_at_no_cost() {
    let dropped = Failure {
        reached: crate::exchange::Reached::Unprocessed,
        ..Failure::new(Reason::PartnerUnavailable)
    };
    let poor = Chance { budget: Allowed::No, ..CHANCE };
    assert_eq!(asked(&chain(&["a"]), &dropped, &poor), ["a", "a"]);
}

#[test]
fn rule_2_5_the_last_target_has_nobody_behind_it() {
    let route = chain(&["a", "b"]);
    let mut plan = Plan::new(&route, "id");
    let first = plan.next().unwrap();
    plan.asked(first);
    assert!(plan.has_another(|_| true));
    assert!(!plan.has_another(|_| false), "one whose breaker refuses is nobody");
    let last = plan.next().unwrap();
    plan.asked(last);
    assert!(!plan.has_another(|_| true));
}

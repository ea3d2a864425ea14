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
    let limited = Failure {
        reason: Reason::PartnerRateLimited,
        message: None,
        retry_after: Some(Duration::from_secs(9)),
    };
    plan.failed(alpha, limited);
    let beta = plan.next().unwrap();
    let overloaded = Failure {
        reason: Reason::PartnerOverloaded,
        message: None,
        retry_after: Some(Duration::from_secs(3)),
    };
    plan.failed(beta, overloaded);
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
    plan.failed(alpha, Failure::new(Reason::ContentPolicy));
    assert!(plan.next().is_none());
}

#[test]
fn a_prompt_that_is_too_long_goes_only_to_a_larger_context() {
    let chain = vec![target("same", 8), target("larger", 9)];
    let route = route(vec![(target("small", 8), 1, chain)]);
    let mut plan = Plan::new(&route, "id");
    let small = plan.next().unwrap();
    plan.failed(small, Failure::new(Reason::ContextLength));
    assert_eq!(names(&mut plan), ["larger"]);
}

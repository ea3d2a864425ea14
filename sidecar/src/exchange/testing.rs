//! Requests for tests of what this folder does.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::adapter::{Adapter, ApiVersion, DataClass};
use chaperone_protocol::keys::PseudonymKey;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::snapshot::pii::{Filter, Pii};
use chaperone_protocol::snapshot::{
    AddressPolicy, MaxTokens, Mock, MockReply, Model, Partner, Protection, Route, Target, Timeouts, Tls,
    WeightedTarget, WholeAnswers,
};
use chaperone_protocol::units::Tokens;
use chaperone_redact::{self as redact, Rules, Vault};
use http::HeaderMap;
use tokio::time::Instant;

use super::{Ask, Exchange, StreamOptions, exchange};
use crate::clock;
use crate::dialect::recall::Recall;
use crate::memory::BodyMemory;
use crate::metrics::Metrics;
use crate::pii::{PairPolicy, Rewrite, field_table};
use crate::prompt::{Prompt, Redacted};
use crate::thoughts::Thoughts;

/// Everything that an [`Ask`] borrows.
pub(crate) struct Setup {
    pub(crate) prompt: Redacted,
    pub(crate) rewrite: Rewrite,
    pub(crate) target: Target,
    pub(crate) route: Route,
    pub(crate) tenant_cap: Option<Tokens>,
    pub(crate) headers: HeaderMap,
    pub(crate) stream_options: StreamOptions,
    pub(crate) thoughts: Arc<Thoughts>,
    /// Whose they are.
    pub(crate) owner: &'static str,
    pub(crate) now: Instant,
}

impl Setup {
    /// A request for a model with 16384 tokens of output, on a route whose default is 512.
    pub(crate) fn new(api: ClientApi, adapter: Adapter, body: &str) -> Self {
        Self::redacted(api, adapter, body, &Pii { filter: Filter::Off, ..Pii::default() })
    }

    /// The same under a redaction policy.
    pub(crate) fn redacted(api: ClientApi, adapter: Adapter, body: &str, pii: &Pii) -> Self {
        let prompt = Prompt::read(api, &HeaderMap::new(), Bytes::from(body.to_owned())).unwrap();
        let policy = Arc::new(PairPolicy::of(pii).unwrap());
        let mut vault = Vault::new(redact::PseudonymKey::new([7; 32]), "partner-alpha", "");
        let rules = Rules { policy: &policy.requests, table: field_table(api), names: policy.names() };
        let engine = redact::redact_json(prompt.body().clone(), rules, &mut vault).unwrap();
        let prompt = Redacted::new(&prompt, &engine, Vec::new(), &BodyMemory::new(usize::MAX, None)).unwrap();
        let rewrite = Rewrite::new(policy, vault, PseudonymKey::new([7; 32]), "partner-alpha");
        let target = target(adapter);
        let weighted = WeightedTarget { target: target.clone(), weight: 1, fallbacks: Vec::new() };
        let route = Route {
            alias: "fast".parse().unwrap(),
            targets: vec![weighted],
            data_class: DataClass::Internal,
            max_tokens: MaxTokens { default: Some(Tokens(512)), cap: None },
            deadline: Duration::from_secs(300),
            whole_answers: WholeAnswers::AsAsked,
            faults: Vec::new(),
            pii: BTreeMap::new(),
        };
        Self {
            prompt,
            rewrite,
            target,
            route,
            tenant_cap: None,
            headers: HeaderMap::new(),
            stream_options: StreamOptions::Taken,
            thoughts: Arc::new(Thoughts::new(Metrics::new().unwrap().answers.thoughts)),
            owner: "acme",
            now: clock::now(),
        }
    }

    pub(crate) fn ask(&self) -> Ask<'_> {
        Ask {
            prompt: &self.prompt,
            rewrite: &self.rewrite,
            target: &self.target,
            route: &self.route,
            tenant_cap: self.tenant_cap,
            headers: &self.headers,
            request_id: "r-1",
            correlation_id: "c-1",
            attempt: 1,
            created: 1_700_000_000,
            stream_options: self.stream_options,
            recall: Recall { thoughts: &self.thoughts, owner: self.owner, now: self.now },
        }
    }
}

fn target(adapter: Adapter) -> Target {
    let model = Model {
        context_tokens: Some(Tokens(128_000)),
        max_output_tokens: Some(Tokens(16_384)),
        capabilities: [].into(),
        price: None,
        first_token: None,
    };
    let partner = Partner {
        name: "partner-alpha".parse().unwrap(),
        adapter,
        endpoint: Some("https://api.alpha.test/v1".parse().unwrap()),
        addresses: AddressPolicy::PublicOnly,
        credential: None,
        api_version: ApiVersion::V20261021,
        tls: Tls::default(),
        schema_version: None,
        models: BTreeMap::new(),
        timeouts: Timeouts::default(),
        protection: Protection::default(),
        http: Default::default(),
        health_check: None,
        mock: (adapter == Adapter::Mock).then(|| Mock {
            reply: MockReply::Echo,
            first_token_delay: Duration::from_millis(20),
            tokens_per_second: 0,
            fail_percent: 0,
            status: 503,
        }),
    };
    Target { partner: Arc::new(partner), model_name: "gpt-4o-mini".parse().unwrap(), model }
}

/// What work in turns comes to, and how many turns it took.
pub(crate) fn in_turns<T>(work: impl Future<Output = T>) -> (T, usize) {
    let (mut work, mut context) = (pin!(work), Context::from_waker(Waker::noop()));
    let mut turns = 1;
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(done) => return (done, turns),
            Poll::Pending => turns += 1,
        }
    }
}

/// The body that is sent, and what is named as adjusted.
pub(crate) fn sent(setup: &Setup) -> (String, Vec<String>) {
    let exchanged = exchange(&setup.ask()).unwrap();
    let Exchange::Partner(outgoing, _) = exchanged.exchange else { panic!("no partner") };
    (String::from_utf8(outgoing.body.concat()).unwrap(), exchanged.adjusted)
}

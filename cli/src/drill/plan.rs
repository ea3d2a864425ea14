//! What is played: one request without a fault, to compare with, and one for each kind.

use std::time::Duration;

use anyhow::{Result, bail};
use chaperone_protocol::adapter::{Adapter, Capability};
use chaperone_protocol::name::Alias;
use chaperone_protocol::snapshot::{Fault, FaultKind, HttpVersion, Mock, MockReply, Tls, WrongUsage};
use chaperone_protocol::wire::{Document, WirePartner, WireRoute, WireTarget};

/// How far beyond the longest first-token limit a stall goes that no route declares.
const BEYOND: Duration = Duration::from_secs(1);

/// One request of a drill.
#[derive(Debug, Clone)]
pub(super) struct Play {
    /// `None`: without a fault.
    pub(super) fault: Option<Fault>,
    pub(super) call: Call,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// A streamed chat.
    Chat,
    /// Embeddings, where the route's models give nothing else.
    Embeddings,
}

impl Play {
    pub(super) fn name(&self) -> &'static str {
        self.fault.as_ref().map_or("none", |fault| fault.kind.code())
    }

    /// Whether it strikes behind the first token, where nobody may fall back any more.
    pub(super) fn strikes_late(&self) -> bool {
        let kind = self.fault.as_ref().map(|fault| fault.kind);
        matches!(kind, Some(FaultKind::CutAfterTokens { tokens } | FaultKind::MalformedSse { tokens }) if tokens > 0)
            && self.call == Call::Chat
    }
}

/// The plays of a route: its own declared faults, each for all requests, and a usual one of every other kind.
///
/// # Errors
/// The document has no such route.
pub(super) fn plays(document: &Document, alias: &Alias) -> Result<Vec<Play>> {
    let Some(route) = document.routes.get(alias) else {
        let known: Vec<_> = document.routes.keys().map(Alias::as_str).collect();
        bail!("no route has the alias {:?}; {} has: {}", alias.as_str(), document.scope, known.join(", "));
    };
    let call = call(document, route);
    let longest = targets(route).filter_map(|target| first_token(document, target)).max();
    let delay = longest.unwrap_or_default() + BEYOND;
    let usual = [
        FaultKind::StallFirstToken { delay },
        FaultKind::CutAfterTokens { tokens: 1 },
        FaultKind::MalformedSse { tokens: 0 },
        FaultKind::Status { status: 503, retry_after: None },
        FaultKind::WrongUsage { usage: WrongUsage::Missing },
        FaultKind::Delay { delay },
        FaultKind::Abort,
    ];
    let always = |fault: &Fault| Fault { percent: 100, window: None, ..fault.clone() };
    let faults = usual.into_iter().flat_map(|kind| {
        let declared: Vec<_> =
            route.faults.iter().filter(|fault| fault.kind.code() == kind.code()).map(always).collect();
        if declared.is_empty() {
            vec![Fault { percent: 100, kind, partner: None, window: None }]
        } else {
            declared
        }
    });
    Ok(std::iter::once(None).chain(faults.map(Some)).map(|fault| Play { fault, call }).collect())
}

fn targets(route: &WireRoute) -> impl Iterator<Item = &WireTarget> {
    route.targets.iter().flat_map(|weighted| std::iter::once(&weighted.target).chain(&weighted.fallbacks))
}

fn first_token(document: &Document, target: &WireTarget) -> Option<Duration> {
    let partner = document.partners.get(&target.partner)?;
    Some(partner.models.get(&target.model)?.first_token.unwrap_or(partner.timeouts.first_token))
}

fn call(document: &Document, route: &WireRoute) -> Call {
    let embeds = targets(route).all(|target| {
        let model = document.partners.get(&target.partner).and_then(|it| it.models.get(&target.model));
        model.is_some_and(|model| model.can(Capability::Embeddings))
    });
    if embeds { Call::Embeddings } else { Call::Chat }
}

/// Puts a partner that is built in, needs no key and answers at once, in every partner's place.
pub(super) fn mock(document: &mut Document) {
    for partner in document.partners.values_mut() {
        let played = WirePartner {
            adapter: Adapter::Mock,
            endpoint: None,
            credential: None,
            tls: Tls::default(),
            http: HttpVersion::default(),
            health_check: None,
            mock: Some(Mock {
                reply: MockReply::Text("all quiet on this side".to_owned()),
                first_token_delay: Duration::ZERO,
                tokens_per_second: 0,
                fail_percent: 0,
                status: 503,
            }),
            ..partner.clone()
        };
        *partner = played;
    }
}

//! What the manifests come to: which endpoints serve each alias, and where each partner is called.

use std::collections::BTreeSet;

use chaperone_operator::compile::Compiled;
use chaperone_protocol::adapter::Adapter;
use chaperone_protocol::pair::{self, ClientApi};
use chaperone_protocol::snapshot::Endpoint;
use chaperone_protocol::wire::{Document, WirePartner, WireRoute};
use serde::Serialize;

/// Which endpoints a namespace's alias has.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct AliasRow {
    namespace: String,
    alias: String,
    /// Endpoints that every target and fallback can serve.
    every: Vec<&'static str>,
    /// Endpoints that some of them cannot serve; a request there skips those.
    some: Vec<&'static str>,
    /// Why nobody is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// Where a partner is called.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct PartnerRow {
    partner: String,
    /// Every URL that requests may go to; none for the Mock.
    urls: Vec<String>,
}

impl AliasRow {
    pub(super) fn cells(&self) -> [String; 4] {
        let list = |paths: &[&str]| if paths.is_empty() { "-".to_owned() } else { paths.join("\n") };
        let (every, some) = match &self.refused {
            Some(_) => ("refused, see above".to_owned(), "-".to_owned()),
            None => (list(&self.every), list(&self.some)),
        };
        [self.namespace.clone(), self.alias.clone(), every, some]
    }
}

impl PartnerRow {
    pub(super) fn cells(&self) -> [String; 2] {
        let urls = if self.urls.is_empty() { "nowhere: built in".to_owned() } else { self.urls.join("\n") };
        [self.partner.clone(), urls]
    }
}

/// One row for each alias of each namespace.
pub(super) fn aliases(compiled: &Compiled) -> Vec<AliasRow> {
    compiled.snapshots.iter().flat_map(|(scope, document)| rows(scope.namespace.as_str(), document)).collect()
}

fn rows(namespace: &str, document: &Document) -> Vec<AliasRow> {
    let mut rows: Vec<_> = document
        .routes
        .iter()
        .map(|(alias, route)| {
            let (every, some) = served(route, document);
            AliasRow { namespace: namespace.to_owned(), alias: alias.to_string(), every, some, refused: None }
        })
        .chain(document.refused.iter().map(|(alias, refusal)| AliasRow {
            namespace: namespace.to_owned(),
            alias: alias.to_string(),
            every: Vec::new(),
            some: Vec::new(),
            refused: Some(refusal.clone()),
        }))
        .collect();
    rows.sort_by(|one, other| one.alias.cmp(&other.alias));
    rows
}

/// Endpoints that all, and that only some, of a route's targets have.
fn served(route: &WireRoute, document: &Document) -> (Vec<&'static str>, Vec<&'static str>) {
    let adapters: BTreeSet<Adapter> = route
        .targets
        .iter()
        .flat_map(|weighted| std::iter::once(&weighted.target).chain(&weighted.fallbacks))
        .filter_map(|target| Some(document.partners.get(&target.partner)?.adapter))
        .collect();
    let serves = |api: ClientApi| move |adapter: &Adapter| pair::path(api, *adapter).is_some();
    let every = ClientApi::ALL.into_iter().filter(|api| adapters.iter().all(serves(*api)));
    let some = ClientApi::ALL
        .into_iter()
        .filter(|api| adapters.iter().any(serves(*api)) && !adapters.iter().all(serves(*api)));
    (every.map(ClientApi::path).collect(), some.map(ClientApi::path).collect())
}

/// One row for each partner that can be used.
pub(super) fn partners(compiled: &Compiled) -> Vec<PartnerRow> {
    compiled
        .partners
        .iter()
        .map(|(key, wire)| PartnerRow { partner: key.to_string(), urls: urls(wire) })
        .collect()
}

fn urls(wire: &WirePartner) -> Vec<String> {
    let Some(endpoint) = &wire.endpoint else { return Vec::new() };
    let paths: BTreeSet<String> =
        ClientApi::ALL.iter().filter_map(|api| pair::partner_path(*api, wire.adapter, endpoint)).collect();
    paths.iter().map(|path| format!("{}{path}", origin(endpoint))).collect()
}

fn origin(endpoint: &Endpoint) -> String {
    let scheme = if endpoint.is_tls() { "https" } else { "http" };
    format!("{scheme}://{}", endpoint.authority())
}

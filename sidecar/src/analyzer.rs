//! Analyzers: servers that find names beside the embedded tagger, and what they have found in a request.
//!
//! Fails closed: a text that an analyzer should have read and has not is not sent. What an analyzer gets is the text as
//! the engine reads it; what it finds only adds to the engine's own findings. Next: `analyzer/server.rs`.

mod answer;
mod guard;
mod question;
mod server;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chaperone_protocol::keys::Keys;
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::pii::Analyzer;
use chaperone_protocol::snapshot::{Endpoint, Snapshot, Tls};
use chaperone_redact::{NameFinder, NameSpan, Unanalyzed};
use tokio_util::task::TaskTracker;

use self::guard::Guard;
pub(crate) use self::server::Unanswered;
use self::server::{Round, Server};
use crate::metrics::AnalyzerMetrics;
use crate::outbound::network::Network;

/// The analyzers of a snapshot.
#[derive(Default)]
pub(crate) struct Analyzers {
    servers: BTreeMap<(Endpoint, Tls), Arc<Server>>,
}

impl Analyzers {
    /// All that policies of `snapshot` name. Connections of unchanged ones are taken from `before`, and what was learned
    /// of an endpoint whatever else has changed.
    pub(crate) fn of(
        (snapshot, keys): (&Snapshot, &Keys),
        before: &Self,
        network: &Network,
        tasks: &TaskTracker,
    ) -> Self {
        let mut guards: BTreeMap<&Endpoint, Arc<Guard>> =
            before.servers.iter().map(|((endpoint, _), server)| (endpoint, server.guard())).collect();
        let policies = snapshot.routes().flat_map(|route| route.pii.values());
        let mut servers = BTreeMap::new();
        for Analyzer { endpoint, tls, .. } in policies.flat_map(|pii| pii.ner.analyzers()) {
            let name = (endpoint.clone(), tls.clone());
            servers.entry(name).or_insert_with_key(|name| {
                let kept = before.servers.get(name).filter(|server| server.has(tls, keys));
                kept.map(Arc::clone).unwrap_or_else(|| {
                    let guard = Arc::clone(guards.entry(endpoint).or_default());
                    Arc::new(Server::new((endpoint, tls), keys, guard, (network, tasks)))
                })
            });
        }
        Self { servers }
    }

    /// Has `analyzer` read `texts`, several questions at a time.
    ///
    /// # Errors
    /// The first question that it did not answer.
    pub(crate) async fn ask(
        &self,
        analyzer: &Analyzer,
        texts: &Texts,
        metrics: &AnalyzerMetrics,
    ) -> Result<Analysis, Unanswered> {
        let name = (analyzer.endpoint.clone(), analyzer.tls.clone());
        let server = self.servers.get(&name).ok_or(Unanswered::Unreachable)?;
        let questions = question::questions(&texts.all);
        let names = Mutex::new(vec![Vec::new(); texts.all.len()]);
        let next = AtomicUsize::new(0);
        let round = Round::new(metrics);
        // Whether there was one.
        let turn = || async {
            // Relaxed: each number is taken once, and nothing else depends on it.
            let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return Ok(false);
            };
            let spread = |findings: &[_]| {
                question.spread(findings, &mut names.lock().unwrap_or_else(PoisonError::into_inner))
            };
            server.ask(analyzer, question.text(), spread, &round).await?;
            Ok(true)
        };
        let lane = || async {
            while turn().await? {}
            Ok(())
        };
        if server.is_on_trial() {
            // One question is let through as the probe, and the others would give it up.
            turn().await?;
        }
        // As many as one analyzer is asked at a time.
        const { assert!(limits::PII_QUESTIONS == 4) };
        tokio::try_join!(lane(), lane(), lane(), lane())?;
        let names = names.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Analysis(texts.all.iter().cloned().zip(names).collect()))
    }
}

/// The texts of a request in which names are looked for, each once.
#[derive(Default)]
pub(crate) struct Texts {
    all: Vec<String>,
}

/// What an analyzer has found in the texts of one request.
pub(crate) struct Analysis(BTreeMap<String, Vec<NameSpan>>);

/// Takes down the texts that an engine looks for names in, as far as an analyzer may be asked about them.
#[derive(Default)]
pub(crate) struct Collector(Mutex<Collected>);

#[derive(Default)]
struct Collected {
    /// In which order each came.
    texts: BTreeMap<String, usize>,
    bytes: usize,
    /// Whether a text came that there was no room for.
    is_full: bool,
}

impl Collector {
    /// The texts, in their order.
    ///
    /// # Errors
    /// They are longer, or more, than an analyzer may be asked about.
    pub(crate) fn finish(self) -> Result<Texts, TooLong> {
        let Collected { texts, is_full, .. } = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if is_full {
            return Err(TooLong);
        }
        let mut texts: Vec<_> = texts.into_iter().collect();
        texts.sort_unstable_by_key(|(_, order)| *order);
        Ok(Texts { all: texts.into_iter().map(|(text, _)| text).collect() })
    }
}

/// A request with more text than an analyzer may be asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TooLong;

impl NameFinder for Collector {
    fn find(&self, _text: &str, _recall_bias: f32, _out: &mut Vec<NameSpan>) {}

    fn known(&self, value: &str, _out: &mut Vec<NameSpan>) -> Result<(), Unanalyzed> {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !collected.texts.contains_key(value) {
            let order = collected.texts.len();
            collected.bytes = collected.bytes.saturating_add(value.len());
            collected.is_full |=
                collected.bytes > limits::PII_ANALYZED_BYTES || order == limits::PII_ANALYZED_TEXTS;
            if !collected.is_full {
                collected.texts.insert(value.to_owned(), order);
            }
        }
        Ok(())
    }
}

/// A name finder that analyzers have helped beforehand.
pub(crate) struct Assisted<'a> {
    pub(crate) own: &'a dyn NameFinder,
    pub(crate) analyses: &'a [Arc<Analysis>],
}

impl NameFinder for Assisted<'_> {
    fn find(&self, text: &str, recall_bias: f32, out: &mut Vec<NameSpan>) {
        self.own.find(text, recall_bias, out);
    }

    fn known(&self, value: &str, out: &mut Vec<NameSpan>) -> Result<(), Unanalyzed> {
        for analysis in self.analyses {
            out.extend(analysis.0.get(value).ok_or(Unanalyzed)?);
        }
        Ok(())
    }
}

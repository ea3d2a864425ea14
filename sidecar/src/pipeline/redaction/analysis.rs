//! Has analyzers read a request before it is redacted, once for all attempts: a fallback under another policy asks only
//! whom nobody has asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chaperone_protocol::limits;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::pii::Analyzer;
use chaperone_redact::{Rules, Vault};
use tokio::time::timeout;

use super::{Call, PATIENCE, refuse, scan};
use crate::analyzer::{Analysis, Collector, Texts, TooLong, Unanswered};
use crate::clock;
use crate::pii::{self, PairPolicy};
use crate::record::Record;
use crate::refusal::Refusal;

/// When to ask again where nobody can say.
const SOON: Duration = Duration::from_secs(1);

type Answered = Result<Arc<Analysis>, Unanswered>;

/// What analyzers have said about one request.
#[derive(Default)]
pub(super) struct Analyses {
    /// The same under every policy that looks for names.
    texts: Mutex<Option<Result<Arc<Texts>, TooLong>>>,
    /// Also who could not be asked: another attempt does not wait for it again.
    answered: Mutex<BTreeMap<Analyzer, Answered>>,
}

/// Whom `policy` has asked about requests. Names that are looked for in answers alone are no reason to ask, and none to
/// take down texts: there would be none.
pub(super) fn analyzers(policy: &PairPolicy) -> &[Analyzer] {
    if policy.requests.entities().wants_names() { policy.written.ner.analyzers() } else { &[] }
}

/// What these `analyzers` of `policy` have found, each once.
///
/// # Errors
/// One of them could not be asked, or the request is not for it to read.
pub(super) async fn all(
    call: &Call<'_>,
    policy: &PairPolicy,
    analyzers: &[Analyzer],
    record: &mut Record,
) -> Result<Vec<Arc<Analysis>>, Refusal> {
    let mut analyses = Vec::with_capacity(analyzers.len());
    for analyzer in analyzers {
        let known = lock(&call.redactions.analyses.answered).get(analyzer).cloned();
        let answered = match known {
            Some(answered) => answered,
            None => {
                let texts = texts(call, policy, record).await?;
                let answered = ask(call, analyzer, &texts).await;
                lock(&call.redactions.analyses.answered).insert(analyzer.clone(), answered.clone());
                answered
            }
        };
        analyses.push(answered.map_err(unavailable)?);
    }
    Ok(analyses)
}

async fn ask(call: &Call<'_>, analyzer: &Analyzer, texts: &Texts) -> Answered {
    let metrics = &call.shared.metrics.pii.analyzers;
    let asked = timeout(PATIENCE, call.world.analyzers.ask(analyzer, texts, metrics)).await;
    let answered = asked.unwrap_or_else(|_| {
        metrics.ended(Unanswered::Busy.code(), PATIENCE);
        Err(Unanswered::Busy)
    });
    answered.map(Arc::new)
}

/// The texts that the engine will look for names in: those that it would look in now.
async fn texts(call: &Call<'_>, policy: &PairPolicy, record: &mut Record) -> Result<Arc<Texts>, Refusal> {
    let known = lock(&call.redactions.analyses.texts).clone();
    if let Some(texts) = known {
        return texts.map_err(too_long);
    }
    let collector = Collector::default();
    let rules = Rules {
        policy: &policy.requests,
        table: pii::field_table(call.prompt.api()),
        names: Some(&collector),
    };
    // Placeholders of a run whose result nobody sees.
    let mut vault = Vault::new(chaperone_redact::PseudonymKey::new([0; 32]), "", "");
    let began = clock::now();
    if let Err(failure) = scan(call.prompt.body(), rules, &mut vault, PATIENCE).await {
        return Err(refuse(&failure, policy, record, clock::now() - began));
    }
    let texts = collector.finish().map(Arc::new);
    if texts.is_err() {
        record.bound_hit("analyzed");
    }
    *lock(&call.redactions.analyses.texts) = Some(texts.clone());
    texts.map_err(too_long)
}

fn too_long(_: TooLong) -> Refusal {
    let message = format!(
        "the request has more than {} kB of text, or more than {} texts, which is more than its analyzer may be asked \
         about, and was not sent",
        limits::PII_ANALYZED_BYTES >> 10,
        limits::PII_ANALYZED_TEXTS
    );
    Refusal::new(Reason::PiiUnscannable, message)
}

fn unavailable(why: Unanswered) -> Refusal {
    let message =
        "the analyzer that has to read this request for personal data gave no answer; nothing was sent";
    let until = if let Unanswered::Breaker { until } = why { until } else { None };
    let wait = until.map_or(SOON, |until| until.saturating_duration_since(clock::now()).max(SOON));
    Refusal { reason: Reason::PiiBackend, message: message.to_owned(), retry_after: Some(wait) }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

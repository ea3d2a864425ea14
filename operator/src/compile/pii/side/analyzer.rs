//! Who finds names, as one object wrote it.

use chaperone_crds::field::pii as written;
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::pii::{Analyzer, Ner};
use chaperone_protocol::snapshot::{AddressPolicy, Endpoint, Tls};

use super::{invalid, percent};
use crate::compile::finding::{Notes, Problem, Reason};
use crate::compile::{endpoint, partner};
use crate::world::{ObjectKey, World};

/// `None` where what was written cannot be used, which is noted.
pub(super) fn ner(written: &written::Ner, owner: (&ObjectKey, &World), notes: &mut Notes<'_>) -> Option<Ner> {
    let written::Ner { backend, presidio } = written;
    let at = "spec.pii.ner";
    match (backend, presidio) {
        (written::NerBackend::Embedded, None) => Some(Ner::Embedded),
        (written::NerBackend::Off, None) => Some(Ner::Off),
        (written::NerBackend::Presidio, Some(written)) => {
            Some(Ner::Presidio(vec![analyzer(written, &format!("{at}.presidio"), owner, notes)?]))
        }
        (written::NerBackend::Presidio, None) => {
            notes.add(at, invalid("backend Presidio needs `presidio`", "say where the analyzer is"));
            None
        }
        (written::NerBackend::Embedded | written::NerBackend::Off, Some(_)) => {
            notes.add(
                at,
                invalid("`presidio` goes with backend Presidio", "remove it, or change the backend"),
            );
            None
        }
    }
}

fn analyzer(
    written: &written::Presidio,
    path: &str,
    owner: (&ObjectKey, &World),
    notes: &mut Notes<'_>,
) -> Option<Analyzer> {
    let written::Presidio { endpoint: url, tls, timeout, language, score_threshold } = written;
    let endpoint = place(url, &format!("{path}.endpoint"), notes);
    let score = percent(score_threshold)
        .ok_or_else(|| invalid("is not a score", "write a number from 0 to 1, as in \"0.4\""));
    let score_percent = notes.keep(format!("{path}.scoreThreshold"), score);
    let timeout = timeout.as_duration();
    if timeout.is_zero() || timeout > limits::PII_ANALYZER_TIMEOUT {
        notes.add(format!("{path}.timeout"), invalid("is out of range", "write 1ms to 10s"));
    }
    if language.len() > limits::PII_LANGUAGE_CHARS {
        notes.add(format!("{path}.language"), invalid("is too long", "write a code, as en"));
    }
    let tls = partner::tls(tls.as_ref(), &format!("{path}.tls"), owner, notes);
    if let Some(problem) = endpoint.as_ref().and_then(|endpoint| anonymous(endpoint, &tls)) {
        notes.add(format!("{path}.tls"), problem);
    }
    Some(Analyzer {
        endpoint: endpoint?,
        tls,
        timeout,
        language: language.clone(),
        score_percent: score_percent?,
    })
}

/// Its place is judged as a partner's, but that an analyzer is usually near: private addresses need no leave.
fn place(written: &str, path: &str, notes: &mut Notes<'_>) -> Option<Endpoint> {
    let parsed = written.parse::<Endpoint>().map_err(|error| {
        Problem::new(Reason::InvalidValue, error, "write a URL as https://presidio.example.com")
    });
    let endpoint = notes.keep(path, parsed)?;
    if let Some(problem) = endpoint::check_host(&endpoint, AddressPolicy::AllowPrivate) {
        notes.add(path, problem);
    }
    if !endpoint.is_tls() && !Analyzer::is_in_the_pod(&endpoint) {
        let message = "endpoint is http://, which sends prompts in the clear";
        let remedy = "use https://, or run the analyzer in the same Pod and write http://127.0.0.1:3000";
        notes.add(path, Problem::new(Reason::Plaintext, message, remedy));
    }
    Some(endpoint)
}

/// What is wrong with an analyzer that answers whoever asks: it is sent what nobody has redacted.
fn anonymous(endpoint: &Endpoint, tls: &Tls) -> Option<Problem> {
    if !endpoint.is_tls() || Analyzer::is_in_the_pod(endpoint) || tls.client_certificate.is_some() {
        return None;
    }
    let message = "an analyzer outside of the Pod must ask for a client certificate, and none is named";
    let remedy =
        "set `clientCertSecretRef`, or run the analyzer in the same Pod and write http://127.0.0.1:3000";
    Some(Problem::new(Reason::NoClientCertificate, message, remedy))
}

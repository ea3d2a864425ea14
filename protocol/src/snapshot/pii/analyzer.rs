//! A Presidio analyzer that finds names beside the embedded tagger: where it is, and how it is asked.
//!
//! It only adds to what is found. What it cannot answer is not sent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::{Host, Reach, is_loopback, reach};
use crate::invalid::Problems;
use crate::limits;
use crate::snapshot::partner::milliseconds;
use crate::snapshot::{Endpoint, Tls};

/// An analyzer. It has no authentication of its own: it is in the Pod, or behind TLS that asks for our certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Analyzer {
    /// What `/analyze` is joined to. Without a certificate of ours it is on loopback.
    pub endpoint: Endpoint,
    /// How its certificate is checked, and ours shown.
    #[serde(default, skip_serializing_if = "Tls::is_default")]
    pub tls: Tls,
    /// How long one question may take, whose text has at most [`limits::PII_QUESTION_BYTES`].
    #[serde(rename = "timeoutMs", with = "milliseconds")]
    pub timeout: Duration,
    /// The language that it is told, as `en`.
    pub language: String,
    /// The least score that it is asked for, in percent.
    pub score_percent: u8,
}

impl Analyzer {
    /// Whether it is in the Pod, as far as its endpoint can tell. A name is judged again when it is dialled.
    #[must_use]
    pub fn is_in_the_pod(endpoint: &Endpoint) -> bool {
        is_loopback(endpoint.host())
    }

    /// Notes what must not be asked, or asked so.
    pub(super) fn check(&self, path: &str, problems: &mut Problems) {
        let Self { endpoint, tls, timeout, language, score_percent } = self;
        if !Self::is_in_the_pod(endpoint) {
            if !endpoint.is_tls() {
                problems.add(format!("{path}.endpoint"), "sends prompts in the clear beyond loopback");
            } else if tls.client_certificate.is_none() && tls.client_key.is_none() {
                problems.add(format!("{path}.tls"), "shows no client certificate beyond loopback");
            }
        }
        let is_never = match Host::of(endpoint.host()) {
            Host::Address(address) => reach(address) == Reach::Never,
            Host::Disguised => true,
            Host::Name => false,
        };
        if is_never {
            problems.add(format!("{path}.endpoint"), "has a host that is never dialled");
        }
        if tls.client_certificate.is_some() != tls.client_key.is_some() {
            problems.add(format!("{path}.tls"), "a client certificate and its key come together");
        }
        if timeout.is_zero() || *timeout > limits::PII_ANALYZER_TIMEOUT {
            problems.add(format!("{path}.timeoutMs"), "is out of range");
        }
        problems.bound(format!("{path}.language"), language.len(), limits::PII_LANGUAGE_CHARS);
        if *score_percent > 100 {
            problems.add(format!("{path}.scorePercent"), "is above 100");
        }
    }
}

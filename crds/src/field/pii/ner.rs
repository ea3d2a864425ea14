//! Who finds names: the tagger inside the sidecar, or a Presidio analyzer besides.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::explain::explain_values;
use crate::field::{DurationString, duration_within};
use crate::partner::{HAS_A_HOST, Tls};

/// Which tagger finds names.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.backend == 'Presidio') == has(self.presidio)")
    .message("`presidio` goes with `backend: Presidio`: set both, or neither"))]
pub struct Ner {
    /// Which tagger. `Off` stands only where Partner and route both write it; `Presidio` stands where either does.
    pub backend: NerBackend,
    /// The analyzer to ask. Needed with `backend: Presidio`, refused without it. Where Partner and route name different ones, both are asked; for a route of another namespace than the Partner's, the route must name the Partner's too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presidio: Option<Presidio>,
}

/// A tagger.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[schemars(inline, transform = explain_values)]
pub enum NerBackend {
    /// The one inside the sidecar.
    Embedded,
    /// The one inside the sidecar, and a Presidio analyzer that is asked over HTTP. It only adds to what is found, in requests and not in answers; a request that it cannot be asked about is refused with `pii_backend`.
    Presidio,
    /// None: names of persons, places and organizations are not found. Written in quotes.
    Off,
}

/// A Presidio analyzer. It reads requests as applications wrote them, and has no authentication of its own: run it in the same Pod, or behind TLS that asks for a certificate of ours.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.tls) || !self.endpoint.startsWith('http://')")
    .message("`tls` needs an https:// endpoint: change the endpoint, or remove `tls`"))]
#[x_kube(validation = Rule::new(r"!self.endpoint.startsWith('https://') || (has(self.tls) && has(self.tls.clientCertSecretRef)) || self.endpoint.matches('^https://(127(\\.[0-9]{1,3}){3}|localhost|\\[::1\\])(:[0-9]+)?(/.*)?$')")
    .message("an analyzer outside of the Pod must ask who we are: set `tls.clientCertSecretRef`, or run it in the same Pod"))]
pub struct Presidio {
    /// Base URL of the analyzer, to which `/analyze` is joined. Example: `http://127.0.0.1:3000`. Private addresses may be dialled; whatever is not on loopback needs `https://` and `tls.clientCertSecretRef`, since prompts travel there as they are.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^[!#-;=?-Z_a-z~\[\]]+$"))]
    #[x_kube(
        validation = Rule::new(r"self.startsWith('https://') || self.matches('^http://(127(\\.[0-9]{1,3}){3}|localhost|\\[::1\\])(:[0-9]+)?(/.*)?$')")
            .message("must begin with https://, or with http:// and a loopback address, as in http://127.0.0.1:3000"),
        validation = Rule::new("!self.contains('?') && !self.contains('#')")
            .message("must not have a query or a fragment: remove what follows `?` or `#`"),
        validation = Rule::new(HAS_A_HOST)
            .message("must be a URL with a host, as in https://api.example.com/v1"),
    )]
    pub endpoint: String,
    /// How the analyzer's certificate is checked and which one is shown to it; default: the public roots, and none, which is for loopback alone. Needs an `https://` endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How long one question may take, from 1ms to 10s; default `2s`. A question has at most 4 KiB of text, longer requests are several. Beyond it the request is refused.
    #[serde(default = "timeout")]
    #[x_kube(validation = duration_within("1ms", "10s"))]
    pub timeout: DurationString,
    /// Language that the analyzer is told; default `en`. Example: `de`. One that it does not know refuses every request.
    #[serde(default = "language")]
    #[schemars(length(min = 1, max = 16), regex(pattern = "^[A-Za-z][-A-Za-z]*$"))]
    pub language: String,
    /// Least score of what the analyzer returns, from 0 to 1; default `"0.4"`. Lower finds more, and more that is none.
    #[serde(default = "score_threshold")]
    #[schemars(length(max = 4), regex(pattern = r"^(0(\.[0-9]{1,2})?|1(\.0{1,2})?)$"))]
    pub score_threshold: String,
}

fn timeout() -> DurationString {
    DurationString::seconds(2)
}

fn language() -> String {
    "en".to_owned()
}

fn score_threshold() -> String {
    "0.4".to_owned()
}

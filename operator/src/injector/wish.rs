//! What a Pod's annotations ask of its sidecar.

use k8s_openapi::api::core::v1::Pod;

/// Asks for another port than [`PORT`]; metrics and probes are on the one after it.
pub(super) const PORT_ANNOTATION: &str = "chaperone.dev/port";
/// `RequireConfig` or `BestEffort`.
const START_ANNOTATION: &str = "chaperone.dev/start";
/// Limits of the sidecar, none without them. A CPU limit slows every call down.
const LIMIT_ANNOTATIONS: [(&str, &str); 2] =
    [("chaperone.dev/cpu-limit", "cpu"), ("chaperone.dev/memory-limit", "memory")];

const PORT: u16 = 4_141;
const STARTS: [&str; 2] = ["RequireConfig", "BestEffort"];
/// Suffixes of Kubernetes' quantities that make sense here.
const SUFFIXES: [&str; 8] = ["", "m", "k", "M", "G", "Ki", "Mi", "Gi"];

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) port: u16,
    pub(super) start: String,
    /// Resource and quantity.
    pub(super) limits: Vec<(&'static str, String)>,
}

/// An annotation that cannot be granted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {annotation} is {value:?}; write {wanted}")]
pub(super) struct InvalidWish {
    annotation: &'static str,
    value: String,
    wanted: &'static str,
}

impl Wish {
    /// # Errors
    /// If an annotation cannot be granted.
    pub(super) fn of(pod: &Pod) -> Result<Self, InvalidWish> {
        let read =
            |name: &str| pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(name));
        let invalid =
            |annotation, value: &str, wanted| InvalidWish { annotation, value: value.to_owned(), wanted };
        let port = match read(PORT_ANNOTATION) {
            None => PORT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|port| (1_024..u16::MAX).contains(port))
                .ok_or_else(|| invalid(PORT_ANNOTATION, text, "a port from 1024 to 65534"))?,
        };
        let start = read(START_ANNOTATION).map_or(STARTS[0], String::as_str);
        if !STARTS.contains(&start) {
            return Err(invalid(START_ANNOTATION, start, "RequireConfig or BestEffort"));
        }
        let mut limits = Vec::new();
        for (annotation, resource) in LIMIT_ANNOTATIONS {
            let Some(quantity) = read(annotation) else { continue };
            if !is_quantity(quantity) {
                return Err(invalid(annotation, quantity, "a quantity, as 200m or 128Mi"));
            }
            limits.push((resource, quantity.clone()));
        }
        Ok(Self { port, start: start.to_owned(), limits })
    }

    /// Where metrics and probes are.
    pub(super) fn admin_port(&self) -> u16 {
        self.port + 1
    }
}

/// The API server's own message about a bad quantity names a container that the Pod's author did not write.
fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffix = text.strip_prefix(number).unwrap_or_default();
    number.starts_with(|digit: char| digit.is_ascii_digit())
        && number.chars().all(|letter| letter.is_ascii_digit() || letter == '.')
        && number.parse::<f64>().is_ok()
        && SUFFIXES.contains(&suffix)
}

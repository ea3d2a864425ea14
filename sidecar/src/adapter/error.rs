//! What a partner's error means: the one place where providers' error codes are read.
//!
//! The code goes before the status: spent credit arrives as 429 `insufficient_quota`, an error event in a stream has
//! no status at all. The partner's words reach the app only where the app's own request is at fault.

use std::time::Duration;

use chaperone_protocol::reason::Reason;
use serde::Deserialize;
use serde_json::Value;

use crate::exchange::{Extent, Failure, Reached};

/// Characters of a partner's words that are passed on.
const MESSAGE_CHARS: usize = 1_000;

/// Codes for a credential that is not accepted, whoever uses it.
const REFUSED: [&str; 3] = ["invalid_api_key", "authentication_error", "account_deactivated"];
/// The code for one that is accepted, and may not do this.
const FORBIDDEN: &str = "permission_error";

/// An error as a partner describes it, in any of the shapes that partners use.
#[derive(Debug, Default, Deserialize)]
struct Described {
    #[serde(default)]
    message: Value,
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    code: Value,
    /// FastAPI's shape, which some compatible servers have.
    #[serde(default)]
    detail: Value,
    #[serde(default)]
    error: Option<Box<Described>>,
}

impl Described {
    fn read(body: &[u8]) -> Option<Self> {
        let mut outer: Self = serde_json::from_slice(body).ok()?;
        Some(match outer.error.take() {
            Some(inner) => *inner,
            None => outer,
        })
    }

    fn has(&self, codes: &[&str]) -> bool {
        [&self.code, &self.kind].into_iter().filter_map(Value::as_str).any(|code| codes.contains(&code))
    }

    fn words(&self) -> &str {
        self.message.as_str().or(self.detail.as_str()).unwrap_or_default()
    }

    fn says(&self, phrases: &[&str]) -> bool {
        let words = self.words().to_lowercase();
        phrases.iter().any(|phrase| words.contains(phrase))
    }

    /// Whether its words begin so. Further in, they may quote what the app wrote.
    fn begins(&self, phrase: &str) -> bool {
        self.words().trim_start().to_lowercase().starts_with(phrase)
    }

    /// A status that stands in the body, as some servers write it into streams.
    fn status(&self) -> Option<u16> {
        let number = self.code.as_u64().or_else(|| self.code.as_str()?.parse().ok())?;
        u16::try_from(number).ok().filter(|status| (400..600).contains(status))
    }
}

/// The failure that an answer with `status` and `body` stands for. `status` is `None` within a stream.
pub(crate) fn classify(status: Option<u16>, body: &[u8], retry_after: Option<Duration>) -> Failure {
    let described = Described::read(body);
    let status = status.or_else(|| described.as_ref()?.status());
    let reason =
        described.as_ref().and_then(|error| by_code(error, status)).unwrap_or_else(|| by_status(status));
    let message = is_the_apps(reason).then(|| message(described.as_ref(), status, body.len()));
    let extent = extent(reason, described.as_ref(), status);
    Failure { reason, message, retry_after, reached: Reached::Everything, extent }
}

/// For whom the refusal of a credential holds: for everybody where it is the credential itself that will not do. A status
/// of 403, and a permission that is missing, may be about this Pod's address or one feature of one request.
fn extent(reason: Reason, error: Option<&Described>, status: Option<u16>) -> Extent {
    let has = |codes: &[&str]| error.is_some_and(|error| error.has(codes));
    match reason {
        Reason::PartnerCredit => Extent::Everywhere,
        Reason::PartnerCredential if has(&REFUSED) => Extent::Everywhere,
        Reason::PartnerCredential if status == Some(401) && !has(&[FORBIDDEN]) => Extent::Everywhere,
        _ => Extent::Here,
    }
}

fn is_the_apps(reason: Reason) -> bool {
    matches!(reason, Reason::PartnerRejected | Reason::ContextLength | Reason::ContentPolicy)
}

/// What the provider's own code says, whatever the status.
fn by_code(error: &Described, status: Option<u16>) -> Option<Reason> {
    let is_request = status.is_none_or(|status| (400..500).contains(&status));
    if error.has(&["insufficient_quota", "billing_error", "billing_hard_limit_reached", "billing_not_active"])
        || (is_request && error.begins("your credit balance is too low"))
    {
        return Some(Reason::PartnerCredit);
    }
    if error.has(&REFUSED) || error.has(&[FORBIDDEN]) {
        return Some(Reason::PartnerCredential);
    }
    if error.has(&["model_not_found", "not_found_error", "DeploymentNotFound"]) {
        return Some(Reason::PartnerModel);
    }
    if error.has(&["overloaded_error", "server_overloaded", "slow_down"]) {
        return Some(Reason::PartnerOverloaded);
    }
    if error.has(&["rate_limit_error", "rate_limit_exceeded", "tokens", "requests"]) && status != Some(400) {
        return Some(Reason::PartnerRateLimited);
    }
    let found = if matches!(status, None | Some(400 | 413 | 422)) { by_request(error) } else { None };
    // Within a stream the type is all there is.
    let is_rejected = status.is_none() && error.has(&["invalid_request_error", "request_too_large"]);
    found.or(is_rejected.then_some(Reason::PartnerRejected))
}

/// What is wrong with the app's request, if it is one of the two faults that have a reason of their own.
fn by_request(error: &Described) -> Option<Reason> {
    const TOO_LONG: [&str; 7] = [
        "maximum context length",
        "context window",
        "context_length",
        "context limit",
        "prompt is too long",
        "input is too long",
        "exceeds the model's context",
    ];
    if error.has(&["context_length_exceeded", "string_above_max_length"]) || error.says(&TOO_LONG) {
        return Some(Reason::ContextLength);
    }
    if error.has(&["content_filter", "content_policy_violation", "moderation_blocked"])
        || error.says(&["content management policy", "blocked by content filtering"])
    {
        return Some(Reason::ContentPolicy);
    }
    None
}

fn by_status(status: Option<u16>) -> Reason {
    match status {
        Some(401 | 403) => Reason::PartnerCredential,
        Some(402) => Reason::PartnerCredit,
        Some(404 | 405 | 410) => Reason::PartnerModel,
        Some(429) => Reason::PartnerRateLimited,
        Some(529) => Reason::PartnerOverloaded,
        Some(408 | 409 | 424 | 425 | 500..=599) | None => Reason::PartnerError,
        Some(400..=499) => Reason::PartnerRejected,
        Some(_) => Reason::PartnerProtocol,
    }
}

/// The partner's words, bounded and in one line; a foreign body is only measured.
fn message(error: Option<&Described>, status: Option<u16>, length: usize) -> String {
    let words = error.map(Described::words).unwrap_or_default();
    if words.is_empty() {
        let status = status.map_or_else(|| "an error event".to_owned(), |status| format!("status {status}"));
        return format!("the partner refused the request with {status} and a body of {length} bytes");
    }
    words
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(MESSAGE_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(status: Option<u16>, body: &str) -> Reason {
        classify(status, body.as_bytes(), None).reason
    }

    #[test]
    fn the_code_is_read_before_the_status() {
        let cases: &[(Option<u16>, &str, Reason)] = &[
            (Some(429), r#"{"error":{"code":"insufficient_quota"}}"#, Reason::PartnerCredit),
            (
                Some(429),
                r#"{"error":{"code":"rate_limit_exceeded","type":"tokens"}}"#,
                Reason::PartnerRateLimited,
            ),
            (Some(429), "<html>", Reason::PartnerRateLimited),
            (Some(400), r#"{"error":{"code":"context_length_exceeded"}}"#, Reason::ContextLength),
            (Some(400), r#"{"error":{"message":"prompt is too long: 9 > 8"}}"#, Reason::ContextLength),
            (Some(500), r#"{"error":{"message":"context window"}}"#, Reason::PartnerError),
            (Some(400), r#"{"error":{"code":"content_filter"}}"#, Reason::ContentPolicy),
            (Some(400), r#"{"error":{"message":"Your credit balance is too low"}}"#, Reason::PartnerCredit),
            (
                // The app's own value, echoed.
                Some(400),
                r#"{"error":{"type":"invalid_request_error","message":"Invalid value: 'credit balance is too low'. Supported values are: 'low'"}}"#,
                Reason::PartnerRejected,
            ),
            (Some(400), r#"{"error":{"message":"bad"}}"#, Reason::PartnerRejected),
            (Some(400), r#"{"detail":[1]}"#, Reason::PartnerRejected),
            (Some(401), "", Reason::PartnerCredential),
            (Some(402), "", Reason::PartnerCredit),
            (Some(403), "{}", Reason::PartnerCredential),
            (Some(404), r#"{"error":{"code":"model_not_found"}}"#, Reason::PartnerModel),
            (Some(408), "", Reason::PartnerError),
            (Some(413), "", Reason::PartnerRejected),
            (Some(424), "", Reason::PartnerError),
            (Some(500), "null", Reason::PartnerError),
            (Some(529), "", Reason::PartnerOverloaded),
            (Some(302), "", Reason::PartnerProtocol),
            (None, r#"{"type":"error","error":{"type":"overloaded_error"}}"#, Reason::PartnerOverloaded),
            (None, r#"{"type":"error","error":{"type":"api_error"}}"#, Reason::PartnerError),
            (None, r#"{"error":{"type":"invalid_request_error","message":"x"}}"#, Reason::PartnerRejected),
            (None, r#"{"error":{"message":"x","code":429}}"#, Reason::PartnerRateLimited),
            (None, r#"{"error":{"message":"x","code":"503"}}"#, Reason::PartnerError),
        ];
        for (status, body, expected) in cases {
            assert_eq!(reason(*status, body), *expected, "{status:?} {body}");
        }
    }

    #[test]
    fn only_what_the_credential_itself_is_refused_for_passes_on() {
        let cases: &[(u16, &str, bool)] = &[
            (401, "", true),
            (403, "<html>", false),
            (403, r#"{"error":{"type":"permission_error"}}"#, false),
            (401, r#"{"error":{"type":"permission_error"}}"#, false),
            (403, r#"{"error":{"code":"account_deactivated"}}"#, true),
            (400, r#"{"error":{"code":"invalid_api_key"}}"#, true),
            (402, "", true),
            (429, r#"{"error":{"code":"insufficient_quota"}}"#, true),
            (429, "", false),
        ];
        for (status, body, passes_on) in cases {
            let extent = classify(Some(*status), body.as_bytes(), None).extent;
            assert_eq!(extent == Extent::Everywhere, *passes_on, "{status} {body}");
        }
    }

    #[test]
    fn the_partners_words_are_kept_only_where_the_request_is_at_fault() {
        let failure = classify(Some(401), br#"{"error":{"message":"key sk-canary"}}"#, None);
        assert_eq!(failure.message, None);
        let body = format!("{{\"error\":{{\"message\":\"a\\nb{}\"}}}}", "x".repeat(5_000));
        let message = classify(Some(400), body.as_bytes(), None).message.unwrap();
        assert!(message.starts_with("a bx") && message.len() == MESSAGE_CHARS);
        let message = classify(Some(400), b"<html>canary", None).message.unwrap();
        assert_eq!(message, "the partner refused the request with status 400 and a body of 12 bytes");
    }
}

//! Errors that come inside an answer whose status was 200.

use chaperone_protocol::reason::Reason;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exchange::Failure;

/// `error` of a chunk or a body; compatible servers put numbers where OpenAI has strings.
#[derive(Deserialize)]
struct Declared<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
}

/// What a declared error means. Its words stay with us: a part of an answer is no request at fault.
pub(crate) fn declared(error: &RawValue) -> Failure {
    let Ok(Declared { kind, code }) = serde_json::from_str(error.get()) else {
        return Failure::new(Reason::PartnerError);
    };
    // The code is the more precise of the two, so it is read first.
    let reason = [code, kind].into_iter().flatten().find_map(|word| reason(word.get().trim_matches('"')));
    Failure::new(reason.unwrap_or(Reason::PartnerError))
}

fn reason(word: &str) -> Option<Reason> {
    Some(match word {
        "insufficient_quota" => Reason::PartnerCredit,
        "rate_limit_exceeded" | "rate_limit_error" | "tokens" | "requests" | "429" => {
            Reason::PartnerRateLimited
        }
        "context_length_exceeded" => Reason::ContextLength,
        "content_filter" | "content_policy_violation" => Reason::ContentPolicy,
        "invalid_api_key" | "authentication_error" | "permission_error" | "401" | "403" => {
            Reason::PartnerCredential
        }
        "model_not_found" => Reason::PartnerModel,
        "overloaded" | "overloaded_error" | "server_overloaded" | "503" => Reason::PartnerOverloaded,
        "invalid_request_error" | "BadRequestError" | "400" => Reason::PartnerRejected,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_read_before_the_type() {
        let cases = [
            (r#"{"type":"insufficient_quota","code":"insufficient_quota"}"#, Reason::PartnerCredit),
            (r#"{"type":"invalid_request_error","code":"context_length_exceeded"}"#, Reason::ContextLength),
            (r#"{"type":"invalid_request_error","code":null}"#, Reason::PartnerRejected),
            (r#"{"message":"out of memory","type":"InternalServerError","code":500}"#, Reason::PartnerError),
            (r#"{"message":"slow down","code":429}"#, Reason::PartnerRateLimited),
            (r#""just words""#, Reason::PartnerError),
        ];
        for (error, reason) in cases {
            let error = RawValue::from_string(error.to_owned()).unwrap();
            assert_eq!(declared(&error), Failure::new(reason), "{}", error.get());
        }
    }
}

//! A refusal in the words of the caller's dialect: as a body, or as the event that ends a broken stream.

use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::reason::Reason;
use serde_json::json;

use crate::refusal::{Class, Refusal};
use crate::sse;

/// The body of an error answer.
pub(crate) fn body(dialect: Dialect, refusal: &Refusal, request_id: &str) -> Vec<u8> {
    let Refusal { reason, message, retry_after: _ } = refusal;
    let body = match dialect {
        Dialect::OpenAi => json!({
            "error": {"message": message, "type": openai_type(refusal.class()), "param": null, "code": code(*reason)},
        }),
        Dialect::Anthropic => json!({
            "type": "error",
            "error": {"type": anthropic_type(refusal.class()), "message": message},
            "request_id": request_id,
        }),
        Dialect::Neutral => json!({"error": {"code": reason.code(), "message": message}}),
    };
    body.to_string().into_bytes()
}

/// The event that ends a stream after its commit. No terminator follows it.
pub(crate) fn event(dialect: Dialect, refusal: &Refusal, request_id: &str) -> Vec<u8> {
    let body = body(dialect, refusal, request_id);
    let name = match dialect {
        Dialect::OpenAi => None,
        Dialect::Anthropic | Dialect::Neutral => Some("error"),
    };
    let mut out = Vec::with_capacity(body.len() + 32);
    sse::write(&mut out, name, &String::from_utf8_lossy(&body));
    out
}

fn openai_type(class: Class) -> &'static str {
    match class {
        Class::InvalidRequest | Class::NotFound | Class::TooLarge => "invalid_request_error",
        Class::Permission => "permission_error",
        Class::RateLimit => "rate_limit_error",
        Class::Server | Class::Overloaded | Class::Timeout => "server_error",
    }
}

fn anthropic_type(class: Class) -> &'static str {
    match class {
        Class::InvalidRequest => "invalid_request_error",
        Class::Permission => "permission_error",
        Class::NotFound => "not_found_error",
        Class::TooLarge => "request_too_large",
        Class::RateLimit => "rate_limit_error",
        Class::Server => "api_error",
        Class::Overloaded => "overloaded_error",
        Class::Timeout => "timeout_error",
    }
}

/// OpenAI's own code where apps look for it, ours elsewhere.
fn code(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownAlias => "model_not_found",
        Reason::ContextLength => "context_length_exceeded",
        other => other.code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_dialect_reads_its_own_error() {
        let refusal = Refusal::new(Reason::UnknownAlias, "no \"x\"");
        assert_eq!(
            text(body(Dialect::OpenAi, &refusal, "r-1")),
            r#"{"error":{"code":"model_not_found","message":"no \"x\"","param":null,"type":"invalid_request_error"}}"#
        );
        assert_eq!(
            text(body(Dialect::Anthropic, &refusal, "r-1")),
            r#"{"error":{"message":"no \"x\"","type":"not_found_error"},"request_id":"r-1","type":"error"}"#
        );
        assert_eq!(
            text(body(Dialect::Neutral, &refusal, "r-1")),
            r#"{"error":{"code":"unknown_alias","message":"no \"x\""}}"#
        );
    }

    #[test]
    fn an_error_event_is_one_frame_even_if_its_text_has_lines() {
        let refusal = Refusal::new(Reason::StreamBroken, "a\nb");
        let openai = text(event(Dialect::OpenAi, &refusal, "r-1"));
        assert!(openai.starts_with("data: {\"error\":") && openai.ends_with("}\n\n"));
        assert_eq!(openai.matches('\n').count(), 2);
        let anthropic = text(event(Dialect::Anthropic, &refusal, "r-1"));
        assert!(anthropic.starts_with("event: error\ndata: {") && anthropic.ends_with("}\n\n"));
    }
}

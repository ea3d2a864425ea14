//! W3C trace context: the partner gets a fresh child of the app's span, and nothing else of the app's context.

use http::HeaderMap;

use crate::clock;

/// The app's place in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceContext {
    trace_id: String,
    flags: String,
}

impl TraceContext {
    /// From `traceparent`, if it is well formed (version 00: <https://www.w3.org/TR/trace-context/#traceparent-header>).
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all("traceparent").iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            return None;
        }
        let mut fields = value.split('-');
        let (version, trace_id, span_id, flags) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
        let well_formed = version == "00"
            && fields.next().is_none()
            && is_id(trace_id, 32)
            && is_id(span_id, 16)
            && is_hex(flags, 2);
        well_formed.then(|| Self { trace_id: trace_id.to_owned(), flags: flags.to_owned() })
    }

    /// The id that all spans of the trace share.
    pub(crate) fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// `traceparent` for one attempt.
    pub(crate) fn child(&self) -> String {
        format!("00-{}-{}-{}", self.trace_id, clock::random_hex::<8>(), self.flags)
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<TraceContext> {
        TraceContext::of(&HeaderMap::from_iter([(
            http::HeaderName::from_static("traceparent"),
            value.parse().unwrap(),
        )]))
    }

    #[test]
    fn a_child_keeps_the_trace_and_has_a_span_of_its_own() {
        let context = of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let child = context.child();
        assert!(child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{child}");
        assert!(!child.contains("00f067aa0ba902b7"), "{child}");
        assert_eq!(of(&child), Some(context));
    }

    #[test]
    fn a_malformed_context_is_not_passed_on() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for value in ["", "00-abc", zeros, "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}

//! Another count of tokens than the partner's own.

use chaperone_protocol::snapshot::WrongUsage;
use chaperone_protocol::units::Tokens;
use serde_json::{Number, Value};

use crate::neutral::Usage;

/// 2⁶³: more than any meter should believe.
const HUGE: u64 = 1 << 63;

/// Rewrites the usage in one JSON text of an answer: at its top, or, as Anthropic's first event has it, in `message`.
/// `None` if there is none.
pub(crate) fn rewrite(text: &[u8], wrong: WrongUsage) -> Option<Vec<u8>> {
    memchr::memmem::find(text, b"\"usage\"")?;
    let mut json: Value = serde_json::from_slice(text).ok()?;
    let top = edit(&mut json, wrong);
    let inside = json.get_mut("message").is_some_and(|message| edit(message, wrong));
    (top || inside).then(|| json.to_string().into_bytes())
}

fn edit(holder: &mut Value, wrong: WrongUsage) -> bool {
    let Some(members) = holder.as_object_mut() else { return false };
    match (members.get_mut("usage"), wrong) {
        (None, _) => return false,
        (Some(_), WrongUsage::Missing) => drop(members.remove("usage")),
        (Some(usage), WrongUsage::Zero) => set_numbers(usage, 0),
        (Some(usage), WrongUsage::Huge) => set_numbers(usage, HUGE),
    }
    true
}

fn set_numbers(value: &mut Value, to: u64) {
    match value {
        Value::Number(number) => *number = Number::from(to),
        Value::Object(members) => members.values_mut().for_each(|member| set_numbers(member, to)),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
    }
}

/// The same for a count that is no text.
pub(crate) fn replace(usage: Usage, wrong: WrongUsage) -> Option<Usage> {
    let to = match wrong {
        WrongUsage::Missing => return None,
        WrongUsage::Zero => Tokens(0),
        WrongUsage::Huge => Tokens(HUGE),
    };
    let set = |count: Option<Tokens>| count.map(|_| to);
    let Usage { prompt, cached, cache_written, output, reasoning } = usage;
    Some(Usage {
        prompt: set(prompt),
        cached: set(cached),
        cache_written: set(cache_written),
        output: set(output),
        reasoning: set(reasoning),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str, wrong: WrongUsage) -> Option<String> {
        rewrite(text.as_bytes(), wrong).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn the_count_changes_wherever_a_dialect_has_it_and_nothing_else_does() {
        let openai =
            r#"{"choices":[],"usage":{"prompt_tokens":7,"prompt_tokens_details":{"cached_tokens":3}}}"#;
        assert_eq!(rewritten(openai, WrongUsage::Missing).unwrap(), r#"{"choices":[]}"#);
        assert_eq!(
            rewritten(openai, WrongUsage::Zero).unwrap(),
            r#"{"choices":[],"usage":{"prompt_tokens":0,"prompt_tokens_details":{"cached_tokens":0}}}"#
        );
        let anthropic = r#"{"message":{"usage":{"input_tokens":7}},"type":"message_start"}"#;
        assert_eq!(
            rewritten(anthropic, WrongUsage::Huge).unwrap(),
            r#"{"message":{"usage":{"input_tokens":9223372036854775808}},"type":"message_start"}"#
        );
        let text = r#"{"choices":[{"delta":{"content":"\"usage\""}}]}"#;
        assert_eq!(rewritten(text, WrongUsage::Missing), None);
    }
}

//! A client's request, to the neutral form. What nobody knows is refused with a list of what is known.

use crate::dialect::openai::{message, parameter};
use crate::dialect::read::{Kind, Object, Value, invalid};
use crate::dialect::{fitness, history};
use crate::neutral::{Part, Request, Role, Turn};
use crate::refusal::Refusal;

/// Members of the body. `metadata` is read where the caller is identified.
const MEMBERS: [&str; 4] = ["modelId", "prompt", "parameters", "metadata"];

/// A parameter: its name, its other spelling, and how it is read.
type Parameter = (&'static str, &'static str, fn(&Value<'_>, &mut Request) -> Result<(), Refusal>);

/// Every parameter that there is.
const PARAMETERS: [Parameter; 14] = [
    ("maxTokens", "max_tokens", |value, request| set(&mut request.max_tokens, value.tokens())),
    ("temperature", "temperature", |value, request| set(&mut request.temperature, value.number())),
    ("topP", "top_p", |value, request| set(&mut request.top_p, value.number())),
    ("topK", "top_k", |value, request| set(&mut request.top_k, value.number())),
    ("stop", "stop", |value, request| {
        request.stop = parameter::stop(value)?;
        Ok(())
    }),
    ("seed", "seed", |value, request| set(&mut request.seed, value.number())),
    ("presencePenalty", "presence_penalty", |value, request| {
        set(&mut request.presence_penalty, value.number())
    }),
    ("frequencyPenalty", "frequency_penalty", |value, request| {
        set(&mut request.frequency_penalty, value.number())
    }),
    ("tools", "tools", |value, request| parameter::tools(&value.items()?, request)),
    ("toolChoice", "tool_choice", parameter::tool_choice),
    ("parallelToolCalls", "parallel_tool_calls", |value, request| {
        set(&mut request.parallel_tools, value.boolean())
    }),
    ("responseFormat", "response_format", parameter::response_format),
    ("reasoningEffort", "reasoning_effort", |value, request| {
        set(&mut request.reasoning, parameter::reasoning_effort(value))
    }),
    ("user", "user", |value, request| set(&mut request.user, value.text())),
];

fn set<T>(field: &mut Option<T>, value: Result<T, Refusal>) -> Result<(), Refusal> {
    *field = Some(value?);
    Ok(())
}

/// Reads a request.
///
/// # Errors
/// What cannot be read, by its path, and members that nobody knows, with those that are known.
pub(crate) fn decode_request(body: &[u8]) -> Result<Request, Refusal> {
    let mut members = Object::body(body)?;
    let mut request = Request::default();
    prompt(&members.need("prompt")?, &mut request)?;
    if let Some(parameters) = members.take("parameters")? {
        read_parameters(parameters.object()?, &mut request)?;
    }
    members.take("modelId")?;
    if let Some(metadata) = members.take("metadata")? {
        metadata.object()?;
    }
    if let Some(unknown) = members.rest().next() {
        return Err(unknown_member(&unknown.path, MEMBERS));
    }
    let last = format!("prompt[{}]", request.turns.len().saturating_sub(1));
    request.turns = history::settle(std::mem::take(&mut request.turns))?;
    fitness::need_of_turns(&mut request, last);
    fitness::need_of_tools(&mut request, "parameters.tools", "parameters.toolChoice")?;
    Ok(request)
}

/// One message of the user, or messages as a chat has them.
fn prompt(prompt: &Value<'_>, request: &mut Request) -> Result<(), Refusal> {
    match prompt.kind() {
        Kind::Text => {
            request.turns.push(Turn { role: Role::User, parts: vec![Part::Text(prompt.text()?)] });
            Ok(())
        }
        Kind::Array => {
            let messages = prompt.items()?;
            if messages.is_empty() {
                return Err(invalid(&prompt.path, "must have at least one message"));
            }
            message::read(&messages, request)
        }
        Kind::Null | Kind::Bool | Kind::Number | Kind::Object => {
            Err(invalid(&prompt.path, "must be a string or an array of messages"))
        }
    }
}

fn read_parameters(mut members: Object<'_>, request: &mut Request) -> Result<(), Refusal> {
    for (name, other, read) in PARAMETERS {
        let value = members.take(name)?;
        let second = if other == name { None } else { members.take(other)? };
        if let (Some(value), Some(_)) = (&value, &second) {
            return Err(invalid(&value.path, &format!("is given twice, also as {other}; leave one out")));
        }
        if let Some(value) = value.or(second) {
            read(&value, request)?;
        }
    }
    match members.rest().next() {
        Some(unknown) => Err(unknown_member(&unknown.path, PARAMETERS.map(|(name, ..)| name))),
        None => Ok(()),
    }
}

fn unknown_member<const N: usize>(path: &str, known: [&str; N]) -> Refusal {
    invalid(path, &format!("is unknown; known are {}", known.join(", ")))
}

/// The names of all parameters, for the schema.
pub(super) fn parameter_names() -> impl Iterator<Item = &'static str> {
    PARAMETERS.iter().map(|(name, ..)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read_but_not_both_at_once() {
        let read = |parameters: &str| {
            decode_request(format!(r#"{{"modelId":"m","prompt":"hi","parameters":{parameters}}}"#).as_bytes())
        };
        assert_eq!(read(r#"{"topP":0.50}"#).unwrap().top_p.unwrap().get(), "0.50");
        assert_eq!(read(r#"{"top_p":0.50}"#).unwrap().top_p.unwrap().get(), "0.50");
        let twice = read(r#"{"topP":0.5,"top_p":0.5}"#).unwrap_err();
        assert_eq!(twice.message, "parameters.topP: is given twice, also as top_p; leave one out");
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_known_ones() {
        let body = br#"{"modelId":"m","prompt":"hi","parameters":{"temprature":1}}"#;
        let refusal = decode_request(body).unwrap_err();
        assert!(
            refusal
                .message
                .starts_with("parameters.temprature: is unknown; known are maxTokens, temperature")
        );
        let refusal = decode_request(br#"{"modelId":"m","prompt":"hi","stream":true}"#).unwrap_err();
        assert_eq!(refusal.message, "stream: is unknown; known are modelId, prompt, parameters, metadata");
    }

    #[test]
    fn metadata_is_an_object() {
        let read =
            |metadata: &str| decode_request(format!(r#"{{"prompt":"hi","metadata":{metadata}}}"#).as_bytes());
        assert_eq!(read("5").unwrap_err().message, "metadata: must be an object");
        assert!(read("null").is_ok() && read(r#"{"team":7}"#).is_ok());
    }

    #[test]
    fn a_prompt_is_a_string_or_messages() {
        let turns = |prompt: &str| decode_request(format!(r#"{{"prompt":{prompt}}}"#).as_bytes());
        assert_eq!(turns(r#""hi""#).unwrap().turns.len(), 1);
        let messages = r#"[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]"#;
        assert_eq!(turns(messages).unwrap().turns.len(), 2);
        assert_eq!(turns("[]").unwrap_err().message, "prompt: must have at least one message");
        assert_eq!(turns("7").unwrap_err().message, "prompt: must be a string or an array of messages");
        let refusal = turns(r#"[{"role":"user","content":[{"type":"text"}]}]"#).unwrap_err();
        assert_eq!(refusal.message, "prompt[0].content[0].text: is missing");
    }
}

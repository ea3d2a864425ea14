//! A client's chat request, to the neutral form.

use super::message::{self, hint, leave, meaning};
use super::parameter;
use crate::dialect::read::{Object, invalid};
use crate::dialect::{fitness, history};
use crate::neutral::Request;
use crate::refusal::Refusal;

/// Members that the sidecar sets itself. `store` would keep the answer with the provider, which is never asked for.
const OURS: [&str; 4] = ["model", "stream", "stream_options", "store"];

/// Members that may be lost, and that no other dialect knows.
const HINTS: [&str; 11] = [
    "logit_bias",
    "metadata",
    "min_p",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "repetition_penalty",
    "safety_identifier",
    "service_tier",
    "verbosity",
];

/// Reads `POST /v1/chat/completions`.
///
/// # Errors
/// What the dialect does not allow, by its path.
pub(crate) fn decode_request(body: &[u8]) -> Result<Request, Refusal> {
    let mut members = Object::body(body)?;
    let mut request = Request::default();
    message::read(&members.need("messages")?.items()?, &mut request)?;
    for ours in OURS {
        members.take(ours)?;
    }
    limits_and_sampling(&mut members, &mut request)?;
    if let Some(user) = members.text("user")? {
        request.user = Some(user);
    }
    parameter::tools(&members.items("tools")?, &mut request)?;
    if let Some(choice) = members.take("tool_choice")? {
        parameter::tool_choice(&choice, &mut request)?;
    }
    request.parallel_tools = members.boolean("parallel_tool_calls")?;
    if let Some(format) = members.take("response_format")? {
        parameter::response_format(&format, &mut request)?;
    }
    foreign(&mut members, &mut request)?;
    leave(members, &mut request);
    finish(request)
}

fn limits_and_sampling(members: &mut Object<'_>, request: &mut Request) -> Result<(), Refusal> {
    let older = members.tokens("max_tokens")?;
    request.max_tokens = members.tokens("max_completion_tokens")?.or(older);
    request.temperature = members.number("temperature")?;
    request.top_p = members.number("top_p")?;
    request.top_k = members.number("top_k")?;
    request.seed = members.number("seed")?;
    request.presence_penalty = members.number("presence_penalty")?;
    request.frequency_penalty = members.number("frequency_penalty")?;
    if let Some(stop) = members.take("stop")? {
        request.stop = parameter::stop(&stop)?;
    }
    if let Some(effort) = members.take("reasoning_effort")? {
        request.reasoning = Some(parameter::reasoning_effort(&effort)?);
    }
    Ok(())
}

/// Members without a place in the neutral form. Those that ask for nothing are as good as absent.
fn foreign(members: &mut Object<'_>, request: &mut Request) -> Result<(), Refusal> {
    for name in HINTS {
        request.foreign.extend(members.take(name)?.map(|value| hint(value.path)));
    }
    let n = members.tokens("n")?;
    if n.is_some_and(|n| n.0 > 1) {
        request.foreign.push(meaning(members.at("n"), None));
    }
    if members.boolean("logprobs")? == Some(true) {
        request.foreign.push(meaning(members.at("logprobs"), None));
    }
    let top = members.number("top_logprobs")?;
    if top.is_some_and(|top| top.get() != "0") {
        request.foreign.push(meaning(members.at("top_logprobs"), None));
    }
    let modalities = members.items("modalities")?;
    for modality in modalities {
        if modality.text()? != "text" {
            request.foreign.push(meaning(modality.path, None));
        }
    }
    Ok(())
}

/// Settles the turns, and lists what the request needs.
fn finish(mut request: Request) -> Result<Request, Refusal> {
    if request.turns.is_empty() {
        return Err(invalid("messages", "must have at least one message"));
    }
    let last = format!("messages[{}]", request.turns.len() - 1);
    request.turns = history::settle(std::mem::take(&mut request.turns))?;
    fitness::need_of_turns(&mut request, last);
    fitness::need_of_tools(&mut request, "tools", "tool_choice")?;
    Ok(request)
}

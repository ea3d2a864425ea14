//! A client's message request, to the neutral form.

use super::block;
use crate::dialect::openai::message::{hint, leave, meaning};
use crate::dialect::read::{Object, Value, invalid};
use crate::dialect::{fitness, history};
use crate::neutral::{Format, Part, Reasoning, Request, Role, Tool, ToolChoice, Turn};
use crate::refusal::Refusal;

/// Members that the sidecar sets itself.
const OURS: [&str; 2] = ["model", "stream"];

/// Members that may be lost, and that no other dialect knows.
const HINTS: [&str; 4] = ["cache_control", "diagnostics", "service_tier", "speed"];

/// Members of a tool that say how to call it, not what it is.
const TOOL_HINTS: [&str; 5] =
    ["cache_control", "defer_loading", "allowed_callers", "eager_input_streaming", "input_examples"];

/// Reads `POST /v1/messages`.
///
/// # Errors
/// What the dialect does not allow, by its path.
pub(crate) fn decode_request(body: &[u8]) -> Result<Request, Refusal> {
    let mut members = Object::body(body)?;
    let mut request = Request::default();
    if let Some(system) = members.take("system")? {
        let parts = block::content(&system, &mut request)?;
        request.turns.push(Turn { role: Role::System, parts });
    }
    let messages = members.need("messages")?.items()?;
    for message in &messages {
        let turn = message_turn(message, &mut request)?;
        request.turns.push(turn);
    }
    for ours in OURS {
        members.take(ours)?;
    }
    request.max_tokens = Some(members.need("max_tokens")?.tokens()?);
    request.temperature = members.number("temperature")?;
    request.top_p = members.number("top_p")?;
    request.top_k = members.number("top_k")?;
    for sequence in members.items("stop_sequences")? {
        request.stop.push(sequence.text()?);
    }
    for value in members.items("tools")? {
        tool(&value, &mut request)?;
    }
    if let Some(choice) = members.take("tool_choice")? {
        tool_choice(&choice, &mut request)?;
    }
    metadata(&mut members, &mut request)?;
    thinking(&mut members, &mut request)?;
    output(&mut members, &mut request)?;
    for name in HINTS {
        request.foreign.extend(members.take(name)?.map(|value| hint(value.path)));
    }
    leave(members, &mut request);
    finish(request, messages.last())
}

fn finish(mut request: Request, last: Option<&Value<'_>>) -> Result<Request, Refusal> {
    if request.turns.iter().all(|turn| turn.role == Role::System) {
        return Err(invalid("messages", "must have at least one message"));
    }
    request.turns = history::settle(std::mem::take(&mut request.turns))?;
    fitness::need_of_turns(&mut request, last.map_or_else(String::new, |last| last.path.clone()));
    fitness::need_of_tools(&mut request, "tools", "tool_choice")?;
    Ok(request)
}

fn message_turn(message: &Value<'_>, request: &mut Request) -> Result<Turn, Refusal> {
    let mut members = message.object()?;
    let at = members.at("role");
    let role = match members.need_text("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(invalid(&at, "must be user, assistant or system")),
    };
    let content_at = members.at("content");
    let mut parts = block::content(&members.need("content")?, request)?;
    let is_misplaced = |part: &Part| match part {
        Part::ToolCall { .. } | Part::Reasoning { .. } | Part::Opaque { .. } => role != Role::Assistant,
        Part::ToolResult { .. } => role != Role::User,
        Part::Text(_) | Part::Image(_) | Part::Document(_) | Part::CachePoint(_) => false,
    };
    if parts.iter().any(is_misplaced) {
        return Err(invalid(&content_at, "has a block that this role does not write"));
    }
    if role == Role::Assistant {
        // A partner believes its own thoughts only before its calls; a stable sort keeps the rest in order.
        parts.sort_by_key(|part| matches!(part, Part::ToolCall { .. }));
    }
    leave(members, request);
    Ok(Turn { role, parts })
}

fn tool(value: &Value<'_>, request: &mut Request) -> Result<(), Refusal> {
    let mut members = value.object()?;
    let kind = members.text("type")?;
    if kind.is_some_and(|kind| kind != "custom") {
        // A tool that the provider runs itself.
        request.foreign.push(meaning(value.path.clone(), None));
        return Ok(());
    }
    let name = members.need_text("name")?;
    let description = members.text("description")?;
    let parameters = Some(members.need("input_schema")?.raw_object()?);
    let strict = members.boolean("strict")?;
    for name in TOOL_HINTS {
        request.foreign.extend(members.take(name)?.map(|value| hint(value.path)));
    }
    leave(members, request);
    request.tools.push(Tool { name, description, parameters, strict });
    Ok(())
}

fn tool_choice(choice: &Value<'_>, request: &mut Request) -> Result<(), Refusal> {
    let mut members = choice.object()?;
    let at = members.at("type");
    request.tool_choice = Some(match members.need_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(members.need_text("name")?),
        _ => return Err(invalid(&at, "must be auto, any, tool or none")),
    });
    request.parallel_tools = members.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    leave(members, request);
    Ok(())
}

fn metadata(members: &mut Object<'_>, request: &mut Request) -> Result<(), Refusal> {
    if let Some(metadata) = members.take("metadata")? {
        let mut metadata = metadata.object()?;
        request.user = metadata.text("user_id")?;
        leave(metadata, request);
    }
    Ok(())
}

fn thinking(members: &mut Object<'_>, request: &mut Request) -> Result<(), Refusal> {
    let Some(thinking) = members.take("thinking")? else { return Ok(()) };
    let mut thinking = thinking.object()?;
    let at = thinking.at("type");
    request.reasoning = match thinking.need_text("type")?.as_str() {
        "enabled" => Some(Reasoning::Budget(thinking.need("budget_tokens")?.tokens()?)),
        // How much is told by the effort, or left to the model.
        "adaptive" => None,
        "disabled" | "between_tools" => Some(Reasoning::Off),
        _ => return Err(invalid(&at, "must be adaptive, enabled or disabled")),
    };
    request.foreign.extend(thinking.take("display")?.map(|value| hint(value.path)));
    leave(thinking, request);
    Ok(())
}

fn output(members: &mut Object<'_>, request: &mut Request) -> Result<(), Refusal> {
    let Some(output) = members.take("output_config")? else { return Ok(()) };
    let mut output = output.object()?;
    if let Some(effort) = output.take("effort")? {
        let word = effort.text()?;
        if !fitness::is_effort(&word) || word == "none" {
            return Err(invalid(&effort.path, "must be one of low, medium, high, xhigh, max"));
        }
        // Who turned thinking off, or gave it a budget, meant that.
        request.reasoning.get_or_insert(Reasoning::Effort(word));
    }
    if let Some(format) = output.take("format")? {
        let mut format = format.object()?;
        let at = format.at("type");
        if format.need_text("type")? != "json_schema" {
            return Err(invalid(&at, "must be json_schema"));
        }
        let schema = format.need("schema")?.raw_object()?;
        request.format = Format::JsonSchema { name: None, schema, strict: Some(true) };
        leave(format, request);
    }
    leave(output, request);
    Ok(())
}

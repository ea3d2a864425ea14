//! A chat request for a partner, from the neutral form.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::wire::{
    Body, Call, CalledFunction, Choice, Content, ContentPart, File, Function, ImageUrl, Message,
    NamedFunction, ResponseFormat, Schema, StreamOptions, ToolEntry,
};
use crate::dialect::fitness::{self, Adjusted};
use crate::dialect::{Instructions, Origin, Reading, Render, Rendered, Sampling, Thinking, TokenLimit};
use crate::dialect::{id, slot};
use crate::exchange::Mode;
use crate::neutral::{Format, Media, Part, Reasoning, Request, Role, Source, Tool, ToolChoice, Turn};
use crate::refusal::Refusal;
use chaperone_protocol::adapter::Capability;

/// Stop sequences that the API takes at most.
const STOP_SEQUENCES: usize = 4;

/// Writes `request` as `POST /chat/completions`.
///
/// # Errors
/// A part that this target cannot carry, by its path.
pub(crate) fn encode_request(request: &Request, render: &Render<'_>) -> Result<Rendered, Refusal> {
    let mut adjusted = Adjusted::new(render.hints);
    fitness::check(request, render, &mut adjusted)?;
    if request.stop.len() > STOP_SEQUENCES {
        let problem = format!("has {} sequences; this model takes {STOP_SEQUENCES}", request.stop.len());
        return Err(fitness::unsupported("stop", &problem));
    }
    adjusted.drop_any(request.top_k.as_ref(), "top_k")?;
    let samples = sampling(request, render, &mut adjusted)?;
    let effort = effort(request, render, &mut adjusted)?;
    let limit = render.limit(request.max_tokens, &mut adjusted);
    let is_newer = render.facts.token_limit == TokenLimit::MaxCompletionTokens;
    let has_tools = !request.tools.is_empty();
    let is_stream = render.mode == Mode::Stream;
    let body = Body {
        model: render.target.model_name.as_str(),
        messages: messages(request, render, &mut adjusted)?,
        max_tokens: limit.filter(|_| !is_newer),
        max_completion_tokens: limit.filter(|_| is_newer),
        temperature: request.temperature.as_deref().filter(|_| samples),
        top_p: request.top_p.as_deref().filter(|_| samples),
        seed: request.seed.as_deref(),
        presence_penalty: request.presence_penalty.as_deref().filter(|_| samples),
        frequency_penalty: request.frequency_penalty.as_deref().filter(|_| samples),
        stop: request.stop.iter().map(String::as_str).collect(),
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: request.tool_choice.as_ref().filter(|_| has_tools).map(choice),
        parallel_tool_calls: request.parallel_tools.filter(|parallel| has_tools && !parallel),
        response_format: format(&request.format, render)?,
        reasoning_effort: effort,
        user: request.user.as_deref(),
        stream: is_stream.then_some(true),
        stream_options: is_stream.then_some(StreamOptions { include_usage: true }),
    };
    let body = serde_json::to_vec(&body).expect("strings, numbers and JSON that was parsed before");
    Ok(Rendered { body, adjusted: adjusted.into_items(), reading: reading(request) })
}

/// Whether sampling parameters are sent.
fn sampling(request: &Request, render: &Render<'_>, adjusted: &mut Adjusted) -> Result<bool, Refusal> {
    if render.facts.sampling != Sampling::Rejected {
        return Ok(true);
    }
    adjusted.drop_any(request.temperature.as_ref(), "temperature")?;
    adjusted.drop_any(request.top_p.as_ref(), "top_p")?;
    adjusted.drop_any(request.presence_penalty.as_ref(), "presence_penalty")?;
    adjusted.drop_any(request.frequency_penalty.as_ref(), "frequency_penalty")?;
    Ok(false)
}

fn effort(
    request: &Request,
    render: &Render<'_>,
    adjusted: &mut Adjusted,
) -> Result<Option<&'static str>, Refusal> {
    let wanted = match &request.reasoning {
        None => return Ok(None),
        // A model that never thinks does as it is told.
        Some(Reasoning::Off) if render.facts.thinking == Thinking::Never => return Ok(None),
        Some(Reasoning::Off) => "none",
        Some(Reasoning::Effort(effort)) => effort,
        Some(Reasoning::Budget(budget)) => fitness::effort_of(*budget),
    };
    let Some(effort) = fitness::nearest_effort(&render.facts, wanted) else {
        adjusted.drop("reasoning_effort")?;
        return Ok(None);
    };
    if effort != wanted {
        adjusted.change("reasoning_effort", effort)?;
    }
    Ok(Some(effort))
}

/// The name that the partner knows a tool by.
fn tool_name(name: &str) -> Cow<'_, str> {
    if id::fits(name) { Cow::Borrowed(name) } else { Cow::Owned(id::of_tool(name)) }
}

fn reading(request: &Request) -> Reading {
    let renamed = request.tools.iter().filter(|tool| !id::fits(&tool.name));
    let names: BTreeMap<_, _> = renamed.map(|tool| (id::of_tool(&tool.name), tool.name.clone())).collect();
    Reading { names, text_tool: None }
}

fn tool(tool: &Tool) -> ToolEntry<'_> {
    let Tool { name, description, parameters, strict } = tool;
    let function = Function {
        name: tool_name(name),
        description: description.as_deref(),
        parameters: parameters.as_deref(),
        strict: *strict,
    };
    ToolEntry { kind: "function", function }
}

fn choice(choice: &ToolChoice) -> Choice<'_> {
    match choice {
        ToolChoice::Auto => Choice::Word("auto"),
        ToolChoice::Required => Choice::Word("required"),
        ToolChoice::None => Choice::Word("none"),
        ToolChoice::Named(name) => {
            Choice::Named { kind: "function", function: NamedFunction { name: tool_name(name) } }
        }
    }
}

fn format<'a>(format: &'a Format, render: &Render<'_>) -> Result<Option<ResponseFormat<'a>>, Refusal> {
    match format {
        Format::Text => Ok(None),
        Format::JsonObject => Ok(Some(ResponseFormat::JsonObject)),
        Format::JsonSchema { .. } if !render.can(Capability::JsonSchema) => {
            Err(fitness::lacks("response_format", Capability::JsonSchema))
        }
        Format::JsonSchema { name, schema, strict } => {
            let name = name.as_deref().unwrap_or("response");
            Ok(Some(ResponseFormat::JsonSchema { json_schema: Schema { name, schema, strict: *strict } }))
        }
    }
}

fn messages<'a>(
    request: &'a Request,
    render: &Render<'_>,
    adjusted: &mut Adjusted,
) -> Result<Vec<Message<'a>>, Refusal> {
    let mut messages = Vec::new();
    let origin = Origin::of(render.target);
    for turn in &request.turns {
        let cached = turn.parts.iter().find(|part| matches!(part, Part::CachePoint(_)));
        adjusted.drop_any(cached, "cache_control")?;
        match turn.role {
            Role::System => messages.push(instructions(turn, render)),
            Role::User => user(turn, &mut messages)?,
            Role::Assistant => messages.push(assistant(turn, &origin)?),
        }
    }
    Ok(messages)
}

fn message<'a>(role: &'static str, content: Option<Content<'a>>) -> Message<'a> {
    Message { role, content, reasoning_content: None, tool_calls: Vec::new(), tool_call_id: None }
}

fn instructions<'a>(turn: &'a Turn, render: &Render<'_>) -> Message<'a> {
    let role = match render.facts.instructions {
        Instructions::System => "system",
        Instructions::Developer => "developer",
    };
    message(role, Some(Content::Text(joined(&turn.parts, "\n\n"))))
}

/// The texts of `parts`, one after the other.
fn joined<'a>(parts: &'a [Part], between: &str) -> Cow<'a, str> {
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None })
        .collect();
    match texts[..] {
        [text] => Cow::Borrowed(text),
        _ => Cow::Owned(texts.join(between)),
    }
}

/// One message per result, directly after the calls; then what they could not hold; then the rest.
fn user<'a>(turn: &'a Turn, messages: &mut Vec<Message<'a>>) -> Result<(), Refusal> {
    let mut rest = Vec::new();
    for part in &turn.parts {
        if let Part::ToolResult { id, parts, is_error } = part {
            let text = joined(parts, "\n\n");
            let text = if *is_error { Cow::Owned(format!("[tool error] {text}")) } else { text };
            messages.push(Message { tool_call_id: Some(id), ..message("tool", Some(Content::Text(text))) });
            for part in parts.iter().filter(|part| !matches!(part, Part::Text(_) | Part::CachePoint(_))) {
                rest.push(ContentPart::Text { text: Cow::Owned(format!("[part of the result of {id}]")) });
                rest.extend(content_part(part)?);
            }
        }
    }
    for part in &turn.parts {
        rest.extend(content_part(part)?);
    }
    if rest.is_empty() {
        return Ok(());
    }
    let content = match rest.pop() {
        Some(ContentPart::Text { text }) if rest.is_empty() => Content::Text(text),
        last => {
            rest.extend(last);
            Content::Parts(rest)
        }
    };
    messages.push(message("user", Some(content)));
    Ok(())
}

/// A part of a user's message; `None` for what stands elsewhere.
fn content_part(part: &Part) -> Result<Option<ContentPart<'_>>, Refusal> {
    Ok(Some(match part {
        Part::Text(text) => ContentPart::Text { text: Cow::Borrowed(text) },
        Part::Image(media) => ContentPart::ImageUrl { image_url: ImageUrl { url: image_url(media)? } },
        Part::Document(media) => document(media)?,
        Part::CachePoint(_)
        | Part::ToolCall { .. }
        | Part::ToolResult { .. }
        | Part::Reasoning { .. }
        | Part::Opaque { .. } => return Ok(None),
    }))
}

fn image_url(media: &Media) -> Result<Cow<'_, str>, Refusal> {
    match &media.source {
        Source::Url(url) => Ok(Cow::Borrowed(url)),
        Source::Base64 { media_type, data } => Ok(Cow::Owned(format!("data:{media_type};base64,{data}"))),
        Source::Text(_) => Err(fitness::unsupported(&media.path, "is text, not an image")),
    }
}

fn document(media: &Media) -> Result<ContentPart<'_>, Refusal> {
    match &media.source {
        Source::Text(text) => Ok(ContentPart::Text { text: Cow::Borrowed(text) }),
        Source::Base64 { media_type, data } => {
            let file = File {
                filename: media.name.as_deref().unwrap_or("document.pdf"),
                file_data: format!("data:{media_type};base64,{data}"),
            };
            Ok(ContentPart::File { file })
        }
        Source::Url(_) => {
            Err(fitness::unsupported(&media.path, "is a document by URL; send its content instead"))
        }
    }
}

fn assistant<'a>(turn: &'a Turn, origin: &Origin) -> Result<Message<'a>, Refusal> {
    let mut message = message("assistant", None);
    let mut texts = Vec::new();
    let mut thoughts = String::new();
    for part in &turn.parts {
        match part {
            Part::Text(text) => texts.push(text.as_str()),
            Part::ToolCall { id, name, arguments } => message.tool_calls.push(Call {
                id,
                kind: "function",
                function: CalledFunction { name: tool_name(name), arguments: arguments.get() },
            }),
            // Only this partner's own thoughts go back to it. They never become visible text.
            Part::Reasoning { text, slot: Some(envelope) } if slot::open(envelope, origin).is_some() => {
                thoughts.push_str(text);
            }
            Part::Reasoning { .. } | Part::Opaque { .. } | Part::CachePoint(_) | Part::ToolResult { .. } => {}
            Part::Image(media) | Part::Document(media) => {
                return Err(fitness::unsupported(&media.path, "stands in an assistant's message"));
            }
        }
    }
    message.reasoning_content = Some(thoughts).filter(|thoughts| !thoughts.is_empty());
    let is_silent = texts.is_empty() && !message.tool_calls.is_empty();
    message.content = (!is_silent).then(|| Content::Text(Cow::Owned(texts.concat())));
    Ok(message)
}

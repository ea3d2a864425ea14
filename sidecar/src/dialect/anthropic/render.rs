//! A message request for a partner, from the neutral form.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chaperone_protocol::adapter::{ApiVersion, Capability};
use serde_json::value::RawValue;

use super::thinking::Plan;
use super::wire::{
    Block, Body, Choice, Content, FormatEntry, Message, Metadata, OutputConfig, SourceEntry, ThinkingEntry,
    ToolEntry,
};
use crate::dialect::fitness::{self, Adjusted};
use crate::dialect::read::invalid;
use crate::dialect::{LaterInstructions, Origin, Reading, Render, Rendered, Sampling, Thinking, id, slot};
use crate::exchange::Mode;
use crate::neutral::{Format, Media, Part, Request, Role, Source, Tool, ToolChoice};
use crate::refusal::Refusal;

/// The tool that stands for a JSON answer, on models that know no other way to one.
const ANSWER_TOOL: &str = "json_answer";

/// What the API takes for an image.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Parameters of a tool that has none, and the shape of an answer that may have any.
const OPEN_OBJECT: &str = r#"{"type":"object"}"#;
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// How a JSON answer is asked for.
enum Shape<'a> {
    Free,
    Format(Cow<'a, RawValue>),
    /// A tool that must be called, whose arguments are the answer.
    Tool(Cow<'a, RawValue>),
}

/// Writes `request` as `POST /v1/messages`.
///
/// # Errors
/// A part that this target cannot carry, by its path.
pub(crate) fn encode_request(request: &Request, render: &Render<'_>) -> Result<Rendered, Refusal> {
    let mut adjusted = Adjusted::new(render.hints);
    fitness::check(request, render, &mut adjusted)?;
    adjusted.drop_any(request.seed.as_ref(), "seed")?;
    adjusted.drop_any(request.presence_penalty.as_ref(), "presence_penalty")?;
    adjusted.drop_any(request.frequency_penalty.as_ref(), "frequency_penalty")?;
    let limit = render.limit(request.max_tokens, &mut adjusted).ok_or_else(|| {
        fitness::unsupported(
            "max_tokens",
            "is needed by this model, and neither the route nor the model has one",
        )
    })?;
    let origin = Origin::of(render.target);
    let mut plan = Plan::of(request, render, limit, &mut adjusted)?;
    if matches!(plan, Plan::Budget(_)) && lacks_thoughts(request, &origin) {
        // The API wants a turn that calls tools to begin with its thoughts, and they are gone.
        adjusted.note("thinking", "disabled");
        plan = Plan::Silent;
    }
    let shape = shape(request, render, plan)?;
    let is_forced = is_forced(request) || matches!(shape, Shape::Tool(_));
    if is_forced && plan == Plan::Silent && render.facts.thinking == Thinking::Unasked {
        plan = Plan::Disabled; // A forced call and thinking exclude each other, and nobody asked for thoughts.
    }
    refuse_forced_thinker(request, render, plan)?;
    let (system, messages) = conversation(request, render, &origin)?;
    let sampling = sampling(request, render, plan, &mut adjusted)?;
    let is_clamped = adjusted_temperature(sampling.temperature, &mut adjusted)?;
    let one: Box<RawValue> = RawValue::from_string("1".to_owned()).expect("a number is JSON");
    let body = Body {
        model: render.target.model_name.as_str(),
        max_tokens: limit,
        system,
        messages,
        tools: tools(request, &shape),
        tool_choice: tool_choice(request, &shape),
        stop_sequences: request
            .stop
            .iter()
            .map(String::as_str)
            .filter(|stop| !stop.trim().is_empty())
            .collect(),
        temperature: if is_clamped { Some(&one) } else { sampling.temperature },
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        thinking: thinking(plan),
        output_config: output_config(plan, &shape),
        metadata: request.user.as_deref().map(|user_id| Metadata { user_id }),
        stream: (render.mode == Mode::Stream).then_some(true),
    };
    let bytes = serde_json::to_vec(&body).expect("strings, numbers and JSON that was parsed before");
    Ok(Rendered { body: bytes, adjusted: adjusted.into_items(), reading: reading(request, &shape) })
}

/// Whether the calls that the last results answer stand without the thoughts that led to them.
fn lacks_thoughts(request: &Request, origin: &Origin) -> bool {
    let mut turns = request.turns.iter().rev().filter(|turn| turn.role != Role::System);
    let is_answer = turns
        .next()
        .is_some_and(|turn| turn.parts.iter().any(|part| matches!(part, Part::ToolResult { .. })));
    let believes = |part: &Part| match part {
        Part::Reasoning { slot: Some(envelope), .. } | Part::Opaque { slot: envelope } => {
            slot::open(envelope, origin).is_some_and(|payload| !payload.is_empty())
        }
        Part::Text(_)
        | Part::Image(_)
        | Part::Document(_)
        | Part::CachePoint(_)
        | Part::ToolCall { .. }
        | Part::ToolResult { .. }
        | Part::Reasoning { slot: None, .. } => false,
    };
    is_answer && turns.next().is_some_and(|turn| !turn.parts.iter().any(believes))
}

fn is_forced(request: &Request) -> bool {
    let wish = &request.tool_choice;
    matches!(wish, Some(ToolChoice::Required | ToolChoice::Named(_))) && !request.tools.is_empty()
}

/// A forced call and thinking exclude each other, and nothing is silently unforced.
fn refuse_forced_thinker(request: &Request, render: &Render<'_>, plan: Plan) -> Result<(), Refusal> {
    let thinks = plan.is_thinking() || render.facts.thinking == Thinking::Always;
    if is_forced(request) && thinks {
        return Err(fitness::unsupported(
            "tool_choice",
            "this model does not take a forced call while it thinks",
        ));
    }
    Ok(())
}

fn shape<'a>(request: &'a Request, render: &Render<'_>, plan: Plan) -> Result<Shape<'a>, Refusal> {
    let can_force = render.can(Capability::ForcedToolChoice)
        && render.can(Capability::Tools)
        && !plan.is_thinking()
        && request.tools.is_empty();
    let has_format = render.can(Capability::JsonSchema);
    match &request.format {
        Format::Text => Ok(Shape::Free),
        Format::JsonSchema { schema, .. } if has_format => Ok(Shape::Format(Cow::Borrowed(schema))),
        Format::JsonSchema { schema, .. } if can_force => Ok(Shape::Tool(Cow::Borrowed(schema))),
        Format::JsonObject if can_force => Ok(Shape::Tool(constant(OPEN_OBJECT))),
        Format::JsonObject if has_format => Ok(Shape::Format(constant(OPEN_OBJECT))),
        Format::JsonSchema { .. } | Format::JsonObject => {
            Err(fitness::lacks("response_format", Capability::JsonSchema))
        }
    }
}

fn constant(json: &'static str) -> Cow<'static, RawValue> {
    Cow::Owned(RawValue::from_string(json.to_owned()).expect("a constant that is JSON"))
}

struct SamplingEntry<'a> {
    temperature: Option<&'a RawValue>,
    top_p: Option<&'a RawValue>,
    top_k: Option<&'a RawValue>,
}

/// The current version of the API takes no sampling at all, and a model that thinks takes none either.
fn sampling<'a>(
    request: &'a Request,
    render: &Render<'_>,
    plan: Plan,
    adjusted: &mut Adjusted,
) -> Result<SamplingEntry<'a>, Refusal> {
    let is_rejected = render.api_version == ApiVersion::V20261021
        || render.facts.sampling == Sampling::Rejected
        || plan.is_thinking();
    if is_rejected {
        adjusted.drop_any(request.temperature.as_ref(), "temperature")?;
        adjusted.drop_any(request.top_p.as_ref(), "top_p")?;
        adjusted.drop_any(request.top_k.as_ref(), "top_k")?;
        return Ok(SamplingEntry { temperature: None, top_p: None, top_k: None });
    }
    let excludes = render.facts.sampling == Sampling::Either && request.temperature.is_some();
    adjusted.drop_any(request.top_p.as_ref().filter(|_| excludes), "top_p")?;
    Ok(SamplingEntry {
        temperature: request.temperature.as_deref(),
        top_p: request.top_p.as_deref().filter(|_| !excludes),
        top_k: request.top_k.as_deref(),
    })
}

/// Whether the temperature is above the highest that the API takes, which then stands for it.
fn adjusted_temperature(temperature: Option<&RawValue>, adjusted: &mut Adjusted) -> Result<bool, Refusal> {
    let is_above = temperature
        .and_then(|temperature| temperature.get().parse::<f64>().ok())
        .is_some_and(|temperature| temperature > 1.0);
    if is_above {
        adjusted.change("temperature", "1")?;
    }
    Ok(is_above)
}

fn tool_name(name: &str) -> Cow<'_, str> {
    if id::fits(name) { Cow::Borrowed(name) } else { Cow::Owned(id::of_tool(name)) }
}

fn tools<'a>(request: &'a Request, shape: &Shape<'a>) -> Vec<ToolEntry<'a>> {
    if let Shape::Tool(schema) = shape {
        let description = Some("Gives the answer. Call it once, with the whole answer as its input.");
        let name = Cow::Borrowed(ANSWER_TOOL);
        return vec![ToolEntry { name, description, input_schema: schema.clone(), strict: None }];
    }
    request.tools.iter().map(tool).collect()
}

fn tool(tool: &Tool) -> ToolEntry<'_> {
    let Tool { name, description, parameters, strict } = tool;
    let input_schema = parameters.as_deref().map_or_else(|| constant(NO_PARAMETERS), Cow::Borrowed);
    ToolEntry { name: tool_name(name), description: description.as_deref(), input_schema, strict: *strict }
}

fn tool_choice<'a>(request: &'a Request, shape: &Shape<'a>) -> Option<Choice<'a>> {
    if let Shape::Tool(_) = shape {
        let name = Some(Cow::Borrowed(ANSWER_TOOL));
        return Some(Choice { kind: "tool", name, disable_parallel_tool_use: Some(true) });
    }
    if request.tools.is_empty() {
        return None;
    }
    let disabled = request.parallel_tools.filter(|parallel| !parallel).map(|_| true);
    let (kind, name) = match &request.tool_choice {
        // Only a choice can say that calls come one at a time.
        None if disabled.is_none() => return None,
        None | Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::None) => {
            return Some(Choice { kind: "none", name: None, disable_parallel_tool_use: None });
        }
        Some(ToolChoice::Named(name)) => ("tool", Some(tool_name(name))),
    };
    Some(Choice { kind, name, disable_parallel_tool_use: disabled })
}

fn reading(request: &Request, shape: &Shape<'_>) -> Reading {
    let renamed = request.tools.iter().filter(|tool| !id::fits(&tool.name));
    let names: BTreeMap<_, _> = renamed.map(|tool| (id::of_tool(&tool.name), tool.name.clone())).collect();
    let text_tool = matches!(shape, Shape::Tool(_)).then(|| ANSWER_TOOL.to_owned());
    Reading { names, text_tool }
}

fn thinking(plan: Plan) -> Option<ThinkingEntry> {
    match plan {
        Plan::Silent => None,
        Plan::Disabled => Some(ThinkingEntry::Disabled),
        Plan::Budget(budget_tokens) => Some(ThinkingEntry::Enabled { budget_tokens }),
        Plan::Adaptive { .. } => Some(ThinkingEntry::Adaptive),
    }
}

fn output_config<'a>(plan: Plan, shape: &Shape<'a>) -> Option<OutputConfig<'a>> {
    let effort = if let Plan::Adaptive { effort } = plan { Some(effort) } else { None };
    let format = match shape {
        Shape::Format(schema) => Some(FormatEntry { kind: "json_schema", schema: schema.clone() }),
        Shape::Free | Shape::Tool(_) => None,
    };
    (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format })
}

/// Instructions, and the turns without those that were lifted out of them.
fn conversation<'a>(
    request: &'a Request,
    render: &Render<'_>,
    origin: &Origin,
) -> Result<(Vec<Block<'a>>, Vec<Message<'a>>), Refusal> {
    let mut system = Vec::new();
    let mut messages: Vec<Message<'a>> = Vec::new();
    for turn in &request.turns {
        let content = blocks(&turn.parts, origin)?;
        if content.is_empty() {
            continue;
        }
        let stays = !messages.is_empty() && render.facts.later_instructions == LaterInstructions::InPlace;
        let role = match turn.role {
            Role::System if !stays => {
                system.extend(content);
                continue;
            }
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        match messages.last_mut() {
            // Neighbours may have met because what stood between them was lifted out or was empty.
            Some(last) if last.role == role => last.content.extend(content),
            _ => messages.push(Message { role, content }),
        }
    }
    if messages.is_empty() {
        return Err(invalid("messages", "has no message with content"));
    }
    Ok((system, messages))
}

/// Blocks of a turn. Text without a visible character is left out: the API refuses it.
fn blocks<'a>(parts: &'a [Part], origin: &Origin) -> Result<Vec<Block<'a>>, Refusal> {
    let mut blocks: Vec<Block<'a>> = Vec::new();
    for part in parts {
        let content = match part {
            Part::Text(text) if text.trim().is_empty() => continue,
            Part::Text(text) => Content::Text { text },
            Part::Image(media) => Content::Image { source: image_source(media)? },
            Part::Document(media) => {
                Content::Document { source: document_source(media)?, title: media.name.as_deref() }
            }
            Part::ToolCall { id, name, arguments } => {
                Content::ToolUse { id, name: tool_name(name), input: arguments }
            }
            Part::ToolResult { id, parts, is_error } => Content::ToolResult {
                tool_use_id: id,
                content: self::blocks(parts, origin)?,
                is_error: is_error.then_some(true),
            },
            Part::Reasoning { text, slot } => match own(slot.as_deref(), origin) {
                Some(signature) => Content::Thinking { thinking: text, signature },
                None => continue,
            },
            Part::Opaque { slot } => match own(Some(slot), origin) {
                Some(data) => Content::RedactedThinking { data },
                None => continue,
            },
            Part::CachePoint(control) => {
                if let Some(last) = blocks.last_mut() {
                    last.cache_control = Some(control);
                }
                continue;
            }
        };
        blocks.push(Block { content, cache_control: None });
    }
    Ok(blocks)
}

/// What this partner signed itself. Thoughts of others, and unsigned ones, are not sent.
fn own<'a>(envelope: Option<&'a str>, origin: &Origin) -> Option<&'a str> {
    slot::open(envelope?, origin).filter(|payload| !payload.is_empty())
}

fn image_source(media: &Media) -> Result<SourceEntry<'_>, Refusal> {
    match &media.source {
        Source::Url(url) => Ok(SourceEntry::Url { url }),
        Source::Base64 { media_type, data } if IMAGES.contains(&media_type.as_str()) => {
            Ok(SourceEntry::Base64 { media_type, data })
        }
        Source::Base64 { .. } | Source::Text(_) => {
            Err(fitness::unsupported(&media.path, "must be an image of type jpeg, png, gif or webp"))
        }
    }
}

fn document_source(media: &Media) -> Result<SourceEntry<'_>, Refusal> {
    match &media.source {
        Source::Url(url) => Ok(SourceEntry::Url { url }),
        Source::Text(data) => Ok(SourceEntry::Text { media_type: "text/plain", data }),
        Source::Base64 { media_type, data } if media_type == "application/pdf" => {
            Ok(SourceEntry::Base64 { media_type, data })
        }
        Source::Base64 { .. } => Err(fitness::unsupported(&media.path, "must be a PDF or plain text")),
    }
}

//! Messages of a chat, as clients of this dialect and of `/v1/infer` write them.

use chaperone_protocol::adapter::Capability;

use crate::dialect::read::{Kind, Object, Value, arguments, invalid};
use crate::neutral::{Foreign, Media, Part, Request, Role, Source, Turn, Weight};
use crate::refusal::Refusal;

/// Members of an answer that clients send back with it and that mean nothing in a request.
const ECHOES: [&str; 5] = ["annotations", "audio", "chaperone", "reasoning", "parsed"];

/// Reads `messages` into the turns of `request`, as they come.
pub(crate) fn read(messages: &[Value<'_>], request: &mut Request) -> Result<(), Refusal> {
    messages.iter().try_for_each(|message| {
        let turn = read_one(message, request)?;
        request.turns.push(turn);
        Ok(())
    })
}

fn read_one(message: &Value<'_>, request: &mut Request) -> Result<Turn, Refusal> {
    let mut members = message.object()?;
    let role = members.need_text("role")?;
    let (role, parts) = match role.as_str() {
        "system" | "developer" => (Role::System, content(&mut members, request)?),
        "user" => (Role::User, content(&mut members, request)?),
        "assistant" => (Role::Assistant, assistant(&mut members, request)?),
        "tool" => (Role::User, vec![tool_result(&mut members, request)?]),
        _ => {
            return Err(invalid(
                &members.at("role"),
                "must be one of system, developer, user, assistant, tool",
            ));
        }
    };
    if let Some(name) = members.take("name")? {
        request.foreign.push(hint(name.path));
    }
    leave(members, request);
    Ok(Turn { role, parts })
}

/// What is left of an object that was read is foreign, and nobody knows what it means.
pub(crate) fn leave(members: Object<'_>, request: &mut Request) {
    for value in members.rest() {
        request.foreign.push(meaning(value.path, None));
    }
}

/// A foreign part that must not be lost.
pub(crate) fn meaning(path: String, capability: Option<Capability>) -> Foreign {
    Foreign { path, weight: Weight::Meaning, capability }
}

/// A foreign part that may be lost.
pub(crate) fn hint(path: String) -> Foreign {
    Foreign { path, weight: Weight::Hint, capability: None }
}

/// `content` of any message: a string, or parts.
fn content(members: &mut Object<'_>, request: &mut Request) -> Result<Vec<Part>, Refusal> {
    let Some(content) = members.take("content")? else { return Ok(Vec::new()) };
    if content.kind() == Kind::Text {
        return Ok(vec![Part::Text(content.text()?)]);
    }
    let mut parts = Vec::new();
    for value in content.items()? {
        read_part(&value, request, &mut parts)?;
    }
    Ok(parts)
}

fn read_part(value: &Value<'_>, request: &mut Request, parts: &mut Vec<Part>) -> Result<(), Refusal> {
    let mut members = value.object()?;
    let kind = members.need_text("type")?;
    match kind.as_str() {
        "text" => parts.push(Part::Text(members.need_text("text")?)),
        "refusal" => parts.push(Part::Text(members.need_text("refusal")?)),
        "image_url" => parts.push(image(&value.path, &mut members, request)?),
        "file" => match file(&value.path, &mut members)? {
            Some(part) => parts.push(part),
            None => request.foreign.push(meaning(members.at("file.file_id"), Some(Capability::Documents))),
        },
        "input_audio" => {
            members.take("input_audio")?;
            request.foreign.push(meaning(value.path.clone(), Some(Capability::Audio)));
        }
        _ => {
            request.foreign.push(meaning(value.path.clone(), None));
            return Ok(());
        }
    }
    if let Some(control) = members.take("cache_control")? {
        parts.push(Part::CachePoint(control.raw_object()?));
    }
    leave(members, request);
    Ok(())
}

fn image(path: &str, members: &mut Object<'_>, request: &mut Request) -> Result<Part, Refusal> {
    let mut image = members.need("image_url")?.object()?;
    let url_at = image.at("url");
    let url = image.need_text("url")?;
    if let Some(detail) = image.take("detail")? {
        request.foreign.push(hint(detail.path));
    }
    leave(image, request);
    let source = source(url)
        .ok_or_else(|| invalid(&url_at, "must be an http or https URL, or a data URI with base64"))?;
    Ok(media(path, None, source))
}

/// A file in the body; `None` for one that lies with the provider.
fn file(path: &str, members: &mut Object<'_>) -> Result<Option<Part>, Refusal> {
    let mut file = members.need("file")?.object()?;
    let name = file.text("filename")?;
    let data_at = file.at("file_data");
    let Some(data) = file.text("file_data")? else { return Ok(None) };
    let source = source(data).filter(|source| matches!(source, Source::Base64 { .. }));
    let source = source.ok_or_else(|| invalid(&data_at, "must be a data URI with base64"))?;
    Ok(Some(media(path, name, source)))
}

/// A PDF is a document, in whichever part it came; everything else that has a type is an image.
fn media(path: &str, name: Option<String>, source: Source) -> Part {
    let is_document = match &source {
        Source::Base64 { media_type, .. } => !media_type.starts_with("image/"),
        Source::Url(_) => false,
        Source::Text(_) => true,
    };
    let media = Media { path: path.to_owned(), name, source };
    if is_document { Part::Document(media) } else { Part::Image(media) }
}

/// Where content is, from its URL. A URL is passed on; we never resolve it.
fn source(url: String) -> Option<Source> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Some(Source::Url(url));
    }
    let (kind, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = kind.strip_suffix(";base64")?.split(';').next()?.to_ascii_lowercase();
    Some(Source::Base64 { media_type, data: data.to_owned() })
}

/// Thoughts first, then text, then calls: the only order in which a partner believes its own thoughts.
fn assistant(members: &mut Object<'_>, request: &mut Request) -> Result<Vec<Part>, Refusal> {
    let mut parts = reasoning(members)?;
    parts.append(&mut content(members, request)?);
    parts.extend(members.text("refusal")?.map(Part::Text));
    for call in members.items("tool_calls")? {
        match tool_call(&call)? {
            Some(part) => parts.push(part),
            None => request.foreign.push(meaning(call.path, Some(Capability::Tools))),
        }
    }
    for echo in ECHOES {
        members.take(echo)?;
    }
    Ok(parts)
}

/// `reasoning_blocks`, as [`super::Encoder`] writes them; `reasoning_content` alone is no more than its text.
fn reasoning(members: &mut Object<'_>) -> Result<Vec<Part>, Refusal> {
    let text = members.text("reasoning_content")?;
    let blocks = members.items("reasoning_blocks")?;
    if blocks.is_empty() {
        return Ok(text.map(|text| Part::Reasoning { text, slot: None }).into_iter().collect());
    }
    let block = |block: &Value<'_>| {
        let mut members = block.object()?;
        let kind = members.need_text("type")?;
        match kind.as_str() {
            "thinking" => {
                let text = members.text("thinking")?.unwrap_or_default();
                Ok(Part::Reasoning { text, slot: members.text("signature")? })
            }
            "redacted_thinking" => Ok(Part::Opaque { slot: members.need_text("data")? }),
            _ => Err(invalid(&members.at("type"), "must be thinking or redacted_thinking")),
        }
    };
    blocks.iter().map(block).collect()
}

/// A call of a function; `None` for a call of anything else.
fn tool_call(call: &Value<'_>) -> Result<Option<Part>, Refusal> {
    let mut members = call.object()?;
    let kind = members.text("type")?;
    if kind.is_some_and(|kind| kind != "function") {
        return Ok(None);
    }
    let id = members.need_text("id")?;
    let mut function = members.need("function")?.object()?;
    let name = function.need_text("name")?;
    let at = function.at("arguments");
    let given = function.text("arguments")?.unwrap_or_default();
    let arguments = arguments(&given).ok_or_else(|| invalid(&at, "must be a JSON object, as a string"))?;
    Ok(Some(Part::ToolCall { id, name, arguments }))
}

fn tool_result(members: &mut Object<'_>, request: &mut Request) -> Result<Part, Refusal> {
    let id = members.need_text("tool_call_id")?;
    let parts = content(members, request)?;
    // Not the dialect's own, but the only way for a client to say it. Never guessed from the text.
    let is_error = members.boolean("is_error")?.unwrap_or(false);
    Ok(Part::ToolResult { id, parts, is_error })
}

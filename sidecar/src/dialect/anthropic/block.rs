//! Content blocks, as clients of this dialect write them.

use chaperone_protocol::adapter::Capability;

use crate::dialect::openai::message::{hint, leave, meaning};
use crate::dialect::read::{Kind, Object, Value, invalid};
use crate::neutral::{Media, Part, Raw, Request, Source};
use crate::refusal::Refusal;

/// `content` of a message, of `system` or of a tool's result: a string, or blocks.
pub(crate) fn content(content: &Value<'_>, request: &mut Request) -> Result<Vec<Part>, Refusal> {
    if content.kind() == Kind::Text {
        return Ok(vec![Part::Text(content.text()?)]);
    }
    let mut parts = Vec::new();
    for value in content.items()? {
        block(&value, request, &mut parts)?;
    }
    Ok(parts)
}

fn block(value: &Value<'_>, request: &mut Request, parts: &mut Vec<Part>) -> Result<(), Refusal> {
    let mut members = value.object()?;
    let kind = members.need_text("type")?;
    let control = members.take("cache_control")?;
    let part = match kind.as_str() {
        "text" => {
            if let Some(citations) = members.take("citations")? {
                request.foreign.push(hint(citations.path));
            }
            Some(Part::Text(members.need_text("text")?))
        }
        "image" => image(&value.path, &mut members, request)?.map(Part::Image),
        "document" => document(&value.path, &mut members, request)?.map(Part::Document),
        "tool_use" => Some(tool_use(&mut members)?),
        "tool_result" => Some(tool_result(&mut members, request)?),
        "thinking" => {
            let text = members.text("thinking")?.unwrap_or_default();
            Some(Part::Reasoning { text, slot: members.text("signature")? })
        }
        "redacted_thinking" => Some(Part::Opaque { slot: members.need_text("data")? }),
        // Tools that the provider runs, search results, containers: only their own provider understands them.
        _ => {
            request.foreign.push(meaning(value.path.clone(), None));
            return Ok(());
        }
    };
    parts.extend(part);
    if let Some(control) = control {
        parts.push(Part::CachePoint(control.raw_object()?));
    }
    leave(members, request);
    Ok(())
}

fn image(path: &str, members: &mut Object<'_>, request: &mut Request) -> Result<Option<Media>, Refusal> {
    let source = source(members, request, Capability::Vision)?;
    Ok(source.map(|source| Media { path: path.to_owned(), name: None, source }))
}

fn document(path: &str, members: &mut Object<'_>, request: &mut Request) -> Result<Option<Media>, Refusal> {
    let name = members.text("title")?;
    for hints in ["context", "citations"] {
        request.foreign.extend(members.take(hints)?.map(|value| hint(value.path)));
    }
    let source = source(members, request, Capability::Documents)?;
    Ok(source.map(|source| Media { path: path.to_owned(), name, source }))
}

/// Where content is; `None` for content that lies with the provider.
fn source(
    members: &mut Object<'_>,
    request: &mut Request,
    capability: Capability,
) -> Result<Option<Source>, Refusal> {
    let mut source = members.need("source")?.object()?;
    let at = source.at("type");
    let kind = source.need_text("type")?;
    let read = match kind.as_str() {
        "base64" => Source::Base64 {
            media_type: source.need_text("media_type")?.to_ascii_lowercase(),
            data: source.need_text("data")?,
        },
        "url" => Source::Url(source.need_text("url")?),
        "text" => {
            source.take("media_type")?;
            Source::Text(source.need_text("data")?)
        }
        _ => {
            request.foreign.push(meaning(at, Some(capability)));
            return Ok(None);
        }
    };
    leave(source, request);
    Ok(Some(read))
}

fn tool_use(members: &mut Object<'_>) -> Result<Part, Refusal> {
    let id = members.need_text("id")?;
    let name = members.need_text("name")?;
    let arguments: Raw = members.need("input")?.raw_object()?;
    members.take("caller")?;
    Ok(Part::ToolCall { id, name, arguments })
}

fn tool_result(members: &mut Object<'_>, request: &mut Request) -> Result<Part, Refusal> {
    let id = members.need_text("tool_use_id")?;
    let parts = match members.take("content")? {
        Some(value) => content(&value, request)?,
        None => Vec::new(),
    };
    if let Some(Part::ToolCall { .. } | Part::ToolResult { .. }) =
        parts.iter().find(|part| matches!(part, Part::ToolCall { .. } | Part::ToolResult { .. }))
    {
        return Err(invalid(&members.at("content"), "must not hold another call or result"));
    }
    Ok(Part::ToolResult { id, parts, is_error: members.boolean("is_error")?.unwrap_or(false) })
}

//! Parameters whose values have this dialect's shape wherever they stand: tools, tool choice, format, effort, stop.

use super::message::{hint, leave, meaning};
use crate::dialect::fitness;
use crate::dialect::read::{Kind, Value, invalid};
use crate::neutral::{Format, Reasoning, Request, Tool, ToolChoice};
use crate::refusal::Refusal;

/// `tools`: functions, also without the wrapping that names them so.
pub(crate) fn tools(tools: &[Value<'_>], request: &mut Request) -> Result<(), Refusal> {
    for tool in tools {
        let mut members = tool.object()?;
        let kind = members.text("type")?;
        if kind.is_some_and(|kind| kind != "function") {
            request.foreign.push(meaning(tool.path.clone(), None));
            continue;
        }
        let mut function = match members.take("function")? {
            Some(function) => {
                if let Some(control) = members.take("cache_control")? {
                    request.foreign.push(hint(control.path));
                }
                leave(members, request);
                function.object()?
            }
            None => members,
        };
        let name = function.need_text("name")?;
        let description = function.text("description")?;
        let parameters = function.take("parameters")?.map(|value| value.raw_object()).transpose()?;
        let strict = function.boolean("strict")?;
        leave(function, request);
        request.tools.push(Tool { name, description, parameters, strict });
    }
    Ok(())
}

/// `tool_choice`: a word, or an object that names a function.
pub(crate) fn tool_choice(choice: &Value<'_>, request: &mut Request) -> Result<(), Refusal> {
    if choice.kind() == Kind::Text {
        request.tool_choice = Some(match choice.text()?.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => return Err(invalid(&choice.path, "must be auto, none, required, or name a function")),
        });
        return Ok(());
    }
    let mut members = choice.object()?;
    let kind = members.text("type")?;
    if kind.is_some_and(|kind| kind != "function") {
        request.foreign.push(meaning(choice.path.clone(), None));
        return Ok(());
    }
    let name = match members.take("function")? {
        Some(function) => function.object()?.need_text("name")?,
        None => members.need_text("name")?,
    };
    request.tool_choice = Some(ToolChoice::Named(name));
    Ok(())
}

/// `response_format`.
pub(crate) fn response_format(format: &Value<'_>, request: &mut Request) -> Result<(), Refusal> {
    let mut members = format.object()?;
    let kind = members.need_text("type")?;
    request.format = match kind.as_str() {
        "text" => Format::Text,
        "json_object" => Format::JsonObject,
        "json_schema" => {
            let mut schema = members.need("json_schema")?.object()?;
            if let Some(description) = schema.take("description")? {
                request.foreign.push(hint(description.path));
            }
            let name = schema.text("name")?;
            let strict = schema.boolean("strict")?;
            Format::JsonSchema { name, schema: schema.need("schema")?.raw_object()?, strict }
        }
        _ => return Err(invalid(&members.at("type"), "must be text, json_object or json_schema")),
    };
    leave(members, request);
    Ok(())
}

/// `reasoning_effort`.
pub(crate) fn reasoning_effort(effort: &Value<'_>) -> Result<Reasoning, Refusal> {
    let word = effort.text()?;
    match word.as_str() {
        "none" => Ok(Reasoning::Off),
        _ if fitness::is_effort(&word) => Ok(Reasoning::Effort(word)),
        _ => Err(invalid(&effort.path, &format!("must be one of {}", fitness::efforts()))),
    }
}

/// `stop`: one sequence, or several.
pub(crate) fn stop(stop: &Value<'_>) -> Result<Vec<String>, Refusal> {
    if stop.kind() == Kind::Text {
        return Ok(vec![stop.text()?]);
    }
    stop.items()?.iter().map(Value::text).collect()
}

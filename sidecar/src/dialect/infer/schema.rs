//! JSON Schemas of a request and of its answer, for `GET /v1/infer/{modelId}/schema`.

use chaperone_protocol::adapter::Adapter;
use serde_json::{Map, Value, json};

use super::encoder::REASONS;
use super::request::parameter_names;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// `{request, response}` of `alias`, as its adapter and the version of its partner's contract have them.
pub(crate) fn schemas(adapter: Adapter, alias: &str, schema_version: Option<&str>) -> Vec<u8> {
    let version = schema_version.unwrap_or("unversioned");
    let id = |part: &str| format!("urn:chaperone:infer:{}:{alias}:{version}:{part}", adapter.as_str());
    let document = json!({
        "request": request(&id("request"), alias),
        "response": response(&id("response")),
    });
    document.to_string().into_bytes()
}

fn request(id: &str, alias: &str) -> Value {
    json!({
        "$schema": DIALECT,
        "$id": id,
        "type": "object",
        "required": ["modelId", "prompt"],
        "additionalProperties": false,
        "properties": {
            "modelId": {"const": alias},
            "prompt": {
                "oneOf": [
                    {"type": "string"},
                    {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/message"}}
                ]
            },
            "parameters": {
                "type": "object",
                "additionalProperties": false,
                "properties": parameters()
            },
            "metadata": {
                "type": "object",
                "properties": {
                    "tenantId": {"type": "string"},
                    "userId": {"type": "string"},
                    "correlationId": {"type": "string"}
                }
            }
        },
        "$defs": {
            "message": {
                "type": "object",
                "required": ["role"],
                "properties": {
                    "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
                    "content": {"type": ["string", "array", "null"]},
                    "tool_calls": {"type": "array", "items": {"type": "object"}},
                    "tool_call_id": {"type": "string"}
                }
            }
        }
    })
}

/// Every parameter in both spellings.
fn parameters() -> Value {
    let mut properties = Map::new();
    for name in parameter_names() {
        let schema = parameter(name);
        properties.insert(snake_case(name), schema.clone());
        properties.insert(name.to_owned(), schema);
    }
    Value::Object(properties)
}

fn parameter(name: &str) -> Value {
    match name {
        "maxTokens" => json!({"type": "integer", "minimum": 1}),
        "stop" => {
            json!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
        }
        "tools" => json!({"type": "array", "items": {"type": "object"}}),
        "toolChoice" => {
            json!({"oneOf": [{"enum": ["auto", "none", "required"]}, {"type": "object"}]})
        }
        "parallelToolCalls" => json!({"type": "boolean"}),
        "responseFormat" => json!({
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": ["text", "json_object", "json_schema"]}}
        }),
        "reasoningEffort" | "user" => json!({"type": "string"}),
        _ => json!({"type": "number"}),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

fn response(id: &str) -> Value {
    let count = json!({"type": "integer", "minimum": 0});
    json!({
        "$schema": DIALECT,
        "$id": id,
        "type": "object",
        "required": ["content", "stopReason", "tokensUsed", "modelVersion", "latencyMs", "metadata"],
        "properties": {
            "content": {"type": "string"},
            "reasoning": {"type": "string"},
            "toolCalls": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "name", "arguments"],
                    "properties": {
                        "id": {"type": "string"},
                        "name": {"type": "string"},
                        "arguments": {"type": "object"}
                    }
                }
            },
            "stopReason": {"enum": REASONS},
            "tokensUsed": count.clone(),
            "modelVersion": {"type": "string"},
            "latencyMs": count.clone(),
            "metadata": {
                "type": "object",
                "required": ["partner", "usage"],
                "properties": {
                    "correlationId": {"type": "string"},
                    "partner": {"type": "string"},
                    "attempts": {"type": "integer", "minimum": 1},
                    "usage": {
                        "type": "object",
                        "required": ["promptTokens", "cachedTokens", "completionTokens"],
                        "properties": {
                            "promptTokens": count.clone(),
                            "cachedTokens": count.clone(),
                            "completionTokens": count.clone(),
                            "reasoningTokens": count
                        }
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_names_adapter_alias_and_version() {
        let bytes = schemas(Adapter::Anthropic, "fast-text", Some("v2.1"));
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(document["request"]["$id"], "urn:chaperone:infer:Anthropic:fast-text:v2.1:request");
        assert_eq!(document["response"]["$schema"], DIALECT);
        let properties = &document["request"]["properties"]["parameters"]["properties"];
        assert_eq!(properties["topP"], properties["top_p"]);
        assert_eq!(properties["maxTokens"]["type"], "integer");
    }
}

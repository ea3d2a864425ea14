//! `GET /v1/models` and `/v1/models/{alias}`: the aliases that the caller may use, in the shape that its SDK expects.
//!
//! Neither partners nor their models are named: they are the platform's business.

use chaperone_protocol::adapter::Dialect;
use http::HeaderMap;
use serde_json::{Value, json};

/// Who lists: Anthropic's SDKs always send their version, OpenAI's never do.
pub(crate) fn dialect(headers: &HeaderMap) -> Dialect {
    if headers.contains_key("anthropic-version") { Dialect::Anthropic } else { Dialect::OpenAi }
}

/// The body that lists `aliases`.
pub(crate) fn list<'a>(dialect: Dialect, aliases: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let models: Vec<Value> = aliases.map(|alias| model(dialect, alias)).collect();
    let body = match dialect {
        Dialect::Anthropic => {
            let id = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
            let (first, last) = (id(models.first()), id(models.last()));
            json!({"data": models, "has_more": false, "first_id": first, "last_id": last})
        }
        Dialect::OpenAi | Dialect::Neutral => json!({"object": "list", "data": models}),
    };
    body.to_string().into_bytes()
}

/// The body that describes `alias`.
pub(crate) fn one(dialect: Dialect, alias: &str) -> Vec<u8> {
    model(dialect, alias).to_string().into_bytes()
}

/// An alias has no date of its own, so both shapes say 1970.
fn model(dialect: Dialect, alias: &str) -> Value {
    match dialect {
        Dialect::Anthropic => json!({
            "type": "model",
            "id": alias,
            "display_name": alias,
            "created_at": "1970-01-01T00:00:00Z",
            // Required by the SDKs since API version 2026-10-21.
            "lifecycle": "active",
        }),
        Dialect::OpenAi | Dialect::Neutral => {
            json!({"id": alias, "object": "model", "created": 0, "owned_by": "chaperone"})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn each_sdk_finds_its_shape() {
        let openai = json(&list(Dialect::OpenAi, ["a", "b"].into_iter()));
        assert_eq!((&openai["object"], &openai["data"][1]["id"]), (&"list".into(), &"b".into()));
        assert_eq!(openai["data"][0], json(&one(Dialect::OpenAi, "a")));
        let anthropic = json(&list(Dialect::Anthropic, ["a", "b"].into_iter()));
        assert_eq!((&anthropic["first_id"], &anthropic["last_id"]), (&"a".into(), &"b".into()));
        assert_eq!(anthropic["has_more"], false);
        let empty = json(&list(Dialect::Anthropic, std::iter::empty()));
        assert_eq!((&empty["data"], &empty["first_id"]), (&json!([]), &Value::Null));
    }

    #[test]
    fn the_version_header_tells_who_lists() {
        let mut headers = HeaderMap::new();
        assert_eq!(dialect(&headers), Dialect::OpenAi);
        headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
        assert_eq!(dialect(&headers), Dialect::Anthropic);
    }
}

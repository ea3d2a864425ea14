//! The line that asks a model to leave placeholders as they are: last in the instructions, always the same.

use chaperone_protocol::pair::ClientApi;
use chaperone_redact::HINT;

use crate::json::{self, ELSEWHERE, Edit, Kind, Map, Member, Place, ROOT, Rule, Skim, Want};

const MESSAGES: Place = Place(1);
const MESSAGE: Place = Place(2);

const fn rule(at: Place, key: &'static str, then: Place) -> Rule {
    Rule { at, key, then, want: Want::Range }
}

const INSTRUCTIONS: Map = Map {
    rules: &[
        rule(ROOT, "system", ELSEWHERE),
        rule(ROOT, "messages", MESSAGES),
        rule(MESSAGE, "role", ELSEWHERE),
        rule(MESSAGE, "content", ELSEWHERE),
    ],
    elements: &[(MESSAGES, MESSAGE)],
};

/// What adds the line to a request. An endpoint without instructions has no place for it.
pub(crate) fn edit(api: ClientApi, body: &[u8]) -> Option<Edit> {
    let skim = json::skim(body, &INSTRUCTIONS).ok()?;
    match api {
        ClientApi::Messages | ClientApi::CountTokens => system(body, &skim),
        ClientApi::ChatCompletions => messages(body, &skim),
        ClientApi::Completions | ClientApi::Embeddings | ClientApi::Infer => None,
    }
}

fn system(body: &[u8], skim: &Skim) -> Option<Edit> {
    let Some(system) = skim.get(ROOT, "system") else {
        let open = body.iter().position(|byte| *byte == b'{')?;
        return Some(Edit::insert(body, open, &format!("\"system\":{}", json::quote(HINT))));
    };
    append(body, system)
}

/// The last of the leading instructions ends with it; where there are none, it is one.
fn messages(body: &[u8], skim: &Skim) -> Option<Edit> {
    let list = skim.get(ROOT, "messages").filter(|list| list.kind == Kind::Array)?;
    let is_instruction = |role: &[u8]| matches!(role, b"\"system\"" | b"\"developer\"");
    let last = skim
        .all(MESSAGE, "role")
        .take_while(|role| body.get(role.value.clone()).is_some_and(is_instruction))
        .last();
    let content = last.and_then(|last| skim.all(MESSAGE, "content").find(|it| it.trail == last.trail));
    content.and_then(|content| append(body, content)).or_else(|| {
        let message = format!("{{\"role\":\"system\",\"content\":{}}}", json::quote(HINT));
        let comma = if is_empty(body, list) { "" } else { "," };
        let at = list.value.start + 1;
        Some(Edit::new(at..at, format!("{message}{comma}")))
    })
}

/// At the end of a text, or of a list of parts.
fn append(body: &[u8], content: &Member) -> Option<Edit> {
    let last = content.value.end - 1;
    let text = match content.kind {
        Kind::String => format!("\\n\\n{HINT}"),
        Kind::Array => {
            let comma = if is_empty(body, content) { "" } else { "," };
            format!("{comma}{{\"type\":\"text\",\"text\":{}}}", json::quote(HINT))
        }
        Kind::Null | Kind::True | Kind::False | Kind::Number | Kind::Object => return None,
    };
    Some(Edit::new(last..last, text))
}

fn is_empty(body: &[u8], list: &Member) -> bool {
    let inside = body.get(list.value.start + 1..list.value.end - 1).unwrap_or_default();
    inside.iter().all(|byte| json::is_blank(*byte))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn hinted(api: ClientApi, body: &str) -> String {
        let body = Bytes::from(body.to_owned());
        let edits = edit(api, &body).into_iter().collect();
        String::from_utf8(json::splice(&body, edits).concat()).unwrap()
    }

    #[test]
    fn the_line_is_last_in_the_instructions() {
        let quoted = json::quote(HINT);
        assert!(!HINT.contains(['"', '\\']), "it is written into a string as it is");
        let cases = [
            (ClientApi::Messages, r#"{"messages":[]}"#, format!(r#"{{"system":{quoted},"messages":[]}}"#)),
            (
                ClientApi::Messages,
                r#"{"system":"Be kind."}"#,
                format!(r#"{{"system":"Be kind.\n\n{HINT}"}}"#),
            ),
            (
                ClientApi::Messages,
                r#"{"system":[{"type":"text","text":"a"}]}"#,
                format!(r#"{{"system":[{{"type":"text","text":"a"}},{{"type":"text","text":{quoted}}}]}}"#),
            ),
            (
                ClientApi::ChatCompletions,
                r#"{"messages":[{"role":"user","content":"x"}]}"#,
                format!(
                    r#"{{"messages":[{{"role":"system","content":{quoted}}},{{"role":"user","content":"x"}}]}}"#
                ),
            ),
            (
                ClientApi::ChatCompletions,
                r#"{"messages":[{"content":"a","role":"developer"},{"role":"user","content":"x"}]}"#,
                format!(
                    r#"{{"messages":[{{"content":"a\n\n{HINT}","role":"developer"}},{{"role":"user","content":"x"}}]}}"#
                ),
            ),
            (ClientApi::Completions, r#"{"prompt":"x"}"#, r#"{"prompt":"x"}"#.to_owned()),
        ];
        for (api, body, wanted) in cases {
            assert_eq!(hinted(api, body), wanted);
        }
    }
}

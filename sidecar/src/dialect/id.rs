//! Ids and names that a dialect does not take as they are: replaced by pure functions of themselves.
//!
//! No state is kept for ids, because a call and its result are always both in the request.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Characters of an id or a tool's name that every dialect takes.
const CHARS: usize = 64;

/// Whether every dialect takes `text` as an id or as the name of a tool.
pub(crate) fn fits(text: &str) -> bool {
    (1..=CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// `id`, or what stands for it everywhere.
pub(crate) fn fit(id: &str) -> String {
    if fits(id) { id.to_owned() } else { format!("call_{}", digest(&[id])) }
}

/// The id of an answer: `prefix` and something of the request's own id.
pub(crate) fn of_answer(prefix: &str, request_id: &str) -> String {
    if fits(request_id) {
        format!("{prefix}{request_id}")
    } else {
        format!("{prefix}{}", digest(&[request_id]))
    }
}

/// The id of a call that a client gets: the partner's, unless it has none that fits.
pub(crate) fn of_call(given: &str, request_id: &str, index: usize) -> String {
    if fits(given) {
        given.to_owned()
    } else {
        format!("call_{}", digest(&[request_id, &index.to_string(), given]))
    }
}

/// A name for a tool whose own name does not fit: readable, and different for different names.
pub(crate) fn of_tool(name: &str) -> String {
    let plain: String = name
        .chars()
        .take(CHARS - 9)
        .map(|character| if character.is_ascii_alphanumeric() { character } else { '_' })
        .collect();
    let digest = digest(&[name]);
    format!("{plain}_{}", digest.get(..8).unwrap_or(&digest))
}

/// 24 hex characters that stand for `parts`.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(12).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_fits_is_not_touched() {
        assert_eq!(fit("toolu_01A-b"), "toolu_01A-b");
        assert_eq!(of_call("call_1", "r", 0), "call_1");
    }

    #[test]
    fn an_id_that_does_not_fit_has_one_stand_in() {
        let long = "x".repeat(65);
        assert_eq!(fit(&long), fit(&long));
        assert_ne!(fit(&long), fit("a b"));
        assert!(fits(&fit(&long)) && fits(&fit("a b")) && fits(&fit("")));
        assert_ne!(of_call("", "request", 0), of_call("", "request", 1));
    }

    #[test]
    fn a_tool_keeps_a_readable_name() {
        let name = of_tool("files.read/v2");
        assert!(fits(&name) && name.starts_with("files_read_v2_"), "{name}");
        assert_ne!(of_tool("files.read"), of_tool("files/read"));
    }
}

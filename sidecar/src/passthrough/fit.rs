//! Whether a target can carry what stands in a request, as far as its outline tells.

use chaperone_protocol::adapter::Capability;
use chaperone_protocol::pair::ClientApi;

use crate::dialect::{Render, fitness};
use crate::exchange::{Ask, Mode};
use crate::json::{self, Kind, Member, ROOT};
use crate::prompt::PART;
use crate::refusal::Refusal;

/// Refuses what the target's model cannot carry.
pub(super) fn check(ask: &Ask<'_>, render: &Render<'_>) -> Result<(), Refusal> {
    let need = |capability, path: &str| {
        if render.can(capability) { Ok(()) } else { Err(fitness::lacks(path, capability)) }
    };
    if ask.prompt.mode() == Mode::Stream {
        need(Capability::Streaming, "stream")?;
    }
    if ask.prompt.api() == ClientApi::Embeddings {
        need(Capability::Embeddings, "input")?;
    }
    if ask.prompt.skim().get(ROOT, "tools").is_some_and(|tools| has_elements(ask, tools)) {
        need(Capability::Tools, "tools")?;
    }
    for part in ask.prompt.skim().all(PART, "type") {
        let source = ask.prompt.body().get(part.value.clone()).unwrap_or_default();
        need(capability(source), &path(part))?;
    }
    Ok(())
}

fn has_elements(ask: &Ask<'_>, list: &Member) -> bool {
    let inside = ask.prompt.body().get(list.value.start + 1..list.value.end - 1).unwrap_or_default();
    list.kind == Kind::Array && !inside.iter().all(|byte| json::is_blank(*byte))
}

/// What a part of this type needs. The pass over the body notes no other types.
fn capability(source: &[u8]) -> Capability {
    match source {
        b"\"document\"" | b"\"file\"" => Capability::Documents,
        b"\"input_audio\"" => Capability::Audio,
        _ => Capability::Vision,
    }
}

/// Where a part stands, as `messages[3].content[1]`.
fn path(part: &Member) -> String {
    let mut indexes = part.trail.iter();
    let mut path = match (part.trail.len(), indexes.next()) {
        (1, Some(index)) => format!("system[{index}]"),
        (_, Some(index)) => format!("messages[{index}]"),
        (_, None) => String::new(),
    };
    for index in indexes {
        path.push_str(&format!(".content[{index}]"));
    }
    path
}

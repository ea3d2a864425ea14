//! Whether a target can carry a request, and what becomes of the parts that it cannot.
//!
//! A part with a meaning refuses the request for this target; a hint is dropped and named. What a request needs never
//! shrinks on a fallback.

use chaperone_protocol::adapter::Capability;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::units::Tokens;

use super::read::invalid;
use super::{Facts, Hints, Render};
use crate::neutral::{Media, Need, Part, Request, Role, Source, ToolChoice, Weight};
use crate::refusal::Refusal;

/// Efforts from the least, as the dialects call them.
pub(crate) const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Tokens to think with, where a model takes a budget instead of an effort.
const BUDGETS: [(&str, u64); 5] =
    [("minimal", 1024), ("low", 2048), ("medium", 4096), ("high", 8192), ("xhigh", 16384)];

/// What was adjusted for one target, as items of `x-chaperone-adjusted`.
#[derive(Debug)]
pub(crate) struct Adjusted {
    hints: Hints,
    items: Vec<String>,
}

impl Adjusted {
    pub(crate) fn new(hints: Hints) -> Self {
        Self { hints, items: Vec::new() }
    }

    /// Drops a hint.
    pub(crate) fn drop(&mut self, name: &str) -> Result<(), Refusal> {
        self.change(name, "dropped")
    }

    /// Drops a hint that may not be there.
    pub(crate) fn drop_any<T>(&mut self, hint: Option<T>, name: &str) -> Result<(), Refusal> {
        hint.map_or(Ok(()), |_| self.drop(name))
    }

    /// Gives a hint another value.
    pub(crate) fn change(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match self.hints {
            Hints::Named => {
                self.note(name, value);
                Ok(())
            }
            Hints::Refused => Err(Refusal::new(
                Reason::UnsupportedContent,
                format!(
                    "{name}: this model does not take it, and x-chaperone-strict-params refuses to adjust it"
                ),
            )),
        }
    }

    /// Names a change that is ours to make.
    pub(crate) fn note(&mut self, name: &str, value: &str) {
        let item = format!("{name}={value}");
        if !self.items.contains(&item) {
            self.items.push(item);
        }
    }

    pub(crate) fn into_items(self) -> Vec<String> {
        self.items
    }
}

impl Render<'_> {
    /// Whether the target can carry `capability`: what its Partner declares, and the adapter's table where it is
    /// silent. Few Partners declare the last group, so the table speaks for it unless they do.
    pub(crate) fn can(&self, capability: Capability) -> bool {
        let declared = &self.target.model.capabilities;
        let is_silent = declared.is_empty()
            || matches!(
                capability,
                Capability::ForcedToolChoice | Capability::Prefill | Capability::Reasoning
            );
        declared.contains(&capability) || is_silent && self.facts.capabilities.contains(&capability)
    }

    /// The longest answer to ask for: what the app asks, else the default, never above the cap.
    pub(crate) fn limit(&self, asked: Option<Tokens>, adjusted: &mut Adjusted) -> Option<Tokens> {
        let wanted = asked.or(self.max_tokens.default);
        let Some(cap) = self.max_tokens.cap else { return wanted };
        if asked.is_some_and(|asked| asked > cap) {
            adjusted.note("max_tokens", &cap.0.to_string());
        }
        Some(wanted.map_or(cap, |wanted| wanted.min(cap)))
    }
}

/// A part that a model cannot carry.
pub(crate) fn unsupported(path: &str, what: &str) -> Refusal {
    Refusal::new(Reason::UnsupportedContent, format!("{path}: {what}"))
}

/// A part that needs what a model does not have.
pub(crate) fn lacks(path: &str, capability: Capability) -> Refusal {
    unsupported(path, &format!("needs the capability {}, which the model does not have", capability.as_str()))
}

/// Refuses what the target cannot carry, and drops what it does not know.
pub(crate) fn check(request: &Request, render: &Render<'_>, adjusted: &mut Adjusted) -> Result<(), Refusal> {
    for need in &request.needs {
        if !render.can(need.capability) {
            return Err(lacks(&need.path, need.capability));
        }
    }
    for foreign in &request.foreign {
        match foreign.weight {
            Weight::Meaning => {
                return Err(foreign.capability.map_or_else(
                    || unsupported(&foreign.path, "has no equivalent in the dialect of the model's partner"),
                    |capability| lacks(&foreign.path, capability),
                ));
            }
            Weight::Hint => adjusted.drop(leaf(&foreign.path))?,
        }
    }
    Ok(())
}

/// Lists what the turns of a request need, each with the first place that needs it. `last` is where the last message
/// stands.
pub(crate) fn need_of_turns(request: &mut Request, last: String) {
    let mut needs = Vec::new();
    let parts = request.turns.iter().flat_map(|turn| &turn.parts);
    parts.for_each(|part| need_of_part(part, &mut needs));
    if request.turns.last().is_some_and(|turn| turn.role == Role::Assistant) {
        needs.push(Need { capability: Capability::Prefill, path: last });
    }
    request.needs.append(&mut needs);
}

/// Lists what the tools of a request need: `tools` and `choice` are where they and the wish for one of them stand.
///
/// # Errors
/// The wish is for none of them.
pub(crate) fn need_of_tools(request: &mut Request, tools: &str, choice: &str) -> Result<(), Refusal> {
    if request.tools.is_empty() {
        return Ok(());
    }
    let mut need = |capability, path: &str| request.needs.push(Need { capability, path: path.to_owned() });
    need(Capability::Tools, tools);
    match &request.tool_choice {
        None | Some(ToolChoice::Auto | ToolChoice::None) => return Ok(()),
        Some(ToolChoice::Named(name)) if request.tools.iter().all(|tool| tool.name != *name) => {
            return Err(invalid(choice, &format!("names no function of `{tools}`")));
        }
        Some(ToolChoice::Named(_) | ToolChoice::Required) => need(Capability::ForcedToolChoice, choice),
    }
    Ok(())
}

fn need_of_part(part: &Part, needs: &mut Vec<Need>) {
    let mut need = |capability, path: &str| {
        if needs.iter().all(|need| need.capability != capability) {
            needs.push(Need { capability, path: path.to_owned() });
        }
    };
    match part {
        Part::Image(media) => need(Capability::Vision, &media.path),
        // Plain text is read by every model.
        Part::Document(Media { source: Source::Text(_), .. }) => {}
        Part::Document(media) => need(Capability::Documents, &media.path),
        Part::ToolResult { parts, .. } => parts.iter().for_each(|part| need_of_part(part, needs)),
        Part::Text(_)
        | Part::CachePoint(_)
        | Part::ToolCall { .. }
        | Part::Reasoning { .. }
        | Part::Opaque { .. } => {}
    }
}

/// The last name in a path: `cache_control` of `messages[0].content[1].cache_control`.
fn leaf(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Whether `effort` is one that some dialect knows.
pub(crate) fn is_effort(effort: &str) -> bool {
    EFFORTS.contains(&effort)
}

/// The efforts that some dialect knows, for a message.
pub(crate) fn efforts() -> String {
    EFFORTS.join(", ")
}

/// The effort nearest to `wanted` that the model knows; of two equally near ones the lesser.
pub(crate) fn nearest_effort(facts: &Facts, wanted: &str) -> Option<&'static str> {
    let rank = |effort: &str| EFFORTS.iter().position(|known| *known == effort).unwrap_or(EFFORTS.len());
    // To think little is not to think not at all: "none" is only ever met exactly.
    let candidates = facts.efforts.iter().filter(|effort| **effort == wanted || **effort != EFFORTS[0]);
    candidates.min_by_key(|effort| (rank(effort).abs_diff(rank(wanted)), rank(effort))).copied()
}

/// The budget that stands for `effort`.
pub(crate) fn budget_of(effort: &str) -> Tokens {
    let largest = BUDGETS[BUDGETS.len() - 1].1;
    Tokens(BUDGETS.iter().find(|(name, _)| *name == effort).map_or(largest, |(_, budget)| *budget))
}

/// The effort that stands for `budget`.
pub(crate) fn effort_of(budget: Tokens) -> &'static str {
    let largest = BUDGETS[BUDGETS.len() - 1].0;
    BUDGETS.iter().find(|(_, steps)| budget.0 <= *steps).map_or(largest, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::mock::FACTS;

    #[test]
    fn budgets_and_efforts_are_two_names_of_one_step() {
        for (effort, budget) in BUDGETS {
            assert_eq!(budget_of(effort), Tokens(budget));
            assert_eq!(effort_of(Tokens(budget)), effort);
        }
        assert_eq!(effort_of(Tokens(1)), "minimal");
        assert_eq!(effort_of(Tokens(1025)), "low");
        assert_eq!(effort_of(Tokens(100_000)), "xhigh");
        assert_eq!(budget_of("max"), Tokens(16384));
    }

    #[test]
    fn an_unknown_effort_becomes_the_nearest() {
        let facts = Facts { efforts: &["none", "low", "medium", "high"], ..FACTS };
        assert_eq!(nearest_effort(&facts, "medium"), Some("medium"));
        assert_eq!(nearest_effort(&facts, "minimal"), Some("low"));
        assert_eq!(nearest_effort(&facts, "max"), Some("high"));
        assert_eq!(nearest_effort(&facts, "none"), Some("none"));
        assert_eq!(nearest_effort(&Facts { efforts: &[], ..facts }, "low"), None);
    }

    #[test]
    fn a_strict_request_refuses_to_lose_a_hint() {
        let mut adjusted = Adjusted::new(Hints::Refused);
        let refusal = adjusted.drop("seed").unwrap_err();
        assert_eq!(refusal.reason, Reason::UnsupportedContent);
        assert!(refusal.message.starts_with("seed: "));
        adjusted.note("max_tokens", "9");
        assert_eq!(adjusted.into_items(), ["max_tokens=9"]);
    }
}

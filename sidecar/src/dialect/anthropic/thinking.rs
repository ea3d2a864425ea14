//! How a model of this dialect is told to think: nothing, a budget, or an effort, by its family.

use chaperone_protocol::units::Tokens;

use crate::dialect::fitness::{self, Adjusted};
use crate::dialect::{Render, Thinking};
use crate::neutral::{Reasoning, Request};
use crate::refusal::Refusal;

/// The least budget that the API takes.
const LEAST_BUDGET: u64 = 1024;

/// What is said about thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing: the model does as it does by default.
    Silent,
    Disabled,
    Budget(Tokens),
    Adaptive {
        effort: &'static str,
    },
}

impl Plan {
    /// What to say, for an answer of at most `limit` tokens, thoughts included.
    pub(crate) fn of(
        request: &Request,
        render: &Render<'_>,
        limit: Tokens,
        adjusted: &mut Adjusted,
    ) -> Result<Self, Refusal> {
        let Some(wanted) = &request.reasoning else { return Ok(Self::Silent) };
        match (render.facts.thinking, wanted) {
            (Thinking::Never | Thinking::Budget, Reasoning::Off) => Ok(Self::Silent),
            (Thinking::Adaptive | Thinking::Unasked, Reasoning::Off) => Ok(Self::Disabled),
            (Thinking::Never, _) | (Thinking::Always, Reasoning::Off) => {
                adjusted.drop("reasoning_effort")?;
                Ok(Self::Silent)
            }
            (Thinking::Budget, Reasoning::Effort(effort)) => {
                budget(fitness::budget_of(effort), limit, adjusted)
            }
            (Thinking::Budget, Reasoning::Budget(wanted)) => budget(*wanted, limit, adjusted),
            (Thinking::Adaptive | Thinking::Unasked | Thinking::Always, Reasoning::Effort(wanted)) => {
                effort(wanted, render, adjusted)
            }
            (Thinking::Adaptive | Thinking::Unasked | Thinking::Always, Reasoning::Budget(wanted)) => {
                effort(fitness::effort_of(*wanted), render, adjusted)
            }
        }
    }

    /// Whether the model is told to think.
    pub(crate) fn is_thinking(self) -> bool {
        matches!(self, Self::Budget(_) | Self::Adaptive { .. })
    }
}

/// A budget from the API's least to one below the limit of the whole answer, if there is any between.
fn budget(wanted: Tokens, limit: Tokens, adjusted: &mut Adjusted) -> Result<Plan, Refusal> {
    let most = limit.saturating_sub(Tokens(1));
    if most < Tokens(LEAST_BUDGET) {
        adjusted.drop("reasoning_effort")?;
        return Ok(Plan::Silent);
    }
    Ok(Plan::Budget(wanted.clamp(Tokens(LEAST_BUDGET), most)))
}

fn effort(wanted: &str, render: &Render<'_>, adjusted: &mut Adjusted) -> Result<Plan, Refusal> {
    let Some(effort) = fitness::nearest_effort(&render.facts, wanted) else {
        adjusted.drop("reasoning_effort")?;
        return Ok(Plan::Silent);
    };
    if effort != wanted {
        adjusted.change("reasoning_effort", effort)?;
    }
    Ok(Plan::Adaptive { effort })
}

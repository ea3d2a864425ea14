//! Anthropic.

use chaperone_protocol::adapter::Capability;

use super::by_prefix;
use crate::dialect::{Facts, Instructions, LaterInstructions, Sampling, Thinking, TokenLimit};

/// All that any of them can, ordered so that each family's share is one piece.
const CAPABILITIES: &[Capability] = &[
    Capability::Prefill,
    Capability::ForcedToolChoice,
    Capability::Streaming,
    Capability::Tools,
    Capability::ParallelTools,
    Capability::Vision,
    Capability::Documents,
    Capability::Reasoning,
    Capability::JsonSchema,
];

/// The capabilities without the first `from` and without those after the first `to`.
const fn share(from: usize, to: usize) -> &'static [Capability] {
    CAPABILITIES.split_at(to).0.split_at(from).1
}

const CLAUDE_3: Facts = Facts {
    token_limit: TokenLimit::MaxTokens,
    instructions: Instructions::System,
    later_instructions: LaterInstructions::Hoisted,
    thinking: Thinking::Never,
    efforts: &[],
    sampling: Sampling::Accepted,
    capabilities: share(0, 7),
};
const CLAUDE_4: Facts = Facts { thinking: Thinking::Budget, capabilities: share(0, 8), ..CLAUDE_3 };
/// From here on `temperature` and `top_p` exclude each other.
const CLAUDE_4_1: Facts = Facts { sampling: Sampling::Either, capabilities: CAPABILITIES, ..CLAUDE_4 };
const OPUS_4_5: Facts = Facts { efforts: &["low", "medium", "high"], ..CLAUDE_4_1 };
const CLAUDE_4_6: Facts = Facts {
    thinking: Thinking::Adaptive,
    efforts: &["low", "medium", "high", "max"],
    capabilities: share(1, 9),
    ..CLAUDE_4_1
};
const CLAUDE_4_7: Facts =
    Facts { efforts: &["low", "medium", "high", "xhigh", "max"], sampling: Sampling::Rejected, ..CLAUDE_4_6 };
/// From here on it thinks where nobody asks for it.
const CLAUDE_5: Facts = Facts { thinking: Thinking::Unasked, ..CLAUDE_4_7 };
/// Thinks always, and so takes no forced call.
const NEWEST: Facts = Facts { thinking: Thinking::Always, capabilities: share(2, 9), ..CLAUDE_4_7 };

/// <https://platform.claude.com/docs/en/about-claude/models/migration-guide> and the guides of each model below
/// <https://platform.claude.com/docs/en/models/overview>, read in November 2026. Those of the newest family, Opus 5.5,
/// Sonnet 5.5, Fable and Mythos, answer 400 to a request not to think and to a forced call.
const TABLE: &[(&str, Facts)] = &[
    ("claude-2", CLAUDE_3),
    ("claude-instant", CLAUDE_3),
    ("claude-3-7", CLAUDE_4),
    ("claude-3", CLAUDE_3),
    ("claude-opus-5-5", NEWEST),
    ("claude-sonnet-5-5", NEWEST),
    ("claude-opus-5", CLAUDE_5),
    ("claude-sonnet-5", CLAUDE_5),
    ("claude-haiku-5", CLAUDE_5),
    ("claude-opus-4-8", CLAUDE_4_7),
    ("claude-opus-4-7", CLAUDE_4_7),
    ("claude-opus-4-6", CLAUDE_4_6),
    ("claude-sonnet-4-6", CLAUDE_4_6),
    ("claude-opus-4-5", OPUS_4_5),
    ("claude-sonnet-4-5", CLAUDE_4_1),
    ("claude-haiku-4-5", CLAUDE_4_1),
    ("claude-opus-4-1", CLAUDE_4_1),
    ("claude-opus-4", CLAUDE_4),
    ("claude-sonnet-4", CLAUDE_4),
    ("claude-haiku-4", CLAUDE_4),
];

/// The facts of `model`.
pub(crate) fn facts(model: &str) -> Facts {
    by_prefix(TABLE, NEWEST, model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_taken_for_the_newest_family() {
        assert_eq!(facts("claude-sonnet-4-20250514"), CLAUDE_4);
        assert_eq!(facts("claude-haiku-4-5-20251001").thinking, Thinking::Budget);
        assert_eq!(facts("claude-opus-4-7").sampling, Sampling::Rejected);
        assert!(!facts("claude-opus-4-6").capabilities.contains(&Capability::Prefill));
        assert!(!facts("claude-sonnet-4-0").capabilities.contains(&Capability::JsonSchema));
        assert_eq!(facts("claude-opus-9"), NEWEST);
        assert_eq!(facts("claude-sonnet-5"), CLAUDE_5);
        assert_eq!(facts("claude-haiku-5-5"), CLAUDE_5);
        for newest in ["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-mythos-5"] {
            assert_eq!(facts(newest), NEWEST, "{newest}");
        }
    }
}

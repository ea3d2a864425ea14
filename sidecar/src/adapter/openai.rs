//! OpenAI, and every server that is compatible with it.

use chaperone_protocol::adapter::Capability;

use super::by_prefix;
use crate::dialect::{Facts, Instructions, LaterInstructions, Sampling, Thinking, TokenLimit};

/// What is known about a model by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    facts: Facts,
    /// The name of the token limit that it refuses, where it refuses one.
    refuses: Option<&'static str>,
}

const EVERYTHING: &[Capability] = &[
    Capability::Streaming,
    Capability::Tools,
    Capability::ParallelTools,
    Capability::Vision,
    Capability::JsonSchema,
    Capability::Documents,
    Capability::Audio,
    Capability::Reasoning,
    Capability::ForcedToolChoice,
    Capability::Embeddings,
];

const NEWEST: Known = Known {
    facts: Facts {
        token_limit: TokenLimit::MaxCompletionTokens,
        instructions: Instructions::Developer,
        later_instructions: LaterInstructions::InPlace,
        thinking: Thinking::Adaptive,
        efforts: &["none", "minimal", "low", "medium", "high", "xhigh"],
        sampling: Sampling::Accepted,
        capabilities: EVERYTHING,
    },
    // What nobody knows may well be behind a server that knows one of the two: the app's choice stands.
    refuses: None,
};

/// Chat without reasoning. Takes both names of the token limit.
const CHAT: Known = Known {
    facts: Facts { thinking: Thinking::Never, efforts: &[], capabilities: WITHOUT_REASONING, ..NEWEST.facts },
    refuses: None,
};

const WITHOUT_REASONING: &[Capability] = &[
    Capability::Streaming,
    Capability::Tools,
    Capability::ParallelTools,
    Capability::Vision,
    Capability::JsonSchema,
    Capability::Documents,
    Capability::Audio,
    Capability::ForcedToolChoice,
    Capability::Embeddings,
];

/// The first models that reasoned.
const O_SERIES: Known = Known {
    facts: Facts {
        thinking: Thinking::Always,
        efforts: &["low", "medium", "high"],
        sampling: Sampling::Rejected,
        ..NEWEST.facts
    },
    refuses: Some("max_tokens"),
};

const GPT_5: Known = Known {
    facts: Facts {
        thinking: Thinking::Always,
        efforts: &["minimal", "low", "medium", "high"],
        ..O_SERIES.facts
    },
    refuses: Some("max_tokens"),
};

/// From 5.1 on it can be told not to reason.
const GPT_5_1: Known = Known {
    facts: Facts {
        thinking: Thinking::Adaptive,
        efforts: &["none", "low", "medium", "high", "xhigh"],
        ..O_SERIES.facts
    },
    refuses: Some("max_tokens"),
};

/// Open weights behind a compatible server.
const COMPATIBLE: Known = Known {
    facts: Facts {
        token_limit: TokenLimit::MaxTokens,
        instructions: Instructions::System,
        capabilities: COMPATIBLE_CAPABILITIES,
        ..CHAT.facts
    },
    refuses: Some("max_completion_tokens"),
};

const COMPATIBLE_CAPABILITIES: &[Capability] = &[
    Capability::Streaming,
    Capability::Tools,
    Capability::ParallelTools,
    Capability::Vision,
    Capability::JsonSchema,
    Capability::ForcedToolChoice,
    Capability::Embeddings,
];

/// Open weights that reason.
const COMPATIBLE_REASONING: Known = Known {
    facts: Facts { thinking: Thinking::Always, efforts: &["low", "medium", "high"], ..COMPATIBLE.facts },
    refuses: COMPATIBLE.refuses,
};

/// <https://platform.openai.com/docs/models> and <https://platform.openai.com/docs/guides/reasoning>; the compatible
/// ones by the documentation of vLLM, Mistral and Groq.
const TABLE: &[(&str, Known)] = &[
    ("gpt-3.5", CHAT),
    ("gpt-4", CHAT),
    ("chatgpt-4o", CHAT),
    ("gpt-5-chat", CHAT),
    ("o1", O_SERIES),
    ("o3", O_SERIES),
    ("o4", O_SERIES),
    ("gpt-5.", GPT_5_1),
    ("gpt-5", GPT_5),
    ("gpt-oss", COMPATIBLE_REASONING),
    ("mistral", COMPATIBLE),
    ("ministral", COMPATIBLE),
    ("magistral", COMPATIBLE),
    ("mixtral", COMPATIBLE),
    ("codestral", COMPATIBLE),
    ("devstral", COMPATIBLE),
    ("llama", COMPATIBLE),
    ("meta-llama", COMPATIBLE),
    ("qwen", COMPATIBLE),
    ("qwq", COMPATIBLE),
    ("deepseek", COMPATIBLE),
    ("gemma", COMPATIBLE),
    ("phi", COMPATIBLE),
    ("command", COMPATIBLE),
    ("granite", COMPATIBLE),
];

/// The facts of `model`.
pub(crate) fn facts(model: &str) -> Facts {
    by_prefix(TABLE, NEWEST, model).facts
}

/// The name of the token limit that `model` refuses, where it refuses one.
pub(crate) fn refused_limit(model: &str) -> Option<&'static str> {
    by_prefix(TABLE, NEWEST, model).refuses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_go_by_the_beginning_of_the_name() {
        assert_eq!(facts("gpt-4o-mini"), CHAT.facts);
        assert_eq!((facts("o3-mini"), refused_limit("o3-mini")), (O_SERIES.facts, Some("max_tokens")));
        assert_eq!(facts("gpt-5.1").thinking, Thinking::Adaptive);
        assert_eq!(facts("Qwen/Qwen3-32B"), COMPATIBLE.facts);
        assert_eq!((facts("gpt-9"), refused_limit("gpt-9")), (NEWEST.facts, None));
    }
}

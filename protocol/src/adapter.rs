//! What a Partner's `spec.adapter` names: whose URL, authentication and quirks apply, and which dialect is spoken.

use serde::{Deserialize, Serialize};

/// The wire format of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// OpenAI's, and that of everything compatible.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Ours: what `/v1/infer` and the Mock adapter speak.
    Neutral,
}

/// The kind of a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Adapter {
    /// OpenAI and every server that is compatible with it.
    OpenAI,
    /// Anthropic.
    Anthropic,
    /// Built in and deterministic: needs no network and no key.
    Mock,
}

impl Adapter {
    /// All adapters, for tables and tests.
    pub const ALL: [Self; 3] = [Self::OpenAI, Self::Anthropic, Self::Mock];

    /// What the adapter speaks.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::OpenAI => Dialect::OpenAi,
            Self::Anthropic => Dialect::Anthropic,
            Self::Mock => Dialect::Neutral,
        }
    }

    /// Its name in a custom resource.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAI => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::Mock => "Mock",
        }
    }
}

/// What a model can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Capability {
    /// Answers token by token.
    Streaming,
    /// Calls tools.
    Tools,
    /// Calls several tools in one turn.
    ParallelTools,
    /// Reads images.
    Vision,
    /// Answers in the shape of a JSON Schema.
    JsonSchema,
    /// Reads PDF and other documents.
    Documents,
    /// Hears audio.
    Audio,
    /// Thinks before it speaks.
    Reasoning,
    /// Can be told which tool to call.
    ForcedToolChoice,
    /// Goes on from the beginning of an answer.
    Prefill,
    /// Turns text into vectors.
    Embeddings,
}

impl Capability {
    /// Its name in a custom resource.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Streaming => "Streaming",
            Self::Tools => "Tools",
            Self::ParallelTools => "ParallelTools",
            Self::Vision => "Vision",
            Self::JsonSchema => "JsonSchema",
            Self::Documents => "Documents",
            Self::Audio => "Audio",
            Self::Reasoning => "Reasoning",
            Self::ForcedToolChoice => "ForcedToolChoice",
            Self::Prefill => "Prefill",
            Self::Embeddings => "Embeddings",
        }
    }
}

/// How confidential data is. Ordered: a route's class must be among those that its partners take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DataClass {
    /// May be read by anybody.
    Public,
    /// Stays in the company.
    Internal,
    /// Stays with those who need it.
    Confidential,
    /// Protected by law or contract.
    Restricted,
}

/// The version of Anthropic's API that a request is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum ApiVersion {
    /// Takes sampling parameters, and the key as `x-api-key`.
    #[serde(rename = "2023-06-01")]
    V20230601,
    /// Refuses sampling parameters; what the current SDKs send.
    #[default]
    #[serde(rename = "2026-10-21")]
    V20261021,
}

impl ApiVersion {
    /// As it stands in the header `anthropic-version`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V20230601 => "2023-06-01",
            Self::V20261021 => "2026-10-21",
        }
    }
}

//! Which client endpoint an adapter can serve, and how: one table for the compiler and for the router.

use crate::adapter::{Adapter, Dialect};
use crate::snapshot::Endpoint;

/// An endpoint of ours that asks a model for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientApi {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    CountTokens,
    /// `POST /v1/infer`
    Infer,
}

impl ClientApi {
    /// All endpoints, for tables and tests.
    pub const ALL: [Self; 6] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Messages,
        Self::CountTokens,
        Self::Infer,
    ];

    /// The path, which is also the value of `client_api` in a record.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Infer => "/v1/infer",
        }
    }

    /// What the app speaks there, and in what errors must come.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings => Dialect::OpenAi,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            Self::Infer => Dialect::Neutral,
        }
    }
}

/// How a request gets from an endpoint to a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Same dialect on both sides: edited by byte ranges, never re-serialised.
    Passthrough,
    /// By way of the neutral form.
    Translate,
    /// Answered by the sidecar, without the partner.
    Local,
}

/// Every pair that exists. What is absent is refused with `unsupported_endpoint`.
pub const PAIRS: &[(ClientApi, Adapter, Path)] = &[
    (ClientApi::ChatCompletions, Adapter::OpenAI, Path::Passthrough),
    (ClientApi::ChatCompletions, Adapter::Anthropic, Path::Translate),
    (ClientApi::ChatCompletions, Adapter::Mock, Path::Translate),
    (ClientApi::Completions, Adapter::OpenAI, Path::Passthrough),
    // Completions, Anthropic: a legacy text prompt, which has no equivalent there.
    (ClientApi::Completions, Adapter::Mock, Path::Translate),
    (ClientApi::Embeddings, Adapter::OpenAI, Path::Passthrough),
    // Embeddings, Anthropic: there is no such API.
    (ClientApi::Embeddings, Adapter::Mock, Path::Translate),
    (ClientApi::Messages, Adapter::OpenAI, Path::Translate),
    (ClientApi::Messages, Adapter::Anthropic, Path::Passthrough),
    (ClientApi::Messages, Adapter::Mock, Path::Translate),
    (ClientApi::CountTokens, Adapter::OpenAI, Path::Local),
    (ClientApi::CountTokens, Adapter::Anthropic, Path::Passthrough),
    (ClientApi::CountTokens, Adapter::Mock, Path::Local),
    (ClientApi::Infer, Adapter::OpenAI, Path::Translate),
    (ClientApi::Infer, Adapter::Anthropic, Path::Translate),
    (ClientApi::Infer, Adapter::Mock, Path::Translate),
];

/// How `api` is served by `adapter`, if it can be.
#[must_use]
pub fn path(api: ClientApi, adapter: Adapter) -> Option<Path> {
    PAIRS.iter().find(|(a, b, _)| *a == api && *b == adapter).map(|(_, _, path)| *path)
}

/// Where at a partner a request to `api` goes; `None` where none goes.
///
/// OpenAI's endpoint usually ends in `/v1`. To Anthropic's `/v1` is added where it is not there yet.
#[must_use]
pub fn partner_path(api: ClientApi, adapter: Adapter, endpoint: &Endpoint) -> Option<String> {
    if matches!(path(api, adapter)?, Path::Local) {
        return None;
    }
    let base = endpoint.path();
    match adapter {
        Adapter::Mock => None,
        Adapter::OpenAI => Some(match api {
            ClientApi::Completions => format!("{base}/completions"),
            ClientApi::Embeddings => format!("{base}/embeddings"),
            ClientApi::ChatCompletions | ClientApi::Messages | ClientApi::CountTokens | ClientApi::Infer => {
                format!("{base}/chat/completions")
            }
        }),
        Adapter::Anthropic => {
            let version = if base.ends_with("/v1") { "" } else { "/v1" };
            let count = if api == ClientApi::CountTokens { "/count_tokens" } else { "" };
            Some(format!("{base}{version}/messages{count}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_joined_as_its_adapter_wants() {
        let at = |api, adapter, endpoint: &str| partner_path(api, adapter, &endpoint.parse().unwrap());
        let cases = [
            (ClientApi::Infer, Adapter::OpenAI, "https://a.test/v1", Some("/v1/chat/completions")),
            (ClientApi::Embeddings, Adapter::OpenAI, "https://a.test/v1/", Some("/v1/embeddings")),
            (ClientApi::Completions, Adapter::OpenAI, "https://a.test", Some("/completions")),
            (ClientApi::CountTokens, Adapter::OpenAI, "https://a.test/v1", None),
            (ClientApi::Messages, Adapter::Anthropic, "https://b.test", Some("/v1/messages")),
            (ClientApi::ChatCompletions, Adapter::Anthropic, "https://b.test/p/v1", Some("/p/v1/messages")),
            (ClientApi::CountTokens, Adapter::Anthropic, "https://b.test", Some("/v1/messages/count_tokens")),
            (ClientApi::Embeddings, Adapter::Anthropic, "https://b.test", None),
        ];
        for (api, adapter, endpoint, expected) in cases {
            assert_eq!(at(api, adapter, endpoint).as_deref(), expected, "{} of {endpoint}", api.path());
        }
    }

    #[test]
    fn passthrough_means_one_dialect() {
        for (api, adapter, path) in PAIRS {
            if *path == Path::Passthrough {
                assert_eq!(api.dialect(), adapter.dialect(), "{} on {}", api.path(), adapter.as_str());
            }
        }
    }

    #[test]
    fn the_mock_serves_every_endpoint() {
        assert!(ClientApi::ALL.iter().all(|api| path(*api, Adapter::Mock).is_some()));
    }
}

//! A request's body, read once: what it asks for, and where in its bytes what we may edit stands.
//!
//! Its content is not interpreted here; that is the business of the dialects, and of nobody where both sides speak the
//! same one. What two parsers could read differently is refused (`json.rs`), and so is an address in a body.

mod map;
pub(crate) mod media;
mod redacted;
mod thought;

use std::fmt;

use bytes::Bytes;
use chaperone_protocol::limits;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::units::Tokens;
use http::HeaderMap;

use self::map::METADATA;
pub(crate) use self::map::{LIMITS, MESSAGE, PART, STREAM_OPTIONS};
pub(crate) use self::redacted::Redacted;
use crate::dialect::UsageChunk;
use crate::exchange::Mode;
use crate::json::{self, Kind, Member, ROOT, Skim};
use crate::refusal::Refusal;

/// Tokens that a message costs besides its text.
const TOKENS_PER_MESSAGE: u64 = 4;
/// Bytes of source that make a token, in the mean.
const BYTES_PER_TOKEN: u64 = 4;

/// A body that was read and found fit to be looked at.
#[derive(Clone)]
pub(crate) struct Prompt {
    api: ClientApi,
    body: Bytes,
    skim: Skim,
    alias: String,
    mode: Mode,
    usage: UsageChunk,
    limit: Option<Tokens>,
    metadata: Metadata,
}

/// What `/v1/infer` says beside the prompt.
#[derive(Clone, Default)]
struct Metadata {
    tenant: Option<String>,
    correlation_id: Option<String>,
}

impl fmt::Debug for Prompt {
    /// The size only: a prompt is not printed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Prompt({}, {} bytes)", self.api.path(), self.body.len())
    }
}

impl Prompt {
    /// Reads a body.
    ///
    /// # Errors
    /// The body is not JSON, is too deep or too wide, has a routed key twice, an address, or a routed value of a wrong
    /// type.
    pub(crate) fn read(api: ClientApi, headers: &HeaderMap, body: Bytes) -> Result<Self, Refusal> {
        media::check(headers)?;
        let skim = json::skim(&body, &map::MAP).map_err(|error| invalid(error.to_string()))?;
        if body.iter().find(|byte| !json::is_blank(**byte)) != Some(&b'{') {
            return Err(invalid("the body must be a JSON object"));
        }
        let reader = Reader { body: &body, skim: &skim };
        let alias = reader.alias(if api == ClientApi::Infer { "modelId" } else { "model" })?;
        reader.list(api)?;
        let mode = if reader.flag("stream")? && can_stream(api) { Mode::Stream } else { Mode::Whole };
        let usage = reader.usage()?;
        let limit = reader.limit()?;
        let metadata = if api == ClientApi::Infer { reader.metadata()? } else { Metadata::default() };
        Ok(Self { api, alias, mode, usage, limit, metadata, skim, body })
    }

    /// The endpoint that was called.
    pub(crate) fn api(&self) -> ClientApi {
        self.api
    }

    /// What the app calls the model.
    pub(crate) fn alias(&self) -> &str {
        &self.alias
    }

    /// Whether the app wants a stream.
    pub(crate) fn is_streaming(&self) -> bool {
        self.mode == Mode::Stream
    }

    /// What the app asks for.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the app wants its stream to end with the usage.
    pub(crate) fn usage(&self) -> UsageChunk {
        self.usage
    }

    /// The longest answer that the app asks for.
    pub(crate) fn limit(&self) -> Option<Tokens> {
        self.limit
    }

    /// The bytes as they came.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Where what we may edit stands.
    pub(crate) fn skim(&self) -> &Skim {
        &self.skim
    }

    /// An upper bound of the prompt's tokens: a token covers at least one byte of text, and the syntax around a
    /// message is longer than what a message costs.
    pub(crate) fn estimate(&self) -> Tokens {
        Tokens(u64::try_from(self.body.len()).unwrap_or(u64::MAX))
    }

    /// What the prompt is likely to cost, for an app that asks.
    pub(crate) fn likely_tokens(&self) -> Tokens {
        let content = ["messages", "system", "tools", "prompt", "input"];
        let bytes: usize = content
            .iter()
            .filter_map(|name| self.skim.get(ROOT, name))
            .map(|member| member.value.len())
            .sum();
        let messages = self.skim.counts.get(MESSAGE.0).copied().unwrap_or_default();
        let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let text = whole(bytes).div_ceil(BYTES_PER_TOKEN);
        Tokens(text.saturating_add(whole(messages).saturating_mul(TOKENS_PER_MESSAGE)))
    }

    /// `/v1/infer`: on whose budget.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.metadata.tenant.as_deref()
    }

    /// `/v1/infer`: the id that goes through all systems.
    pub(crate) fn correlation_id(&self) -> Option<&str> {
        self.metadata.correlation_id.as_deref()
    }
}

fn can_stream(api: ClientApi) -> bool {
    match api {
        ClientApi::ChatCompletions | ClientApi::Completions | ClientApi::Messages => true,
        ClientApi::Embeddings | ClientApi::CountTokens | ClientApi::Infer => false,
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(Reason::InvalidRequest, message)
}

/// Reads values out of a body.
struct Reader<'a> {
    body: &'a Bytes,
    skim: &'a Skim,
}

impl Reader<'_> {
    fn source(&self, member: &Member) -> &str {
        let bytes = self.body.get(member.value.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    fn text(&self, member: &Member) -> Option<String> {
        let inside = self.source(member).strip_prefix('"')?.strip_suffix('"')?;
        Some(json::unescape(inside).into_owned())
    }

    fn alias(&self, key: &str) -> Result<String, Refusal> {
        let member = self
            .skim
            .get(ROOT, key)
            .ok_or_else(|| invalid(format!("`{key}` is missing: name the alias of a ModelRoute")))?;
        let alias = self.text(member).ok_or_else(|| invalid(format!("`{key}` must be a string")))?;
        if alias.is_empty() || alias.chars().count() > limits::MODEL_NAME_CHARS {
            let problem = format!("`{key}` must have 1 to {} characters", limits::MODEL_NAME_CHARS);
            return Err(invalid(problem));
        }
        Ok(alias)
    }

    /// The list without which the endpoint has nothing to do.
    fn list(&self, api: ClientApi) -> Result<(), Refusal> {
        let key = match api {
            ClientApi::ChatCompletions | ClientApi::Messages | ClientApi::CountTokens => "messages",
            ClientApi::Completions | ClientApi::Embeddings | ClientApi::Infer => return Ok(()),
        };
        match self.skim.get(ROOT, key).map(|member| member.kind) {
            Some(Kind::Array) => Ok(()),
            Some(_) => Err(invalid(format!("`{key}` must be an array"))),
            None => Err(invalid(format!("`{key}` is missing"))),
        }
    }

    fn metadata(&self) -> Result<Metadata, Refusal> {
        let id = |name: &str| match self.skim.get(METADATA, name) {
            None => Ok(None),
            Some(member) if member.kind == Kind::Null => Ok(None),
            Some(member) => {
                let text = self.text(member).map(Some);
                text.ok_or_else(|| invalid(format!("`metadata.{name}` must be a string")))
            }
        };
        id("userId")?; // Checked like the others; it stays here.
        Ok(Metadata { tenant: id("tenantId")?, correlation_id: id("correlationId")? })
    }

    fn flag(&self, key: &str) -> Result<bool, Refusal> {
        match self.skim.get(ROOT, key).map(|member| member.kind) {
            None | Some(Kind::Null | Kind::False) => Ok(false),
            Some(Kind::True) => Ok(true),
            Some(_) => Err(invalid(format!("`{key}` must be true or false"))),
        }
    }

    fn usage(&self) -> Result<UsageChunk, Refusal> {
        match self.skim.get(ROOT, "stream_options").map(|member| member.kind) {
            None | Some(Kind::Null | Kind::Object) => {}
            Some(_) => return Err(invalid("`stream_options` must be an object")),
        }
        match self.skim.get(STREAM_OPTIONS, "include_usage").map(|member| member.kind) {
            None | Some(Kind::Null | Kind::False) => Ok(UsageChunk::Unwanted),
            Some(Kind::True) => Ok(UsageChunk::Wanted),
            Some(_) => Err(invalid("`stream_options.include_usage` must be true or false")),
        }
    }

    /// The smaller of the two limits, where both are given.
    fn limit(&self) -> Result<Option<Tokens>, Refusal> {
        let mut least = None;
        for key in map::LIMITS {
            let Some(member) = self.skim.get(ROOT, key).filter(|member| member.kind != Kind::Null) else {
                continue;
            };
            let limit = self.source(member).parse::<u64>().ok().filter(|limit| *limit > 0);
            let limit = limit.ok_or_else(|| invalid(format!("`{key}` must be a positive integer")))?;
            least = Some(least.map_or(limit, |least: u64| least.min(limit)));
        }
        Ok(least.map(Tokens))
    }
}

#[cfg(test)]
mod tests;

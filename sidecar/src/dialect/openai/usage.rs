//! `usage`, both ways. Cached tokens are part of the prompt, reasoning is part of the completion.

use chaperone_protocol::units::Tokens;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dialect::order::Course;
use crate::dialect::tally::Totals;
use crate::neutral::Usage;

/// As partners send it: any count may be absent, or absurd.
#[derive(Deserialize)]
pub(crate) struct Counts<'a> {
    #[serde(borrow, default)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt_tokens_details: Option<PromptCounts<'a>>,
    #[serde(borrow, default)]
    completion_tokens_details: Option<CompletionCounts<'a>>,
}

#[derive(Deserialize)]
struct PromptCounts<'a> {
    #[serde(borrow, default)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache_write_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CompletionCounts<'a> {
    #[serde(borrow, default)]
    reasoning_tokens: Option<&'a RawValue>,
}

impl Counts<'_> {
    /// The counts that can be believed.
    pub(crate) fn read(&self, course: &mut Course) -> Usage {
        let details = self.prompt_tokens_details.as_ref();
        Usage {
            prompt: course.count(self.prompt_tokens),
            cached: course.count(details.and_then(|details| details.cached_tokens)),
            cache_written: course.count(details.and_then(|details| details.cache_write_tokens)),
            output: course.count(self.completion_tokens),
            reasoning: course
                .count(self.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens)),
        }
    }

    /// Whether it is the usage of something that has no answer to count: an embedding.
    pub(crate) fn is_prompt_only(&self) -> bool {
        self.completion_tokens.is_none()
    }
}

/// As clients get it: without gaps.
#[derive(Serialize)]
pub(crate) struct Report {
    prompt_tokens: Tokens,
    completion_tokens: Tokens,
    total_tokens: Tokens,
    prompt_tokens_details: PromptReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionReport>,
}

#[derive(Serialize)]
struct PromptReport {
    cached_tokens: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<Tokens>,
}

#[derive(Serialize)]
struct CompletionReport {
    reasoning_tokens: Tokens,
}

impl From<Totals> for Report {
    fn from(totals: Totals) -> Self {
        let Totals { prompt, cached, cache_written, output, reasoning } = totals;
        let written = (cache_written > Tokens(0)).then_some(cache_written);
        Self {
            prompt_tokens: prompt,
            completion_tokens: output,
            total_tokens: prompt.saturating_add(output),
            prompt_tokens_details: PromptReport { cached_tokens: cached, cache_write_tokens: written },
            completion_tokens_details: reasoning
                .map(|reasoning_tokens| CompletionReport { reasoning_tokens }),
        }
    }
}

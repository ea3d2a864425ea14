//! `usage`, both ways. Here the cache is counted beside the prompt, in the neutral form as part of it.

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
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache_creation_input_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache_read_input_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output_tokens_details: Option<Details<'a>>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    thinking_tokens: Option<&'a RawValue>,
}

/// The parts of a prompt as they were last told: each event may repeat some of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Prompt {
    input: Option<Tokens>,
    written: Option<Tokens>,
    read: Option<Tokens>,
}

impl Counts<'_> {
    /// The counts that can be believed; `prompt` holds the parts that came before.
    pub(crate) fn read(&self, prompt: &mut Prompt, course: &mut Course) -> Usage {
        prompt.input = course.count(self.input_tokens).or(prompt.input);
        prompt.written = course.count(self.cache_creation_input_tokens).or(prompt.written);
        prompt.read = course.count(self.cache_read_input_tokens).or(prompt.read);
        let cache = prompt.written.unwrap_or_default().saturating_add(prompt.read.unwrap_or_default());
        let details = self.output_tokens_details.as_ref();
        Usage {
            prompt: prompt.input.map(|input| input.saturating_add(cache)),
            cached: prompt.read,
            cache_written: prompt.written,
            output: course.count(self.output_tokens),
            reasoning: course.count(details.and_then(|details| details.thinking_tokens)),
        }
    }
}

/// As clients get it: without gaps.
#[derive(Serialize)]
pub(crate) struct Report {
    input_tokens: Tokens,
    cache_creation_input_tokens: Tokens,
    cache_read_input_tokens: Tokens,
    output_tokens: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<DetailsReport>,
}

#[derive(Serialize)]
struct DetailsReport {
    thinking_tokens: Tokens,
}

impl From<Totals> for Report {
    fn from(totals: Totals) -> Self {
        let Totals { prompt, cached, cache_written, output, reasoning } = totals;
        Self {
            input_tokens: prompt.saturating_sub(cached).saturating_sub(cache_written),
            cache_creation_input_tokens: cache_written,
            cache_read_input_tokens: cached,
            output_tokens: output,
            output_tokens_details: reasoning.map(|thinking_tokens| DetailsReport { thinking_tokens }),
        }
    }
}

//! An answer for a client of `/v1/infer`: always whole.

use std::time::Duration;

use chaperone_protocol::units::Tokens;
use serde::Serialize;

use crate::dialect::draft::{Draft, Keep};
use crate::dialect::order::protocol;
use crate::dialect::read::arguments;
use crate::dialect::tally::Tally;
use crate::dialect::{Encode, Reply, id};
use crate::exchange::Failure;
use crate::neutral::{Block, Event, Raw, Stop};

/// Writes one answer.
pub(crate) struct Encoder {
    reply: Reply,
    model: Option<String>,
    tally: Tally,
    draft: Draft,
    stop: Stop,
    elapsed: Duration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    stop_reason: &'static str,
    tokens_used: Tokens,
    model_version: &'a str,
    latency_ms: u64,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: String,
    name: &'a str,
    arguments: Raw,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    partner: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    usage: Usage,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    prompt_tokens: Tokens,
    cached_tokens: Tokens,
    completion_tokens: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<Tokens>,
}

impl Encoder {
    pub(crate) fn new(reply: Reply) -> Self {
        Self {
            tally: Tally::new(reply.prompt_estimate),
            model: None,
            draft: Draft::new(Keep::All),
            stop: Stop::Complete,
            elapsed: Duration::ZERO,
            reply,
        }
    }

    fn whole(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let totals = self.tally.totals();
        let text = self.draft.text(|block| matches!(block, Block::Text | Block::Refusal));
        let answer = Answer {
            content: text.unwrap_or_default(),
            reasoning: self.draft.text(|block| *block == Block::Reasoning),
            tool_calls: self.calls()?,
            stop_reason: reason(self.stop),
            tokens_used: totals.prompt.saturating_add(totals.output),
            model_version: self.model.as_deref().unwrap_or(&self.reply.model),
            latency_ms: u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            metadata: Metadata {
                correlation_id: self.reply.correlation_id.as_deref(),
                partner: &self.reply.origin.partner,
                attempts: self.reply.attempts,
                usage: Usage {
                    prompt_tokens: totals.prompt,
                    cached_tokens: totals.cached,
                    completion_tokens: totals.output,
                    reasoning_tokens: totals.reasoning,
                },
            },
        };
        serde_json::to_writer(out, &answer)
            .expect("strings, numbers and JSON that was parsed before; memory takes every byte");
        Ok(())
    }

    fn calls(&self) -> Result<Vec<Call<'_>>, Failure> {
        let calls = self.draft.pieces().filter_map(|piece| match &piece.block {
            Block::Tool { id, name } => Some((id, name, &piece.text)),
            Block::Text | Block::Reasoning | Block::Opaque { .. } | Block::Refusal => None,
        });
        calls
            .enumerate()
            .map(|(index, (id, name, text))| {
                let id = id::of_call(id, &self.reply.request_id, index);
                Ok(Call { id, name, arguments: arguments(text).ok_or_else(protocol)? })
            })
            .collect()
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.tally.take(event);
        self.draft.take(event)?;
        match event {
            Event::Start { model: Some(model), .. } => self.model = Some(model.clone()),
            Event::Stop(stop) => self.stop = *stop,
            Event::End => self.whole(out)?,
            Event::Start { model: None, .. }
            | Event::BlockStart { .. }
            | Event::Delta { .. }
            | Event::Signature { .. }
            | Event::BlockStop { .. }
            | Event::Usage(_)
            | Event::Ping => {}
        }
        Ok(())
    }

    fn elapsed(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }
}

/// Every stop reason, for the schema.
pub(super) const REASONS: [&str; 5] = ["complete", "length", "tools", "refused", "budget"];

fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Complete | Stop::Sequence => REASONS[0],
        Stop::Length => REASONS[1],
        Stop::Tools => REASONS[2],
        Stop::Refused => REASONS[3],
        Stop::Budget => REASONS[4],
    }
}

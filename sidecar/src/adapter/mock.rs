//! The partner that is built in: deterministic, without network and without key.
//!
//! It plays a script, which is a pure function of its configuration, the request and the request's id. It serves the
//! quick start, drills and tests. A word is a token here, and what it says costs as many tokens as it has words.

use std::time::Duration;

use chaperone_protocol::adapter::Capability;
use chaperone_protocol::snapshot::{Mock, MockReply};
use chaperone_protocol::units::Tokens;
use sha2::{Digest, Sha256};

use crate::dialect::fitness::{self, Adjusted, EFFORTS};
use crate::dialect::openai::embeddings;
use crate::dialect::{Facts, Instructions, LaterInstructions, Render, Sampling, Thinking, TokenLimit};
use crate::neutral::{Block, Event, Part, Request, Role, Stop, ToolChoice, Usage};
use crate::refusal::Refusal;

/// A model that takes everything.
pub(crate) const FACTS: Facts = Facts {
    token_limit: TokenLimit::MaxTokens,
    instructions: Instructions::System,
    later_instructions: LaterInstructions::InPlace,
    thinking: Thinking::Adaptive,
    efforts: &EFFORTS,
    sampling: Sampling::Accepted,
    capabilities: &[
        Capability::Streaming,
        Capability::Tools,
        Capability::ParallelTools,
        Capability::Vision,
        Capability::JsonSchema,
        Capability::Documents,
        Capability::Audio,
        Capability::Reasoning,
        Capability::ForcedToolChoice,
        Capability::Prefill,
        Capability::Embeddings,
    ],
};

/// Characters of a token at most, so that text without spaces comes in pieces too.
const TOKEN_CHARS: usize = 16;

/// Numbers in a vector where the client asks for no other length.
const DIMENSIONS: usize = 256;

/// What a Mock does, and when, counted from the start of the attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MockScript {
    /// It answers with events. The last moment holds the end.
    Events(Vec<(Duration, Vec<Event>)>),
    /// It answers with a body that is the client's already: embeddings have no events.
    Body { after: Duration, body: Vec<u8>, usage: Usage },
    /// It fails with a status.
    Failure { after: Duration, status: u16 },
}

/// A script, and what of the request it does not obey.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) script: MockScript,
    /// Items of `x-chaperone-adjusted`.
    pub(crate) adjusted: Vec<String>,
}

/// The script of a chat or a completion.
///
/// # Errors
/// A part that no partner of this dialect can carry, as with every other adapter.
pub(crate) fn script(
    mock: &Mock,
    request: &Request,
    render: &Render<'_>,
    request_id: &str,
) -> Result<Scripted, Refusal> {
    let mut adjusted = Adjusted::new(render.hints);
    fitness::check(request, render, &mut adjusted)?;
    let limit = render.limit(request.max_tokens, &mut adjusted);
    let script = failure(mock, request_id).unwrap_or_else(|| answer(mock, request, render, limit));
    Ok(Scripted { script, adjusted: adjusted.into_items() })
}

/// The script of embeddings: vectors that depend on their texts alone.
///
/// # Errors
/// A member that nobody knows.
pub(crate) fn embed(
    mock: &Mock,
    request: &embeddings::Request,
    model: &str,
    request_id: &str,
) -> Result<MockScript, Refusal> {
    if let Some(foreign) = request.foreign.first() {
        return Err(fitness::unsupported(&foreign.path, "is unknown"));
    }
    if let Some(failure) = failure(mock, request_id) {
        return Ok(failure);
    }
    let length = request.dimensions.unwrap_or(DIMENSIONS);
    let vectors = request.inputs.iter().map(|text| vector(text, length)).collect();
    let prompt = request.inputs.iter().fold(Tokens(0), |sum, text| sum.saturating_add(count(text)));
    let body = embeddings::encode(vectors, request.encoding, model, prompt);
    let usage = Usage { prompt: Some(prompt), output: Some(Tokens(0)), ..Usage::default() };
    Ok(MockScript::Body { after: mock.first_token_delay, body, usage })
}

/// Whether this request is one of those that fail: drawn from its id, so that the same id has the same fate.
fn failure(mock: &Mock, request_id: &str) -> Option<MockScript> {
    let digest = Sha256::digest(request_id);
    let draw = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) % 100;
    let fails = draw < u64::from(mock.fail_percent);
    fails.then_some(MockScript::Failure { after: mock.first_token_delay, status: mock.status })
}

fn answer(mock: &Mock, request: &Request, render: &Render<'_>, limit: Option<Tokens>) -> MockScript {
    let call = forced_call(request);
    let text = match (&mock.reply, &call) {
        (_, Some(_)) => String::new(),
        (MockReply::Echo, None) => last_words(request),
        (MockReply::Text(text), None) => text.clone(),
    };
    let mut tokens = split(&text);
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit.0).unwrap_or(usize::MAX));
    let is_cut = tokens.len() > limit;
    tokens.truncate(limit);
    let stop = match (&call, is_cut) {
        (Some(_), _) => Stop::Tools,
        (None, true) => Stop::Length,
        (None, false) => Stop::Complete,
    };
    let output = if call.is_some() { 1 } else { tokens.len() };
    let usage = Usage {
        prompt: Some(prompt_tokens(request)),
        output: Some(Tokens(u64::try_from(output).unwrap_or(u64::MAX))),
        ..Usage::default()
    };
    let block = call.unwrap_or(Block::Text);
    let model = Some(render.target.model_name.as_str().to_owned());
    let first = vec![Event::Start { id: None, model }, Event::BlockStart { index: 0, block }];
    let last = vec![Event::BlockStop { index: 0 }, Event::Usage(usage), Event::Stop(stop), Event::End];
    MockScript::Events(timed(mock, first, &tokens, last))
}

/// The tool that the request insists on. The Mock calls it without arguments.
fn forced_call(request: &Request) -> Option<Block> {
    let tool = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => request.tools.iter().find(|tool| tool.name == *name),
        Some(ToolChoice::Required) => request.tools.first(),
        Some(ToolChoice::Auto | ToolChoice::None) | None => None,
    };
    // Without an id of its own: the client's is made from the request's, and is thus the same each time.
    tool.map(|tool| Block::Tool { id: String::new(), name: tool.name.clone() })
}

/// The events, each at its time: the first token after its delay, the others at the Mock's speed.
fn timed(
    mock: &Mock,
    mut first: Vec<Event>,
    tokens: &[&str],
    mut last: Vec<Event>,
) -> Vec<(Duration, Vec<Event>)> {
    let step = match mock.tokens_per_second {
        0 => Duration::ZERO,
        speed => Duration::from_secs(1) / speed,
    };
    let mut moments = Vec::with_capacity(tokens.len().max(1));
    for (index, token) in tokens.iter().enumerate() {
        let mut events = std::mem::take(&mut first);
        events.push(Event::Delta { index: 0, text: (*token).to_owned() });
        let steps = u32::try_from(index).unwrap_or(u32::MAX);
        moments.push((mock.first_token_delay.saturating_add(step.saturating_mul(steps)), events));
    }
    match moments.last_mut() {
        Some((_, events)) => events.append(&mut last),
        None => {
            first.append(&mut last);
            moments.push((mock.first_token_delay, first));
        }
    }
    moments
}

/// The text of the user's last message.
fn last_words(request: &Request) -> String {
    let mut users = request.turns.iter().rev().filter(|turn| turn.role == Role::User);
    let parts = users.next().map_or(&[][..], |turn| &turn.parts);
    let text = |part: &Part| if let Part::Text(text) = part { Some(text.clone()) } else { None };
    parts.iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

/// Text in tokens: words, each with the blanks before it. Put together again they are the text.
fn split(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let (mut start, mut chars, mut in_word) = (0, 0, false);
    for (index, character) in text.char_indices() {
        let ends = in_word && (character.is_whitespace() || chars == TOKEN_CHARS);
        if ends {
            tokens.extend(text.get(start..index));
            (start, chars) = (index, 0);
        }
        in_word = !character.is_whitespace();
        chars += 1;
    }
    tokens.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    tokens
}

fn count(text: &str) -> Tokens {
    Tokens(u64::try_from(split(text).len()).unwrap_or(u64::MAX))
}

/// All words of the request: what is not text costs nothing here.
fn prompt_tokens(request: &Request) -> Tokens {
    let parts = request.turns.iter().flat_map(|turn| &turn.parts);
    parts.fold(Tokens(0), |sum, part| sum.saturating_add(part_tokens(part)))
}

fn part_tokens(part: &Part) -> Tokens {
    match part {
        Part::Text(text) | Part::Reasoning { text, .. } => count(text),
        Part::ToolCall { arguments, .. } => count(arguments.get()),
        Part::ToolResult { parts, .. } => {
            parts.iter().fold(Tokens(0), |sum, part| sum.saturating_add(part_tokens(part)))
        }
        Part::Image(_) | Part::Document(_) | Part::CachePoint(_) | Part::Opaque { .. } => Tokens(0),
    }
}

/// A vector of length one.
fn vector(text: &str, length: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    let mut block = Sha256::digest(text);
    while values.len() < length {
        let words = block.iter().take(length - values.len());
        values.extend(words.map(|byte| f32::from(*byte) - 127.5));
        block = Sha256::digest(block);
    }
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= norm);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mock() -> Mock {
        Mock {
            reply: MockReply::Echo,
            first_token_delay: Duration::from_millis(20),
            tokens_per_second: 100,
            fail_percent: 0,
            status: 503,
        }
    }

    #[test]
    fn tokens_are_words_and_put_together_the_text() {
        assert_eq!(split("two words"), ["two", " words"]);
        assert_eq!(split("  lead and trail "), ["  lead", " and", " trail", " "]);
        assert_eq!(split(""), Vec::<&str>::new());
        let long = "ü".repeat(40);
        assert_eq!(split(&long).len(), 3);
        assert_eq!(split(&long).concat(), long);
    }

    #[test]
    fn the_first_token_has_a_delay_and_the_others_a_speed() {
        let moments = timed(&mock(), vec![Event::Ping], &["a", " b", " c"], vec![Event::End]);
        let times: Vec<u128> = moments.iter().map(|(time, _)| time.as_millis()).collect();
        assert_eq!(times, [20, 30, 40]);
        assert_eq!(moments[2].1.last(), Some(&Event::End));
        assert_eq!(timed(&mock(), vec![], &[], vec![Event::End]).len(), 1);
    }

    #[test]
    fn the_same_share_fails_each_time() {
        let mock = Mock { fail_percent: 30, ..mock() };
        let fails = |id: u32| failure(&mock, &format!("request-{id}")).is_some();
        let count = (0..1_000).filter(|id| fails(*id)).count();
        assert!((250..350).contains(&count), "{count} of 1000");
        assert_eq!((0..1_000).filter(|id| fails(*id)).count(), count);
        assert!(failure(&Mock { fail_percent: 0, ..mock.clone() }, "request-1").is_none());
        let all = Mock { fail_percent: 100, ..mock };
        assert!((0..100).all(|id| failure(&all, &format!("request-{id}")).is_some()));
    }

    #[test]
    fn equal_texts_have_equal_vectors_of_length_one() {
        let one = vector("a text", 100);
        assert_eq!(one, vector("a text", 100));
        assert_ne!(one, vector("another", 100));
        assert!((one.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

//! Which codec reads and writes an exchange.

use bytes::Bytes;
use chaperone_protocol::adapter::{Adapter, Capability, Dialect};
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::Mock;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::forward::StreamUsage;
use super::{Answer, Ask, Exchange, Exchanged, Failure, Mode, Outgoing, StreamOptions};
use crate::adapter;
use crate::adapter::mock::{self, Scripted};
use crate::dialect::{self, Decode, Drift, Encode, Origin, Reading, Rendered, Reply, recall};
use crate::dialect::{anthropic, openai};
use crate::json::{self, ELSEWHERE, Edit, Map, ROOT, Rule, Skim, Want};
use crate::neutral::{Event, Usage};
use crate::passthrough::headers;
use crate::refusal::Refusal;
use crate::sse;

/// Writes a request anew, in its partner's dialect.
///
/// # Errors
/// The request is not one of its dialect, or the target cannot carry it.
pub(super) fn translate(ask: &Ask<'_>) -> Result<Exchanged, Refusal> {
    // The bytes of the answer are ours to build anyway, so a stream is asked for wherever there is one: a partner
    // that hangs is then found out by its first token.
    let can_stream = ask.render(Mode::Stream).can(Capability::Streaming);
    let mode = if can_stream { Mode::Stream } else { Mode::Whole };
    let mut request = dialect::decode_request(ask.prompt.api(), ask.prompt.body())?;
    recall::restore(&mut request, &Origin::of(ask.target), ask.recall);
    let render = ask.render(mode);
    let partner = &ask.target.partner;
    let Rendered { body, adjusted, reading } = match partner.adapter {
        Adapter::Anthropic => anthropic::encode_request(&request, &render)?,
        Adapter::OpenAI | Adapter::Mock => openai::encode_request(&request, &render)?,
    };
    let outgoing = Outgoing {
        path: adapter::path(partner, ask.prompt.api()),
        headers: headers::for_translation(ask, mode),
        body: without_options(ask, body.into()),
        mode,
    };
    let encode = recall::keeping(encoder(ask), Origin::of(ask.target), ask.request_id, ask.recall);
    let answer = Answer::encoded(ask, mode, translator(partner.adapter, reading), encode);
    Ok(Exchanged { exchange: Exchange::Partner(outgoing, answer), adjusted })
}

/// A rendered body, without `stream_options` where the partner does not know it.
fn without_options(ask: &Ask<'_>, body: Bytes) -> Vec<Bytes> {
    const OPTIONS: Map = Map {
        rules: &[Rule { at: ROOT, key: "stream_options", then: ELSEWHERE, want: Want::Range }],
        elements: &[],
    };
    let skim = match ask.stream_options {
        StreamOptions::Taken => Skim::default(),
        // What we wrote ourselves is JSON.
        StreamOptions::Refused => json::skim(&body, &OPTIONS).unwrap_or_default(),
    };
    let edits = skim.members.iter().map(|options| Edit::cut(&body, options)).collect();
    json::splice(&body, edits)
}

/// Has a request answered by the Mock adapter.
///
/// # Errors
/// As [`translate`].
pub(super) fn play(ask: &Ask<'_>, mock: &Mock) -> Result<Exchanged, Refusal> {
    let body = ask.prompt.body();
    if ask.prompt.api() == ClientApi::Embeddings {
        let request = openai::embeddings::decode_request(body)?;
        let script = mock::embed(mock, &request, ask.target.model_name.as_str(), ask.request_id)?;
        let answer = Answer::forwarded(ask, Mode::Whole, StreamUsage::Keep, accountant(ask));
        return Ok(Exchanged { exchange: Exchange::Mock(script, answer), adjusted: Vec::new() });
    }
    let request = dialect::decode_request(ask.prompt.api(), body)?;
    let Scripted { script, adjusted } =
        mock::script(mock, &request, &ask.render(Mode::Stream), ask.request_id)?;
    Ok(Exchanged { exchange: Exchange::Mock(script, assembled(ask)), adjusted })
}

/// An answer that comes in pieces and is written anew: from a stream of the same dialect, or from a script.
pub(crate) fn assembled(ask: &Ask<'_>) -> Answer {
    let decode = translator(ask.target.partner.adapter, Reading::default());
    Answer::encoded(ask, Mode::Stream, decode, encoder(ask))
}

/// Reads an answer that passes through, for what it costs and whether it is complete.
pub(crate) fn accountant(ask: &Ask<'_>) -> Box<dyn Decode + Send> {
    match (ask.target.partner.adapter.dialect(), ask.prompt.api()) {
        (Dialect::Anthropic, ClientApi::CountTokens) => Box::new(Count),
        (Dialect::Anthropic, _) => Box::new(anthropic::Decoder::accounting()),
        (Dialect::OpenAi | Dialect::Neutral, api) => {
            let list = if api == ClientApi::Embeddings { List::Data } else { List::Choices };
            Box::new(Listed { list, decode: openai::Decoder::accounting() })
        }
    }
}

fn translator(adapter: Adapter, reading: Reading) -> Box<dyn Decode + Send> {
    match adapter {
        Adapter::Anthropic => Box::new(anthropic::Decoder::translating(reading)),
        Adapter::OpenAI | Adapter::Mock => Box::new(openai::Decoder::translating(reading)),
    }
}

fn encoder(ask: &Ask<'_>) -> Box<dyn Encode + Send> {
    dialect::encoder(
        ask.prompt.api(),
        Reply {
            mode: ask.prompt.mode(),
            request_id: ask.request_id.to_owned(),
            created: ask.created,
            model: ask.target.model_name.as_str().to_owned(),
            usage: ask.prompt.usage(),
            prompt_estimate: ask.prompt.likely_tokens(),
            origin: Origin::of(ask.target),
            correlation_id: Some(ask.correlation_id.to_owned()),
            attempts: Some(ask.attempt),
        },
    )
}

/// Reads answers of OpenAI's dialect, which endpoints tell apart by the list that the body must have.
#[derive(Debug)]
struct Listed {
    list: List,
    decode: openai::Decoder,
}

/// The list that a body must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Choices,
    Data,
}

#[derive(Deserialize)]
struct Lists<'a> {
    #[serde(borrow, default)]
    choices: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl Decode for Listed {
    fn event(&mut self, event: &sse::Event<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        self.decode.event(event, out)
    }

    fn whole(&mut self, body: &[u8], out: &mut Vec<Event>) -> Result<(), Failure> {
        self.decode.whole(body, out)?;
        let Lists { choices, data } = serde_json::from_slice(body).map_err(|_| protocol())?;
        let list = match self.list {
            List::Choices => choices,
            List::Data => data,
        };
        let has_list = list.is_some_and(|list| list.get().starts_with('['));
        if has_list { Ok(()) } else { Err(protocol()) }
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<(), Failure> {
        self.decode.end(out)
    }

    fn drift(&mut self) -> Vec<Drift> {
        self.decode.drift()
    }
}

fn protocol() -> Failure {
    Failure::new(Reason::PartnerProtocol)
}

/// Reads the answer of `count_tokens`. It costs nothing, so it has no usage.
#[derive(Debug)]
struct Count;

#[derive(Deserialize)]
struct Counted {
    #[expect(dead_code, reason = "only its presence and its type matter")]
    input_tokens: u64,
}

impl Decode for Count {
    fn event(&mut self, _event: &sse::Event<'_>, _out: &mut Vec<Event>) -> Result<(), Failure> {
        Err(protocol())
    }

    fn whole(&mut self, body: &[u8], out: &mut Vec<Event>) -> Result<(), Failure> {
        let counted: Result<Counted, _> = serde_json::from_slice(body);
        counted.map_err(|_| protocol())?;
        out.push(Event::Usage(Usage::default()));
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<Event>) -> Result<(), Failure> {
        Err(protocol())
    }

    fn drift(&mut self) -> Vec<Drift> {
        Vec::new()
    }
}

//! One pair of a client and a partner, with everything set that the codecs want to know.

use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::adapter::{Adapter, ApiVersion};
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::snapshot::{
    AddressPolicy, MaxTokens, Mock, MockReply, Model, Partner, Protection, Target, Timeouts, Tls,
};
use chaperone_protocol::units::Tokens;

use super::lines::pretty;
use crate::adapter::mock::{self, MockScript};
use crate::dialect::openai::embeddings;
use crate::dialect::{
    self, Decode, Encode, Facts, Hints, Instructions, LaterInstructions, Origin, Reading, Render, Rendered,
    Reply, Sampling, Thinking, TokenLimit, UsageChunk, anthropic, openai,
};
use crate::exchange::{Failure, Mode};
use crate::neutral::Event;
use crate::sse;

const REQUEST_ID: &str = "0b7c1f0e";

pub(super) struct Cell {
    api: ClientApi,
    adapter: Adapter,
    target: Target,
}

impl Cell {
    pub(super) fn new(api: ClientApi, adapter: Adapter) -> Self {
        Self { api, adapter, target: target(adapter) }
    }

    /// What the partner gets, by the suffix of its file. A Mock answers at once.
    pub(super) fn request(&self, stem: &str, body: &[u8]) -> Vec<(&'static str, String)> {
        if self.api == ClientApi::Embeddings {
            return vec![("-whole.out", self.embeddings(body))];
        }
        let request = dialect::decode_request(self.api, body).unwrap();
        let is_older = stem == "request-older";
        let render = Render {
            target: &self.target,
            facts: if is_older { older_facts() } else { facts(self.adapter) },
            max_tokens: MaxTokens { default: Some(Tokens(1024)), cap: Some(Tokens(4096)) },
            api_version: if is_older { ApiVersion::V20230601 } else { ApiVersion::V20261021 },
            mode: if body_streams(body) { Mode::Stream } else { Mode::Whole },
            hints: Hints::Named,
        };
        let rendered = match self.adapter {
            Adapter::OpenAI => openai::encode_request(&request, &render),
            Adapter::Anthropic => anthropic::encode_request(&request, &render),
            Adapter::Mock => {
                let scripted = mock::script(&mocked(), &request, &render, REQUEST_ID).unwrap();
                return self.played(&scripted.script, &scripted.adjusted);
            }
        };
        let Rendered { body, adjusted, reading } = rendered.unwrap();
        let mut text = pretty(&String::from_utf8(body).unwrap());
        text.push_str(&format!("-- adjusted: {}\n", adjusted.join(", ")));
        text.push_str(&format!("-- renamed: {:?}\n-- text tool: {:?}\n", reading.names, reading.text_tool));
        vec![(".out", text)]
    }

    fn played(&self, script: &MockScript, adjusted: &[String]) -> Vec<(&'static str, String)> {
        let MockScript::Events(moments) = script else { panic!("the Mock did not answer") };
        let events: Vec<Event> = moments.iter().flat_map(|(_, events)| events.clone()).collect();
        let adjusted = format!("-- adjusted: {}\n", adjusted.join(", "));
        let whole = pretty(&self.encode(Mode::Whole, &events)) + &adjusted;
        if self.api == ClientApi::Infer {
            return vec![("-whole.out", whole)];
        }
        vec![("-whole.out", whole), ("-stream.out", self.encode(Mode::Stream, &events) + &adjusted)]
    }

    fn embeddings(&self, body: &[u8]) -> String {
        let request = embeddings::decode_request(body).ok().unwrap();
        let script = mock::embed(&mocked(), &request, self.target.model_name.as_str(), REQUEST_ID).unwrap();
        let MockScript::Body { body, .. } = script else { panic!("the Mock did not answer") };
        pretty(&String::from_utf8(body).unwrap())
    }

    fn encode(&self, mode: Mode, events: &[Event]) -> String {
        let mut encoder = self.encoder(mode);
        let mut out = Vec::new();
        events.iter().for_each(|event| encoder.event(event, &mut out).unwrap());
        String::from_utf8(out).unwrap()
    }

    /// What the client gets for a partner's answer: a body if it begins like one, else a stream.
    pub(super) fn answer(&self, answer: &str) -> String {
        if answer.starts_with('{') {
            self.whole(answer.as_bytes())
        } else {
            self.stream(&[answer.as_bytes()])
        }
    }

    fn whole(&self, body: &[u8]) -> String {
        let mut decoder = self.decoder();
        let mut events = Vec::new();
        let outcome = decoder.whole(body, &mut events);
        let text = match outcome {
            Ok(()) => pretty(&self.encode(Mode::Whole, &events)),
            Err(failure) => failed(&failure),
        };
        text + &drifted(decoder.as_mut())
    }

    pub(super) fn stream(&self, chunks: &[&[u8]]) -> String {
        let (mut decoder, mut encoder) = (self.decoder(), self.encoder(Mode::Stream));
        let (mut frames, mut out) = (sse::Decoder::default(), Vec::new());
        let mut outcome = Ok(());
        for chunk in chunks {
            frames.push(chunk);
            while let (Ok(()), Some(piece)) = (&outcome, frames.next().unwrap()) {
                outcome = feed(&piece, decoder.as_mut(), encoder.as_mut(), &mut out);
            }
        }
        if let (Ok(()), Some(piece)) = (&outcome, frames.finish().unwrap()) {
            outcome = feed(&piece, decoder.as_mut(), encoder.as_mut(), &mut out);
        }
        let mut events = Vec::new();
        let outcome = outcome.and_then(|()| decoder.end(&mut events));
        events.iter().for_each(|event| encoder.event(event, &mut out).unwrap());
        let mut text = String::from_utf8(out).unwrap();
        if let Err(failure) = outcome {
            text.push_str(&failed(&failure));
        }
        text + &drifted(decoder.as_mut())
    }

    fn decoder(&self) -> Box<dyn Decode> {
        let names = [("maps_distance_db3e3d72".to_owned(), "maps.distance".to_owned())];
        let reading = Reading { names: names.into(), text_tool: None };
        match self.adapter {
            Adapter::OpenAI => Box::new(openai::Decoder::translating(reading)),
            Adapter::Anthropic => Box::new(anthropic::Decoder::translating(reading)),
            Adapter::Mock => panic!("a Mock's answer is not decoded"),
        }
    }

    fn encoder(&self, mode: Mode) -> Box<dyn Encode> {
        let mut encoder = dialect::encoder(
            self.api,
            Reply {
                mode,
                request_id: REQUEST_ID.to_owned(),
                created: 1_790_000_000,
                model: self.target.model_name.as_str().to_owned(),
                usage: UsageChunk::Wanted,
                prompt_estimate: Tokens(40),
                origin: Origin::of(&self.target),
                correlation_id: Some("order-4711".to_owned()),
                attempts: Some(2),
            },
        );
        encoder.elapsed(Duration::from_millis(1234));
        encoder
    }
}

fn feed(
    piece: &sse::Piece,
    decoder: &mut dyn Decode,
    encoder: &mut dyn Encode,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let sse::Piece::Frame(frame) = piece else { return Ok(()) };
    let Some(event) = frame.event() else { return Ok(()) };
    let mut events = Vec::new();
    let outcome = decoder.event(&event, &mut events);
    events.iter().for_each(|event| encoder.event(event, out).unwrap());
    outcome
}

fn failed(failure: &Failure) -> String {
    format!("-- failure: {}\n", failure.reason.code())
}

fn drifted(decoder: &mut dyn Decode) -> String {
    let kinds: Vec<&str> = decoder.drift().into_iter().map(dialect::Drift::as_str).collect();
    format!("-- drift: {}\n", kinds.join(", "))
}

fn body_streams(body: &[u8]) -> bool {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["stream"] == true
}

fn target(adapter: Adapter) -> Target {
    let (partner, name) = match adapter {
        Adapter::OpenAI => ("partner-alpha", "gpt-5.4-mini"),
        Adapter::Anthropic => ("partner-beta", "claude-opus-5-5"),
        Adapter::Mock => ("partner-mock", "parrot"),
    };
    let model = Model {
        context_tokens: None,
        max_output_tokens: None,
        capabilities: Default::default(),
        price: None,
        first_token: None,
    };
    let partner = Partner {
        name: partner.parse().unwrap(),
        adapter,
        endpoint: None,
        addresses: AddressPolicy::default(),
        credential: None,
        api_version: ApiVersion::default(),
        tls: Tls::default(),
        schema_version: None,
        models: Default::default(),
        timeouts: Timeouts::default(),
        protection: Protection::default(),
        http: Default::default(),
        health_check: None,
        mock: None,
    };
    Target { partner: Arc::new(partner), model_name: name.parse().unwrap(), model }
}

fn mocked() -> Mock {
    Mock {
        reply: MockReply::Echo,
        first_token_delay: Duration::from_millis(20),
        tokens_per_second: 0,
        fail_percent: 0,
        status: 503,
    }
}

/// A current model of each partner.
fn facts(adapter: Adapter) -> Facts {
    match adapter {
        Adapter::OpenAI => Facts {
            token_limit: TokenLimit::MaxCompletionTokens,
            instructions: Instructions::Developer,
            efforts: &["none", "low", "medium", "high"],
            ..mock::FACTS
        },
        Adapter::Anthropic => Facts {
            thinking: Thinking::Always,
            efforts: &["low", "medium", "high", "xhigh", "max"],
            sampling: Sampling::Rejected,
            ..mock::FACTS
        },
        Adapter::Mock => mock::FACTS,
    }
}

/// A model of an older family: it samples, does not think, and takes instructions only at the beginning.
fn older_facts() -> Facts {
    Facts {
        later_instructions: LaterInstructions::Hoisted,
        thinking: Thinking::Never,
        efforts: &[],
        sampling: Sampling::Either,
        ..mock::FACTS
    }
}

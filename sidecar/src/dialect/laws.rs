//! Laws that hold for every answer: what an encoder writes, the decoder of its dialect reads back.

use std::sync::Arc;

use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::units::Tokens;
use proptest::prelude::*;

use super::draft::{Draft, Keep};
use super::order::Order;
use super::tally::{Tally, Totals};
use super::{Decode, Encode, Origin, Reading, Reply, UsageChunk, anthropic, infer, openai, slot};
use crate::exchange::Mode;
use crate::neutral::{Block, Event, Stop, Usage};
use crate::sse;

/// An answer, block by block, each in pieces.
#[derive(Debug, Clone)]
struct Answer {
    blocks: Vec<(Block, Vec<String>, Option<String>)>,
    usage: Usage,
    cut: bool,
}

fn pieces() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-zü\"\\\\\n🦀 ]{1,6}", 1..4)
}

fn block() -> impl Strategy<Value = (Block, Vec<String>, Option<String>)> {
    let arguments = prop_oneof![
        Just(Vec::new()),
        Just(vec!["{\"a\": ".to_owned(), "0.70, \"b\":".to_owned(), " [null]}".to_owned()]),
    ];
    let tool = ("[a-z]{1,8}", "[a-z_]{1,8}", arguments)
        .prop_map(|(id, name, arguments)| (Block::Tool { id, name }, arguments, None));
    prop_oneof![
        pieces().prop_map(|texts| (Block::Text, texts, None)),
        (pieces(), "[A-Za-z0-9+/=:]{1,9}").prop_map(|(texts, signature)| (
            Block::Reasoning,
            texts,
            Some(signature)
        )),
        "[A-Za-z0-9+/=:]{1,9}".prop_map(|data| (Block::Opaque { data }, Vec::new(), None)),
        tool,
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let counts = (0_u64..1 << 40, 0_u64..1 << 40, 0_u64..1 << 40, 1_u64..1 << 40, any::<bool>());
    (prop::collection::vec(block(), 1..6), counts, any::<bool>()).prop_map(
        |(blocks, (fresh, cached, written, output, thinks), cut)| {
            let usage = Usage {
                prompt: Some(Tokens(fresh + cached + written)),
                cached: Some(Tokens(cached)),
                cache_written: Some(Tokens(written)),
                output: Some(Tokens(output)),
                reasoning: thinks.then_some(Tokens(output / 2)),
            };
            Answer { blocks, usage, cut }
        },
    )
}

impl Answer {
    fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Start { id: None, model: Some("model".to_owned()) }];
        for (index, (block, texts, signature)) in self.blocks.iter().enumerate() {
            events.push(Event::BlockStart { index, block: block.clone() });
            events.extend(texts.iter().map(|text| Event::Delta { index, text: text.clone() }));
            events.extend(signature.clone().map(|signature| Event::Signature { index, signature }));
            events.push(Event::BlockStop { index });
        }
        let calls = self.blocks.iter().any(|(block, ..)| matches!(block, Block::Tool { .. }));
        let stop = match (self.cut, calls) {
            (true, _) => Stop::Length,
            (false, true) => Stop::Tools,
            (false, false) => Stop::Complete,
        };
        events.extend([Event::Usage(self.usage), Event::Stop(stop), Event::End]);
        events
    }
}

fn origin() -> Origin {
    Origin { dialect: Dialect::Neutral, partner: "partner-beta".to_owned() }
}

fn reply(mode: Mode) -> Reply {
    Reply {
        mode,
        request_id: "request".to_owned(),
        created: 0,
        model: "model".to_owned(),
        usage: UsageChunk::Wanted,
        prompt_estimate: Tokens(0),
        origin: origin(),
        correlation_id: None,
        attempts: None,
    }
}

fn encode(mut encoder: impl Encode, events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out).unwrap());
    out
}

fn decode_stream(mut decoder: impl Decode, bytes: &[u8]) -> Vec<Event> {
    let (mut frames, mut events) = (sse::Decoder::default(), Vec::new());
    frames.push(bytes);
    while let Some(piece) = frames.next().unwrap() {
        if let sse::Piece::Frame(frame) = &piece
            && let Some(event) = frame.event()
        {
            decoder.event(&event, &mut events).unwrap();
        }
    }
    decoder.end(&mut events).unwrap();
    assert_eq!(decoder.drift(), []);
    events
}

fn decode_whole(mut decoder: impl Decode, bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    decoder.whole(bytes, &mut events).unwrap();
    assert_eq!(decoder.drift(), []);
    events
}

/// What an answer says, however it was cut into events.
#[derive(Debug, PartialEq)]
struct Outline {
    blocks: Vec<(Block, String, Option<String>)>,
    stop: Option<Stop>,
    totals: Totals,
}

fn outline(events: &[Event]) -> Outline {
    let (mut draft, mut tally, mut order) = (Draft::new(Keep::All), Tally::new(Tokens(0)), Order::new());
    let mut stop = None;
    for event in events {
        assert!(order.admit(event), "{event:?} is out of order");
        draft.take(event).unwrap();
        tally.take(event);
        if let Event::Stop(reason) = event {
            stop = Some(*reason);
        }
    }
    let unseal = |text: &str| slot::open(text, &origin()).unwrap_or(text).to_owned();
    let blocks = draft.pieces().map(|piece| {
        let block = match &piece.block {
            Block::Opaque { data } => Block::Opaque { data: unseal(data) },
            other => other.clone(),
        };
        let is_tool = matches!(block, Block::Tool { .. });
        let text = if is_tool && piece.text.is_empty() { "{}".to_owned() } else { piece.text.clone() };
        (block, text, piece.signature.as_deref().map(unseal))
    });
    Outline { blocks: blocks.collect(), stop, totals: tally.totals() }
}

/// What a chat can say: one text, one line of thought, and calls.
fn chat_outline(events: &[Event]) -> (String, String, Vec<(Block, String)>, Option<Stop>, Totals) {
    let Outline { blocks, stop, totals } = outline(events);
    let text = |wanted: Block| {
        blocks.iter().filter(|(block, ..)| *block == wanted).map(|(_, text, _)| text.as_str()).collect()
    };
    let calls = blocks.iter().filter(|(block, ..)| matches!(block, Block::Tool { .. }));
    let calls = calls.map(|(block, text, _)| (block.clone(), text.clone())).collect();
    (text(Block::Text), text(Block::Reasoning), calls, stop, totals)
}

proptest! {
    #[test]
    fn a_message_is_read_back_as_it_was_written(answer in answer()) {
        let events = answer.events();
        let stream = encode(anthropic::Encoder::new(reply(Mode::Stream)), &events);
        let whole = encode(anthropic::Encoder::new(reply(Mode::Whole)), &events);
        let reading = Reading::default();
        let streamed = decode_stream(anthropic::Decoder::translating(reading.clone()), &stream);
        prop_assert_eq!(outline(&streamed), outline(&events));
        prop_assert_eq!(outline(&decode_whole(anthropic::Decoder::translating(reading), &whole)), outline(&events));
    }

    #[test]
    fn a_chat_is_read_back_as_it_was_written(answer in answer()) {
        let events = answer.events();
        let has_words = answer.blocks.iter().any(|(block, ..)| !matches!(block, Block::Opaque { .. }));
        prop_assume!(has_words);
        let stream = encode(openai::Encoder::new(reply(Mode::Stream)), &events);
        let whole = encode(openai::Encoder::new(reply(Mode::Whole)), &events);
        let streamed = decode_stream(openai::Decoder::translating(Reading::default()), &stream);
        prop_assert_eq!(chat_outline(&streamed), chat_outline(&events));
        let read = decode_whole(openai::Decoder::translating(Reading::default()), &whole);
        prop_assert_eq!(chat_outline(&read), chat_outline(&events));
        let accounted = decode_stream(openai::Decoder::accounting(), &stream);
        prop_assert_eq!(chat_outline(&accounted), chat_outline(&events));
    }

    #[test]
    fn an_answer_of_infer_is_what_its_schema_says(answer in answer()) {
        let body = encode(infer::Encoder::new(reply(Mode::Whole)), &answer.events());
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let schemas = infer::schemas(chaperone_protocol::adapter::Adapter::Mock, "alias", None);
        let schemas: serde_json::Value = serde_json::from_slice(&schemas).unwrap();
        infer::conforms(&body, &schemas["response"]);
    }

    #[test]
    fn whatever_a_partner_sends_events_keep_their_order(lines in prop::collection::vec(frame(), 0..12)) {
        let lines: Arc<[String]> = lines.into();
        let decoders: [Box<dyn Decode>; 4] = [
            Box::new(openai::Decoder::translating(Reading::default())),
            Box::new(openai::Decoder::accounting()),
            Box::new(anthropic::Decoder::translating(Reading::default())),
            Box::new(anthropic::Decoder::accounting()),
        ];
        for mut decoder in decoders {
            let mut events = Vec::new();
            for data in lines.iter() {
                if decoder.event(&sse::Event { event: None, data }, &mut events).is_err() {
                    break;
                }
            }
            let mut order = Order::new();
            prop_assert!(events.iter().all(|event| order.admit(event)));
        }
    }
}

/// Frames of both dialects, in any order and with any index.
fn frame() -> impl Strategy<Value = String> {
    let place = 0_u8..3;
    let kind = prop_oneof![
        Just(r#"{"type":"text","text":"a"}"#),
        Just(r#"{"type":"thinking","thinking":""}"#),
        Just(r#"{"type":"tool_use","id":"i","name":"n","input":{}}"#),
        Just(r#"{"type":"server_tool_use"}"#),
    ];
    let delta = prop_oneof![
        Just(r#"{"type":"text_delta","text":"b"}"#),
        Just(r#"{"type":"input_json_delta","partial_json":"{}"}"#),
        Just(r#"{"type":"signature_delta","signature":"s"}"#),
    ];
    let chat = prop_oneof![
        Just(r#"{"content":"c"}"#.to_owned()),
        Just(r#"{"reasoning_content":"r"}"#.to_owned()),
        place.clone().prop_map(|place| {
            format!(
                r#"{{"tool_calls":[{{"index":{place},"id":"i","function":{{"name":"n","arguments":"x"}}}}]}}"#
            )
        }),
    ];
    prop_oneof![
        Just(
            r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}"#.to_owned()
        ),
        (place.clone(), kind).prop_map(|(place, kind)| {
            format!(r#"{{"type":"content_block_start","index":{place},"content_block":{kind}}}"#)
        }),
        (place.clone(), delta).prop_map(|(place, delta)| {
            format!(r#"{{"type":"content_block_delta","index":{place},"delta":{delta}}}"#)
        }),
        place.prop_map(|place| format!(r#"{{"type":"content_block_stop","index":{place}}}"#)),
        Just(
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#
                .to_owned()
        ),
        Just(r#"{"type":"message_stop"}"#.to_owned()),
        chat.prop_map(|delta| format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#)),
        Just(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_owned()),
        Just(r#"{"choices":[{"index":1,"delta":{"content":"d"},"finish_reason":"stop"}]}"#.to_owned()),
        Just(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#.to_owned()),
        Just("[DONE]".to_owned()),
    ]
}

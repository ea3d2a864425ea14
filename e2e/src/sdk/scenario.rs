//! What the partner answers to each scenario of the SDK clients, in neutral terms.
//!
//! The client puts `[scenario]` into its first prompt; the step that carries this mark answers.
use crate::partner::script::{Block, Body, Reply, Shape, Step, Stop, Usage};
use crate::sdk::Sdk;

/// Text with all that breaks naive code: non-ASCII, an astral character, quotes, a backslash, a line end.
pub const TEXT: &str = "Hello, \"world\" \\ Grüße: 你好 👋\nsecond line";

/// The model that the partner says it is: a dated version, as vendors do, and no name of ours.
pub const SERVED_MODEL: &str = "served-model-2026-11-01";

/// A signature as a vendor makes them: base64 with every special character.
pub const SIGNATURE: &str = "EqQBCkYIARgCKkDx+Zt/8w==";

/// An opaque block of reasoning.
pub const REDACTED: &str = "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIw==";

const BOTH: &[&str] = &[
    "text:whole",
    "text:stream",
    "tools:whole",
    "tools:stream",
    "reasoning:whole",
    "reasoning:stream",
    "image:whole",
    "image:stream",
    "parse:whole",
    "parse:stream",
    "refusal:whole",
    "refusal:stream",
    "length:whole",
    "length:stream",
    "large:whole",
    "large:stream",
    "cancel",
];

/// The scenarios that every partner serves.
#[must_use]
pub fn names(sdk: Sdk) -> Vec<&'static str> {
    let own: &[&str] = match sdk {
        Sdk::OpenAi => &["no_usage"],
        Sdk::Anthropic => &["count_tokens"],
    };
    [BOTH, own].concat()
}

/// Those that only a partner of `OpenAI`'s kind serves.
pub const OPENAI_ONLY: &[&str] = &["embeddings", "completions:whole", "completions:stream"];

/// How many requests the client sends in a scenario.
#[must_use]
pub fn requests(scenario: &str) -> u64 {
    match scenario.split(':').next().unwrap_or_default() {
        "tools" | "reasoning" | "cancel" => 2,
        _ => 1,
    }
}

/// The script for all scenarios.
#[must_use]
pub fn script() -> Vec<Step> {
    let mut steps = Vec::new();
    for mode in ["whole", "stream"] {
        for (name, turns) in scenarios() {
            let mark = format!("[{name}:{mode}]");
            let last = turns.len() - 1;
            steps.extend(turns.into_iter().enumerate().map(|(number, reply)| Step {
                when: Some(mark.clone()),
                times: (number < last).then_some(1),
                body: Body::Reply(reply),
                ..Step::default()
            }));
        }
    }
    steps.push(Step {
        when: Some("[cancel]".to_owned()),
        body: Body::Reply(reply(vec![Block::Text("one two three four".to_owned())])),
        // After the start and the first words, in both dialects.
        shape: Shape { stall_after: Some(5), ..Shape::default() },
        ..Step::default()
    });
    // Embeddings, completions and all else that carries no mode.
    steps.push(Step { body: Body::Reply(reply(vec![Block::Text(TEXT.to_owned())])), ..Step::default() });
    steps
}

/// Name and answers, one per turn.
fn scenarios() -> Vec<(&'static str, Vec<Reply>)> {
    let done = reply(vec![Block::Text("Both are done.".to_owned())]);
    let mut calls = vec![Block::Text("Let me look.".to_owned())];
    calls.extend(two_calls());
    let mut reasoned = vec![
        Block::Thinking { text: "The user wants two things.".to_owned(), signature: SIGNATURE.to_owned() },
        Block::RedactedThinking(REDACTED.to_owned()),
    ];
    reasoned.extend(two_calls());
    let text = || reply(vec![Block::Text(TEXT.to_owned())]);
    let place = Block::Text("{\"city\":\"Paris\",\"country\":\"France\"}".to_owned());
    let refusal = vec![Block::Refusal("I will not help with that.".to_owned())];
    vec![
        ("text", vec![text()]),
        ("tools", vec![reply(calls), done.clone()]),
        ("reasoning", vec![reply(reasoned), done]),
        ("image", vec![reply(vec![Block::Text("A red pixel.".to_owned())])]),
        ("parse", vec![reply(vec![place])]),
        ("refusal", vec![Reply { stop: Some(Stop::Refusal), ..reply(refusal) }]),
        ("length", vec![Reply { stop: Some(Stop::Length), ..text() }]),
        ("large", vec![text()]),
    ]
}

fn two_calls() -> [Block; 2] {
    let call = |id: &str, name: &str, arguments: &str| Block::Tool {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    [
        call("call_A1", "get_weather", "{\"city\":\"Zürich \\\"West\\\"\"}"),
        call("call_B2", "get_time", "{\"zone\":\"Europe/Zurich\"}"),
    ]
}

/// Usage in which no two numbers are equal, so that none can stand for another.
fn reply(blocks: Vec<Block>) -> Reply {
    let usage = Usage { input: 117, output: 59, cached: 41, cache_creation: 0, reasoning: 23 };
    Reply { blocks, usage: Some(usage), model: Some(SERVED_MODEL.to_owned()), ..Reply::default() }
}

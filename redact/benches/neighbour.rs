//! How long a stream waits for a neighbour's prompt of 1 MB with names, on one runtime with one thread.
//!
//! `cargo bench -p chaperone-redact --bench neighbour`. Fails if the stream ever waits for more than 1 ms of the
//! thread's own time, which does not count what other programs take of the machine.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod clock;
mod texts;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use chaperone_redact::ner::Tagger;
use chaperone_redact::{
    Action, Engine, FieldTable, Filter, Policy, PolicySpec, Progress, PseudonymKey, Rules, Vault,
};

/// The step that the sidecar takes where names are looked for.
const STEP: usize = 512;
const PROMPTS: usize = 9;
const LONGEST: Duration = Duration::from_millis(1);

fn main() -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("no runtime")?;
    let mut waits = Vec::new();
    Tagger::embedded()?;
    for at in 0..PROMPTS {
        let content = match at % 4 {
            0 => texts::clean(1 << 20),
            1 => texts::dense(1 << 20),
            // As much as has not too many findings.
            2 => texts::adversarial(100_000),
            _ => serde_json::json!({ "nested": texts::dense(1 << 20) }).to_string(),
        };
        let body = serde_json::json!({"messages": [{"role": "user", "content": content}]}).to_string();
        waits.push(runtime.block_on(longest_wait(&body))?);
    }
    waits.sort_unstable();
    let longest = waits.last().copied().unwrap_or_default();
    println!("a neighbour's longest wait per prompt of 1 MB: {longest:?}, all {waits:?}");
    Ok(if longest <= LONGEST { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The longest time between two turns of a task beside the redaction of `body`.
async fn longest_wait(body: &str) -> Result<Duration> {
    let spec = PolicySpec { filter: Filter::Strict, action: Action::Pseudonym, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).map_err(|_| anyhow::anyhow!("the policy is refused"))?;
    let rules = Rules { policy: &policy, table: FieldTable::OpenAiChat, names: Some(Tagger::embedded()?) };
    let mut vault = Vault::new(PseudonymKey::new([1; 32]), "alpha", "");
    let prompt = async {
        let mut engine = Engine::new(body.as_bytes(), rules, &mut vault);
        while engine.step(STEP)? == Progress::More {
            tokio::task::yield_now().await;
        }
        engine.finish().map(|_| ())
    };
    let stream = async {
        let (mut longest, mut last) = (Duration::ZERO, clock::now());
        loop {
            tokio::task::yield_now().await;
            let turn = clock::now();
            longest = longest.max(turn - last);
            last = turn;
            WAIT.set(longest);
        }
    };
    tokio::select! {
        biased;
        () = stream => {}
        done = prompt => done.context("refused")?,
    }
    Ok(WAIT.take())
}

thread_local! {
    static WAIT: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

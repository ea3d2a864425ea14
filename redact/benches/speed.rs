//! How fast the engine is, beside one automaton of the same rules in the same run.
//!
//! `cargo bench -p chaperone-redact --bench speed`. Rates are best of several, on one core; they differ between
//! machines, so read the last column: how many times the automaton's rate it is.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod texts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chaperone_redact::ner::Tagger;
use chaperone_redact::{
    Action, Engine, FieldTable, Filter, Landing, Policy, PolicySpec, PseudonymKey, Query, Rules,
    StreamRedactor, StreamRestorer, Vault, find, redact_text,
};
use regex_automata::meta;
use regex_automata::util::syntax;

const BYTES: usize = 256 * 1024;
const RUNS: usize = 15;

/// The forms that the engine's rules look for, without checks and context, which the automaton cannot do.
const PATTERNS: [&str; 20] = [
    r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}",
    r"\b[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}\b",
    r"\b3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}\b",
    r"\b[A-Z]{2}[0-9]{2}( ?[A-Z0-9]{4}){2,7}( ?[A-Z0-9]{1,4})?\b",
    r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b",
    r"\+[0-9]{1,3}[ .-]?(\([0-9]{1,4}\)[ .-]?)?[0-9]{2,4}([ .-]?[0-9]{2,4}){1,4}",
    r"(\([0-9]{3}\) ?|\b[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}\b",
    r"\b[0-9]{1,3}(\.[0-9]{1,3}){3}\b",
    r"\b[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{0,4}){2,7}\b",
    r"\b[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}\b",
    r"\b[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2,4}\b",
    r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b",
    r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\bxox[abp]-[A-Za-z0-9-]{10,}",
    r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"\b0x[0-9A-Fa-f]{40}\b",
    r"\b(bc1[a-z0-9]{25,60}|[13][1-9A-HJ-NP-Za-km-z]{25,34})\b",
];

struct Row {
    name: &'static str,
    rate: f64,
    automaton: Option<f64>,
    gate: Option<f64>,
}

fn main() -> Result<()> {
    let spec = PolicySpec { filter: Filter::Strict, action: Action::Pseudonym, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).map_err(|_| anyhow::anyhow!("the policy is refused"))?;
    let policy = Arc::new(policy);
    let automaton = meta::Regex::builder()
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build_many(&PATTERNS)
        .context("a pattern is wrong")?;
    let mut rows = Vec::new();
    for (name, text, gate) in [
        ("clean", texts::clean(BYTES), 300.0),
        ("40 findings in 16 kB", texts::dense(BYTES), 150.0),
        ("adversarial", texts::adversarial(BYTES), 50.0),
    ] {
        rows.push(Row {
            name,
            rate: rate(text.len(), || findings(&text, &policy)),
            automaton: Some(rate(text.len(), || automaton.find_iter(&text).count())),
            gate: Some(gate),
        });
    }
    let clean = texts::clean(BYTES);
    let names = Tagger::embedded()?;
    rows.push(row("with names", Some(5.0), clean.len(), || with_names(&clean, &policy, names)));
    let body =
        serde_json::json!({"messages": [{"role": "user", "content": texts::dense(BYTES)}]}).to_string();
    rows.push(row("JSON body, replaced", None, body.len(), || in_json(&body, &policy)));
    rows.push(row("stream, 20 bytes at a time", None, clean.len(), || in_stream(&clean, &policy)));
    let vault = minted(&policy)?;
    rows.push(row("restore, 100 placeholders", None, clean.len(), || restored(&clean, &vault)));
    println!("{:<28} {:>9} {:>14} {:>8} {:>9}", "", "MB/s", "automaton MB/s", "times", "gate MB/s");
    for row in rows {
        let shown = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let times = row.automaton.map(|automaton| row.rate / automaton);
        let (automaton, times, gate) = (shown(row.automaton, 0), shown(times, 2), shown(row.gate, 0));
        println!("{:<28} {:>9.1} {automaton:>14} {times:>8} {gate:>9}", row.name, row.rate);
    }
    Ok(())
}

fn row(name: &'static str, gate: Option<f64>, bytes: usize, work: impl FnMut() -> usize) -> Row {
    Row { name, rate: rate(bytes, work), automaton: None, gate }
}

/// MB/s of the fastest run.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn rate(bytes: usize, mut work: impl FnMut() -> usize) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        std::hint::black_box(work());
        best = best.min(start.elapsed());
    }
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6 / best.as_secs_f64()
}

fn findings(text: &str, policy: &Policy) -> usize {
    find(text, &Query::new(policy)).map_or(0, |found| found.spans.len())
}

fn with_names(text: &str, policy: &Policy, names: &Tagger) -> usize {
    find(text, &Query { names: Some(names), ..Query::new(policy) }).map_or(0, |found| found.spans.len())
}

fn vault() -> Vault {
    Vault::new(PseudonymKey::new([1; 32]), "alpha", "")
}

fn in_json(body: &str, policy: &Policy) -> usize {
    let rules = Rules { policy, table: FieldTable::OpenAiChat, names: None };
    Engine::new(body.as_bytes(), rules, &mut vault()).finish().map_or(0, |done| done.to_vec().len())
}

fn in_stream(text: &str, policy: &Arc<Policy>) -> usize {
    let (mut stream, mut vault) = (StreamRedactor::new(Arc::clone(policy), None), vault());
    let chunks = text.as_bytes().chunks(20);
    chunks.map(|chunk| stream.push(chunk, &mut vault).map_or(0, |out| out.len())).sum()
}

fn minted(policy: &Policy) -> Result<Vault> {
    let mut vault = vault();
    let values: String = (0..100).map(|at| format!("user{at}@example.org ")).collect();
    let rules = Rules { policy, table: FieldTable::Unknown, names: None };
    redact_text(values.as_bytes(), rules, &mut vault).context("refused")?;
    Ok(vault)
}

fn restored(text: &str, vault: &Vault) -> usize {
    let mut restorer = StreamRestorer::new(vault, Landing::Text);
    text.as_bytes().chunks(20).map(|chunk| restorer.push(chunk).len()).sum()
}

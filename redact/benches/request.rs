//! What redaction adds to a chat request of 4 kB, and to the memory of the process.
//!
//! `cargo bench -p chaperone-redact --bench request`. Balanced, every entity of it, names among them, placeholders: the
//! steps that a sidecar takes for one request, from its body to the bytes that are sent. Time is that of the thread, so
//! that other programs do not count. Memory is measured in a process of its own, before anything is loaded and with the
//! first redacted request at hand. Fails above a limit.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod clock;

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_redact::ner::Tagger;
use chaperone_redact::{
    Action, Engine, FieldTable, Filter, Policy, PolicySpec, Progress, PseudonymKey, Rules, Vault,
};

/// Bytes of a request's body, about.
const BYTES: usize = 4096;
const REQUESTS: usize = 5000;
/// The step that the sidecar takes where names are looked for.
const STEP: usize = 512;
const SLOWEST: Duration = Duration::from_micros(1500);
const MOST_KB: u64 = 7000;

fn main() -> Result<ExitCode> {
    if std::env::args().any(|argument| argument == "memory") {
        println!("{}", added_memory()?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut took = times()?;
    took.sort_unstable();
    let [median, p99] = [50, 99].map(|percent| took[took.len() * percent / 100]);
    println!("{:<44} {:>9} {:>9} {:>9}", "", "p50", "p99", "limit");
    println!("{:<44} {median:>9.0?} {p99:>9.0?} {SLOWEST:>9.1?}", "added to a chat request of 4 kB");
    let child = Command::new(std::env::current_exe()?).arg("memory").output().context("no child")?;
    ensure!(child.status.success(), "the child failed: {}", String::from_utf8_lossy(&child.stderr));
    let added: u64 = String::from_utf8(child.stdout)?.trim().parse().context("the child says no number")?;
    println!("{:<44} {:>9} {added:>6} kB {MOST_KB:>6} kB", "added memory: weights, tables, one request", "");
    Ok(if p99 <= SLOWEST && added <= MOST_KB { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Mail and notes with names, places and numbers between prose and code; all ASCII.
fn correspondence() -> String {
    const PARTS: [&str; 12] = [
        "Dear Ms Lee, Robert Miller from our office in Denver will call you on (212) 555-0187. ",
        "The quarterly review went well, and most of the teams said that the new process helped them to plan ahead.\n",
        "Send it to Maria Gonzalez, 742 Evergreen Terrace, Springfield, IL 62704, before Friday. ",
        "Please summarise the attached document in three short paragraphs, and keep the tone friendly but factual.\n",
        "As Thomas wrote from thomas.weber@example.org, Anna and Peter Smith were born in Chicago. ",
        "fn merge(left: &[u32], right: &[u32]) -> Vec<u32> {\n    let mut all = left.to_vec();\n    all.extend(right);\n    all\n}\n",
        "The card 4111 1111 1111 1111 of John Baker was charged twice; his SSN is 536-22-8726. ",
        "{\"level\":\"info\",\"status\":200,\"path\":\"/v1/items\",\"took_ms\":12,\"retries\":0,\"cache\":\"hit\"}\n",
        "Please ask Priya Patel whether host 203.0.113.7 is hers, or mail ops@example.com. ",
        "We compared 14 variants over 3 weeks; the second one was 12% faster, the rest stayed within 0.5% of it.\n",
        "IBAN DE89 3704 0044 0532 0130 00 belongs to Hans Becker in Hamburg, born 12 March 1985. ",
        "Which of the following statements follows from the text above? Give a reason for each answer.\n",
    ];
    PARTS.concat().repeat(32)
}

/// The time of each request.
fn times() -> Result<Vec<Duration>> {
    let (policy, names) = loaded()?;
    let prose = correspondence();
    let mut took = Vec::with_capacity(REQUESTS);
    for at in 0..REQUESTS {
        let body = body(&prose, at * 97);
        let began = clock::now();
        let sent = redacted(&body, &policy, names)?;
        took.push(clock::now() - began);
        ensure!(sent.len() > BYTES / 2 && sent != body.as_bytes(), "nothing was redacted");
    }
    // The first ones warm caches, as those before them do in a process that serves.
    took.drain(..REQUESTS / 10);
    Ok(took)
}

fn loaded() -> Result<(Policy, &'static Tagger)> {
    let spec = PolicySpec { filter: Filter::Balanced, action: Action::Pseudonym, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).map_err(|_| anyhow::anyhow!("the policy is refused"))?;
    Ok((policy, Tagger::embedded()?))
}

/// A conversation of four turns, cut from `prose` at another place each time.
fn body(prose: &str, from: usize) -> String {
    let turns = ["system", "user", "assistant", "user"].into_iter().enumerate().map(|(turn, role)| {
        let part = BYTES / 4 - 40;
        let from = (from + turn * part) % (prose.len() - part);
        serde_json::json!({ "role": role, "content": prose.get(from..from + part) })
    });
    serde_json::json!({ "model": "small", "messages": turns.collect::<Vec<_>>() }).to_string()
}

fn redacted(body: &str, policy: &Policy, names: &Tagger) -> Result<Vec<u8>> {
    let rules = Rules { policy, table: FieldTable::OpenAiChat, names: Some(names) };
    let mut vault = Vault::new(PseudonymKey::new([1; 32]), "alpha", "");
    let mut engine = Engine::new(body.as_bytes(), rules, &mut vault);
    while engine.step(STEP).context("refused")? == Progress::More {}
    Ok(engine.finish().context("refused")?.to_vec())
}

/// Kilobytes that the first request adds to a process that has loaded nothing yet.
fn added_memory() -> Result<u64> {
    let body = body(&correspondence(), 0);
    let before = resident()?;
    let (policy, names) = loaded()?;
    let sent = redacted(&body, &policy, names)?;
    let after = resident()?;
    drop((policy, sent));
    Ok(after.saturating_sub(before))
}

/// Resident memory of this process in kilobytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")
}

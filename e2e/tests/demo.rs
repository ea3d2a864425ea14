//! `make demo`, as a newcomer runs it: it ends well, and what it shows is what happened.
#![cfg(test)]

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::process::{self, Process};
use chaperone_e2e::settings;
use serde_json::{Value, json};

/// Without the build, which came before.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it must print of the metrics: requests, attempts, tokens and durations.
const METRICS: [&str; 9] = [
    "chaperone_pii_spans_total{action=\"pseudonym\",direction=\"request\",entity=\"PERSON\"} 2",
    "chaperone_requests_total{alias=\"chat\",outcome=\"served\",partner=\"primary\",reason=\"\"} 2",
    "chaperone_requests_total{alias=\"resilient\",outcome=\"served\",partner=\"backup\",reason=\"\"} 1",
    "chaperone_requests_total{alias=\"_none\",outcome=\"refused\",partner=\"_none\",reason=\"tenant_forbidden\"} 1",
    "chaperone_attempts_total{outcome=\"committed\",partner=\"primary\"} 2",
    "chaperone_attempts_total{outcome=\"committed\",partner=\"backup\"} 1",
    "chaperone_fallbacks_total{alias=\"resilient\",from=\"broken\",reason=\"partner_error\",to=\"backup\"} 1",
    "gen_ai_client_operation_duration_seconds_count{alias=\"chat\",partner=\"primary\"} 2",
    "gen_ai_client_operation_duration_seconds_count{alias=\"resilient\",partner=\"backup\"} 1",
];

/// The number behind a series in the text format.
fn sample(shown: &str, series: &str) -> Result<f64> {
    let line =
        shown.lines().find_map(|line| line.strip_prefix(series)).with_context(|| format!("no {series}"))?;
    Ok(line.trim().parse()?)
}

/// The records that it shows, of the requests that it sent.
fn records(shown: &str) -> Vec<Value> {
    let lines = shown.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"].is_string()).collect()
}

#[tokio::test]
async fn the_demo_shows_an_answer_a_stream_a_fallback_a_refusal_records_and_metrics() -> Result<()> {
    let search_path = settings::search_path();
    if !search_path.split(':').any(|folder| Path::new(folder).join("curl").is_file()) {
        ensure!(!settings::everything_is_required(), "the demo needs curl: apt-get install curl");
        writeln!(std::io::stderr(), "skipped the demo: it needs curl")?;
        return Ok(());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/demo");
    let binary = process::chaperone_binary()?.to_string_lossy().into_owned();
    let mut demo = Process::spawn("demo", &script, &[], &[("CHAPERONE_BIN", &binary)])?;
    let status = demo.ended(PATIENCE).await?;
    let shown = demo.stdout();
    ensure!(status.success(), "{status}\n{shown}\n{}", demo.stderr());
    for metric in METRICS {
        ensure!(shown.lines().any(|line| line == metric), "not shown: {metric}\n{shown}");
    }
    for header in ["x-chaperone-fallback: partner_error", "x-chaperone-reason: tenant_forbidden"] {
        ensure!(shown.contains(header), "not shown: {header}\n{shown}");
    }
    let records = records(&shown);
    let ends: Vec<&Value> = records.iter().map(|record| &record["event"]).collect();
    let (served, refused) = (["request_served"; 5].as_slice(), ["request_refused"].as_slice());
    ensure!(ends == [served, refused].concat(), "{ends:?}");
    let attempts = records[2]["attempts"].as_array().context("no attempts")?;
    let outcomes =
        [attempts.first(), attempts.last()].map(|it| it.map(|it| (&it["partner"], &it["outcome"])));
    let (failed, committed) = ((&json!("broken"), &json!("failed")), (&json!("backup"), &json!("committed")));
    ensure!(outcomes == [Some(failed), Some(committed)], "{attempts:?}");
    // What the records say of tokens is what the metrics add up to.
    for (alias, model, partner) in [("chat", "echo-1", "primary"), ("resilient", "text-1", "backup")] {
        for (kind, name) in [("input", "prompt"), ("output", "output")] {
            let series = format!(
                "gen_ai_client_token_usage_sum{{alias=\"{alias}\",gen_ai_token_type=\"{kind}\",model=\"{model}\",partner=\"{partner}\"}}"
            );
            let told = records.iter().filter(|record| record["alias"] == json!(alias));
            let told: f64 = told.filter_map(|record| record["tokens"][name].as_f64()).sum();
            let counted = sample(&shown, &series)?;
            ensure!(told > 0.0 && (told - counted).abs() < 0.5, "{series}: {counted}, records say {told}");
        }
    }
    Ok(())
}

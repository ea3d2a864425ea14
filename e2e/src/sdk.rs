//! The official SDKs as separate programs (`e2e/clients`), unmodified but for base URL and key.
//!
//! A run plays many scenarios in one process; [`scenario`] says what the partner answers to each,
//! [`golden`] compares every event that the SDK yielded.
pub mod golden;
pub mod scenario;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process::Process;
use crate::settings;

/// The key that the application holds; it must reach no partner.
pub const APP_KEY: &str = "sk-app-dummy-93be";

/// A whole run of one client program.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whose SDK.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sdk {
    /// `openai`
    OpenAi,
    /// `anthropic`
    Anthropic,
}

/// In which language.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// 3.11 or newer.
    Python,
    /// 20 or newer.
    Node,
}

/// The environments that `e2e/clients/setup` built.
pub struct Clients {
    home: PathBuf,
}

/// The lines that a program printed, by scenario.
pub type Seen = BTreeMap<String, Vec<Value>>;

impl Clients {
    /// Finds the environments. Where they are absent, says so in one line; the caller's test is then skipped.
    ///
    /// # Errors
    /// If they are absent although everything is required.
    pub fn find(test: &str) -> Result<Option<Self>> {
        let output = std::process::Command::new(folder().join("setup")).arg("--find").output()?;
        if output.status.success() {
            let home = String::from_utf8(output.stdout)?;
            return Ok(Some(Self { home: PathBuf::from(home.trim()) }));
        }
        let message = format!("{test}: the SDK clients are not installed; run e2e/clients/setup");
        ensure!(!settings::everything_is_required(), "{message}");
        writeln!(std::io::stderr(), "skipped {message}")?;
        Ok(None)
    }

    /// The interpreter of a language, and the program for it that uses an SDK.
    #[must_use]
    pub fn program(&self, sdk: Sdk, language: Language) -> (PathBuf, PathBuf) {
        let name = match sdk {
            Sdk::OpenAi => "openai_client",
            Sdk::Anthropic => "anthropic_client",
        };
        match language {
            Language::Python => {
                (self.home.join("python/bin/python"), folder().join(format!("python/{name}.py")))
            }
            Language::Node => (PathBuf::from("node"), folder().join(format!("node/{name}.mjs"))),
        }
    }

    /// Runs one program on these scenarios against the data port `address`.
    ///
    /// # Errors
    /// If the program fails; its standard error is then in the message.
    pub async fn run(&self, sdk: Sdk, language: Language, address: &str, scenarios: &[&str]) -> Result<Seen> {
        let (program, source) = self.program(sdk, language);
        let source = source.to_string_lossy();
        let arguments: Vec<&str> = [source.as_ref()].iter().chain(scenarios).copied().collect();
        let (home, base) = (self.home.to_string_lossy(), format!("http://{address}"));
        let openai_base = format!("{base}/v1");
        let environment = [
            ("OPENAI_BASE_URL", openai_base.as_str()),
            ("OPENAI_API_KEY", APP_KEY),
            ("ANTHROPIC_BASE_URL", base.as_str()),
            ("ANTHROPIC_API_KEY", APP_KEY),
            ("CHAPERONE_CLIENTS", home.as_ref()),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ];
        let mut process =
            Process::spawn(&format!("{language:?} {sdk:?}"), &program, &arguments, &environment)?;
        let status =
            process.ended(PATIENCE).await.with_context(|| format!("it printed {}", process.stdout()))?;
        ensure!(status.success(), "{sdk:?} in {language:?} ended with {status}:\n{}", process.stderr());
        by_scenario(&process.stdout())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn by_scenario(output: &str) -> Result<Seen> {
    let mut seen = Seen::new();
    let mut current = None;
    for line in output.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| format!("line {line:?}"))?;
        match (line["scenario"].as_str(), &mut current) {
            (Some(name), _) => current = Some(seen.entry(name.to_owned()).or_default()),
            (None, Some(lines)) => lines.push(line),
            (None, None) => bail!("{line} outside of a scenario"),
        }
    }
    Ok(seen)
}

//! `chaperone local` as a process, on manifests that the test wrote.
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{self, Answer};
use crate::manifest::{self, Manifests, NAMESPACE};
use crate::partner::Partner;
use crate::process::{self, Process};
use crate::wait;

/// How long it may take to start, to be ready, or to take up an edit.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running `chaperone local`; ends with this value.
pub struct Local {
    process: Process,
    manifests: Manifests,
    state: TempDir,
    data: String,
    admin: String,
}

impl Local {
    /// Starts on these manifests and waits until it is ready.
    ///
    /// # Errors
    /// If the binary is missing, does not start, or does not get ready.
    pub async fn start(manifests: Manifests) -> Result<Self> {
        Self::start_under(&[], manifests).await
    }

    /// As [`Local::start`], with the binary wrapped by a command such as `prlimit --as=… --`.
    ///
    /// # Errors
    /// As [`Local::start`].
    pub async fn start_under(wrapper: &[&str], manifests: Manifests) -> Result<Self> {
        let binary = process::chaperone_binary()?;
        let state = tempfile::tempdir()?;
        let mut command: Vec<String> = wrapper.iter().map(|&word| word.to_owned()).collect();
        command.push(binary.to_string_lossy().into_owned());
        command.extend(
            ["local", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--namespace", NAMESPACE]
                .map(str::to_owned),
        );
        command.extend(["-f".to_owned(), manifests.path().to_string_lossy().into_owned()]);
        command.extend(["--state".to_owned(), state.path().to_string_lossy().into_owned()]);
        let (program, arguments) = command.split_first().context("a command")?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = Process::spawn("chaperone local", Path::new(program), &arguments, &[])?;
        let data = process.announced("listening on http://", PATIENCE).await?;
        let admin = process.announced("admin on http://", PATIENCE).await?;
        let local = Self { process, manifests, state, data, admin };
        local.until_ready().await?;
        Ok(local)
    }

    /// Starts with one alias, `chat`, on one partner of this adapter.
    ///
    /// # Errors
    /// As [`Local::start`].
    pub async fn with_partner(adapter: &str, partner: &Partner) -> Result<Self> {
        let manifests = Manifests::new()?;
        manifests.apply(&manifest::secret())?;
        manifests.apply(&manifest::quota())?;
        manifests.apply(&manifest::partner("alpha", adapter, &partner.endpoint(adapter)))?;
        manifests.apply(&manifest::route("chat", &["alpha"]))?;
        Self::start(manifests).await
    }

    async fn until_ready(&self) -> Result<()> {
        wait::until("readiness", PATIENCE, || async {
            let answer = client::get(&self.admin, "/readyz", &[]).await?;
            Ok((answer.status == StatusCode::OK).then_some(()))
        })
        .await
    }

    /// `host:port` of the data port.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// `host:port` of the admin port.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The folder that it reads.
    #[must_use]
    pub fn manifests(&self) -> &Manifests {
        &self.manifests
    }

    /// The folder where it keeps its state.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// The process, to be stopped or killed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it has written so far, on both streams.
    #[must_use]
    pub fn output(&self) -> String {
        format!("{}{}", self.process.stdout(), self.process.stderr())
    }

    /// Posts to the data port.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        client::post(&self.data, path, &[], body).await
    }

    /// Asks the alias `chat` over chat completions.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn chat(&self) -> Result<Answer> {
        self.post("/v1/chat/completions", &chat_request("chat", Mode::Whole)).await
    }

    /// The metrics, as text.
    ///
    /// # Errors
    /// If the admin port does not answer.
    pub async fn metrics(&self) -> Result<String> {
        Ok(client::get(&self.admin, "/metrics", &[]).await?.text())
    }

    /// Waits until a condition holds of what it has written.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn output_until(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
        wait::until(what, PATIENCE, || async { Ok(is_wanted(&self.output()).then_some(())) }).await
    }
}

/// Whether an answer is asked for whole or as a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// One document.
    Whole,
    /// Server-sent events.
    Stream,
}

/// A small chat request.
#[must_use]
pub fn chat_request(alias: &str, mode: Mode) -> Value {
    let mut request = json!({"model": alias, "messages": [{"role": "user", "content": "Say hello."}]});
    if mode == Mode::Stream {
        request["stream"] = json!(true);
    }
    request
}

/// A small messages request.
#[must_use]
pub fn messages_request(alias: &str, mode: Mode) -> Value {
    let mut request = chat_request(alias, mode);
    request["max_tokens"] = json!(256);
    request
}

//! A scripted provider in a process of its own, speaking the real wire formats of `OpenAI` and `Anthropic`; or an analyzer,
//! whose answers are documents.
//!
//! This file is the test's side: start it, script it, read its arrival log. [`server`] is the process.
//! It refuses what the vendors would refuse (`rules.rs`) and can break every rule itself ([`script::Shape`]).
pub mod log;
pub mod script;
pub mod server;

mod anthropic;
mod openai;
mod render;
mod rules;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::certs::{Issued, TestCa};
use crate::client;
use crate::partner::log::{Arrival, Log};
use crate::partner::script::{Block, Body, ErrorBody, Reply, Script, Step};
use crate::process::{self, Process};
use crate::wait;

/// How long a partner may take to start, or an arrival to show.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running partner; ends with this value.
pub struct Partner {
    process: Process,
    address: String,
    control: Option<TlsControl>,
}

/// How the harness reaches a partner that speaks TLS.
struct TlsControl {
    ca: PathBuf,
    name: String,
}

impl Partner {
    /// Starts a partner on plain HTTP.
    ///
    /// # Errors
    /// If its binary is missing or does not start.
    pub async fn start() -> Result<Self> {
        Self::start_at("127.0.0.1:0").await
    }

    /// Starts a partner on plain HTTP at this address.
    ///
    /// # Errors
    /// If its binary is missing or does not start.
    pub async fn start_at(address: &str) -> Result<Self> {
        let process = Process::spawn("partner", &process::partner_binary()?, &[address], &[])?;
        let address = process.announced("listening on http://", PATIENCE).await?;
        Ok(Self { process, address, control: None })
    }

    /// Starts a partner on TLS, with a certificate of `ca` for `name`.
    ///
    /// # Errors
    /// If its binary is missing or does not start.
    pub async fn start_tls(ca: &TestCa, name: &str) -> Result<Self> {
        let started = Self::start_on(&ca.issue(name)?).await?;
        let control = Some(TlsControl { ca: ca.certificate().to_owned(), name: name.to_owned() });
        Ok(Self { control, ..started })
    }

    /// Starts a partner on TLS with this certificate. It takes no script: nobody trusts it.
    ///
    /// # Errors
    /// If its binary is missing or does not start.
    pub async fn start_on(issued: &Issued) -> Result<Self> {
        let (certificate, key) = (issued.certificate.to_string_lossy(), issued.key.to_string_lossy());
        let process = Process::spawn(
            "partner",
            &process::partner_binary()?,
            &["127.0.0.1:0", &certificate, &key],
            &[],
        )?;
        let address = process.announced("listening on https://", PATIENCE).await?;
        Ok(Self { process, address, control: None })
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where a Partner's `endpoint` points for `adapter`.
    #[must_use]
    pub fn endpoint(&self, adapter: &str) -> String {
        let scheme = if self.control.is_some() { "https" } else { "http" };
        let path = if adapter == "OpenAI" { "/v1" } else { "" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// The process, to be stopped or killed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    async fn control(&self, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = match (&self.control, body) {
            (None, Some(body)) => client::post(&self.address, path, &[], body).await?,
            (None, None) => client::get(&self.address, path, &[]).await?,
            (Some(tls), body) => client::over_tls(&self.address, &tls.name, &tls.ca, path, body).await?,
        };
        answer.json().with_context(|| format!("answer of the partner to {path}"))
    }

    /// Replaces the script.
    ///
    /// # Errors
    /// If the partner is gone.
    pub async fn script(&self, steps: Vec<Step>) -> Result<()> {
        self.play(Script { steps, drop_bodies: false }).await
    }

    /// Replaces the script and its options.
    ///
    /// # Errors
    /// If the partner is gone.
    pub async fn play(&self, script: Script) -> Result<()> {
        self.control("/__script", Some(&serde_json::to_value(script)?)).await.map(drop)
    }

    /// Lets every held answer go on.
    ///
    /// # Errors
    /// If the partner is gone.
    pub async fn release(&self) -> Result<()> {
        self.control("/__release", Some(&json!({}))).await.map(drop)
    }

    /// The whole log, health checks included.
    ///
    /// # Errors
    /// If the partner is gone.
    pub async fn log(&self) -> Result<Log> {
        Ok(serde_json::from_value(self.control("/__log", None).await?)?)
    }

    /// The requests for inference (every POST), in order of arrival.
    ///
    /// # Errors
    /// If the partner is gone.
    pub async fn arrivals(&self) -> Result<Vec<Arrival>> {
        let log = self.log().await?;
        Ok(log.arrivals.into_iter().filter(|arrival| arrival.method == "POST").collect())
    }

    /// Waits until `is_wanted` holds of the requests for inference.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn arrivals_until(
        &self,
        what: &str,
        is_wanted: impl Fn(&[Arrival]) -> bool,
    ) -> Result<Vec<Arrival>> {
        wait::until(what, PATIENCE, || async {
            let arrivals = self.arrivals().await?;
            Ok(is_wanted(&arrivals).then_some(arrivals))
        })
        .await
    }
}

/// A step that answers `text`.
#[must_use]
pub fn says(text: &str) -> Step {
    replies(vec![Block::Text(text.to_owned())])
}

/// A step that answers these blocks.
#[must_use]
pub fn replies(blocks: Vec<Block>) -> Step {
    Step { body: Body::Reply(Reply { blocks, ..Reply::default() }), ..Step::default() }
}

/// A step that fails with `status` and the provider's error type.
#[must_use]
pub fn fails(status: u16, kind: &str) -> Step {
    let error =
        ErrorBody { kind: kind.to_owned(), message: "scripted failure".to_owned(), ..ErrorBody::default() };
    Step { status: Some(status), body: Body::Error(error), ..Step::default() }
}

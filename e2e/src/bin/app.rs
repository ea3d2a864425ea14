//! `chaperone-e2e-app`: what runs in Pods of tests. Answers HTTP with its name, and notes what happens to it.
//!
//! - `--listen ADDRESS`: answers every GET with its name; `/ready` with 503 while the file of `--ready-file` is absent.
//! - `--journal FILE`: adds a line `<name> <event>` for `started` and `terminated`.
//! - `--deaf`: lives on after SIGTERM.
//! - `--ask ALIAS`: answers with what `OPENAI_BASE_URL` answers to a chat completion; 502 where that is no success.
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::{client, settings};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

#[derive(Default)]
struct Settings {
    name: String,
    listen: Option<String>,
    ready_file: Option<PathBuf>,
    journal: Option<PathBuf>,
    is_deaf: bool,
    ask: Option<String>,
}

impl Settings {
    fn read() -> Result<Self> {
        let mut settings = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--name" => settings.name = value()?,
                "--listen" => settings.listen = Some(value()?),
                "--ready-file" => settings.ready_file = Some(value()?.into()),
                "--journal" => settings.journal = Some(value()?.into()),
                "--deaf" => settings.is_deaf = true,
                "--ask" => settings.ask = Some(value()?),
                other => anyhow::bail!("unknown flag {other}"),
            }
        }
        Ok(settings)
    }

    fn note(&self, event: &str) -> Result<()> {
        if let Some(journal) = &self.journal {
            let mut file = OpenOptions::new().create(true).append(true).open(journal)?;
            writeln!(file, "{} {event}", self.name)?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let settings = Arc::new(Settings::read()?);
    let mut terminations = signal(SignalKind::terminate())?;
    let listener = match &settings.listen {
        Some(address) => {
            Some(TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?)
        }
        None => None,
    };
    settings.note("started")?;
    writeln!(std::io::stdout(), "{} started", settings.name)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = next(listener.as_ref()) => {
                let (settings, stream) = (Arc::clone(&settings), stream?);
                connections.spawn(async move { answer(stream, &settings).await });
                while connections.try_join_next().is_some() {}
            }
            _ = terminations.recv() => {
                settings.note("terminated")?;
                if !settings.is_deaf {
                    return Ok(());
                }
            }
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// Answers request after request, until the other side closes.
async fn answer(mut stream: TcpStream, settings: &Settings) -> Result<()> {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await? > 0 {
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_ready = settings.ready_file.as_ref().is_none_or(|file| file.exists());
        let (status, body) = match &settings.ask {
            _ if request.starts_with(b"GET /ready") && !is_ready => ("503 no", settings.name.clone()),
            None => ("200 OK", settings.name.clone()),
            Some(alias) => match ask(alias).await {
                Ok(text) => ("200 OK", text),
                Err(error) => ("502 no", format!("{}: {error:#}", settings.name)),
            },
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).await?;
        request.clear();
    }
    Ok(())
}

/// What the sidecar answers, in text.
async fn ask(alias: &str) -> Result<String> {
    let url = settings::openai_base_url().context("OPENAI_BASE_URL is not set")?;
    let (address, path) = url.trim_start_matches("http://").split_once('/').context("a URL with a path")?;
    let body = json!({"model": alias, "messages": [{"role": "user", "content": "hello"}]});
    let answer = client::post(address, &format!("/{path}/chat/completions"), &[], &body).await?;
    ensure!(answer.status.is_success(), "{}: {}", answer.status, answer.text());
    let answer = answer.json()?;
    Ok(answer["choices"][0]["message"]["content"].as_str().context("a text")?.to_owned())
}

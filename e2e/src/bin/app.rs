//! `chaperone-e2e-app`: what runs in Pods of tests. Answers HTTP with its name, and notes what happens to it.
//!
//! - `--listen ADDRESS`: answers every GET with its name; `/ready` with 503 while the file of `--ready-file` is absent.
//! - `--journal FILE`: adds a line `<name> <event>` for `started` and `terminated`.
//! - `--deaf`: lives on after SIGTERM.
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
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
    let settings = Settings::read()?;
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
                let (name, ready_file) = (settings.name.clone(), settings.ready_file.clone());
                let stream = stream?;
                connections.spawn(async move { answer(stream, &name, ready_file).await });
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
async fn answer(mut stream: TcpStream, name: &str, ready_file: Option<PathBuf>) -> Result<()> {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await? > 0 {
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_ready = ready_file.as_ref().is_none_or(|file| file.exists());
        let status = if request.starts_with(b"GET /ready") && !is_ready { "503 no" } else { "200 OK" };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{name}", name.len());
        stream.write_all(head.as_bytes()).await?;
        request.clear();
    }
    Ok(())
}

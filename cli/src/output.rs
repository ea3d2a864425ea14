//! The only place that prints.
//!
//! Colour reaches a terminal and nothing else, and not one with `NO_COLOR`. A reader that leaves early, as `head`
//! does, ends the output and is no error: the exit code still says what was found.

use std::fmt::Display;
use std::io::{self, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use serde_json::json;

use crate::args::Format;

/// Where results go, and in what form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Writes text to standard output.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        written(AutoStream::auto(io::stdout()).write_all(text.as_bytes()))
    }

    /// Writes JSON to standard output.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value).context("cannot write the result as JSON")?;
        text.push('\n');
        self.text(&text)
    }

    /// Writes text to standard error.
    pub(crate) fn aside(&self, text: &str) -> Result<()> {
        written(AutoStream::auto(io::stderr()).write_all(text.as_bytes()))
    }

    /// Writes something that happened to standard error: as it reads, or as one line of JSON.
    pub(crate) fn event(&self, event: &(impl Serialize + Display)) -> Result<()> {
        match self.format {
            Format::Text => self.aside(&event.to_string()),
            Format::Json => {
                let line = serde_json::to_string(event).context("cannot write an event as JSON")?;
                self.aside(&(line + "\n"))
            }
        }
    }

    /// Says why nothing came of the command.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        // Nobody is left to be told if this fails.
        drop(match self.format {
            Format::Text => self.aside(&format!("{red}error{red:#}: {error:#}\n")),
            Format::Json => self.aside(&format!("{}\n", json!({ "error": format!("{error:#}") }))),
        });
    }
}

/// Whether anybody still reads standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Somebody may.
    There,
    /// Nobody does: what would be written is of no use.
    Gone,
}

/// Standard output for data: bytes leave as they are, many at a time.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    waiting: Vec<u8>,
}

/// Bytes that wait before they are written.
const STREAM_BYTES: usize = 64 << 10;

impl Stream {
    /// Adds bytes to what is written with the next flush.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Whether it is time for a flush.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= STREAM_BYTES
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> Result<Audience> {
        let mut stdout = io::stdout().lock();
        let result = stdout.write_all(&self.waiting).and_then(|()| stdout.flush());
        self.waiting.clear();
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Audience::Gone),
            result => result.context("cannot write the output").map(|()| Audience::There),
        }
    }
}

fn written(result: io::Result<()>) -> Result<()> {
    match result.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the output"),
    }
}

/// A table without lines, so that it can be copied and searched.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    // The style leaves one space on the left, for a line that it does not draw.
    let left = |line: &str| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned();
    table.lines().map(|line| left(&line) + "\n").collect()
}

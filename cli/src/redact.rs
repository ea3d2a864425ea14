//! `chaperone redact`: what a policy finds in a team's own samples, and what a partner would see of them.
//!
//! Input is read and printed piece by piece, so that it may be a pipe without end. Nothing is sent anywhere.

mod arguments;
mod lines;
mod report;
mod row;
mod scanner;

use std::fs::File;
use std::io::{self, Read as Source};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

pub(crate) use self::arguments::{Args, EXAMPLES};
use self::arguments::{Format, Input};
use self::lines::{LINE_BYTES, Lines, Read};
use self::report::Place;
use self::row::Row;
use self::scanner::Scanner;
use crate::args::UNSCANNABLE;
use crate::output::{Audience, Output, Stream};

struct Job<'a> {
    args: &'a Args,
    scanner: Scanner<'a>,
    output: &'a Output,
    stream: Stream,
    /// Texts that could not be scanned.
    unscannable: u64,
}

/// Redacts the named files or standard input.
pub(crate) fn run(args: &Args, output: &Output) -> Result<ExitCode> {
    let policy = args.policy()?;
    let scanner = Scanner::new(&policy, args)?;
    let mut job = Job { args, scanner, output, stream: Stream::default(), unscannable: 0 };
    let standard_input = [Path::new("-").to_path_buf()];
    let files = if args.files.is_empty() { &standard_input } else { args.files.as_slice() };
    let ended = files.iter().try_fold(Audience::There, |audience, file| match audience {
        Audience::There => job.file(file),
        Audience::Gone => Ok(audience),
    });
    // What was done before an error is printed before the error.
    job.stream.flush()?;
    ended?;
    Ok(if job.unscannable > 0 { ExitCode::from(UNSCANNABLE) } else { ExitCode::SUCCESS })
}

impl Job<'_> {
    fn file(&mut self, path: &Path) -> Result<Audience> {
        let (source, name): (Box<dyn Source>, String) = if path == Path::new("-") {
            (Box::new(io::stdin()), "standard input".to_owned())
        } else {
            let name = path.display().to_string();
            (Box::new(File::open(path).with_context(|| format!("cannot read {name}"))?), name)
        };
        let mut lines = Lines::new(source);
        self.lines(&mut lines, &name).with_context(|| format!("cannot go on with {name}"))
    }

    fn lines(&mut self, lines: &mut Lines, name: &str) -> Result<Audience> {
        let mut first = Vec::new();
        let read = lines.line(&mut first)?;
        let rows = self.args.format == Format::Jsonl || Row::is_one(&first);
        match read {
            Read::End => return Ok(Audience::There),
            Read::TooLong if rows => bail!("line 1 is longer than {LINE_BYTES} bytes"),
            Read::TooLong => self.left_out(name, 1, "a line is longer than 32 MiB")?,
            Read::Some => lines.put_back(first),
        }
        match (self.args.input, rows) {
            (_, true) => self.rows(lines),
            (Input::Text, false) => self.paragraphs(lines, name),
            (Input::Json, false) => self.document(lines, name),
        }
    }

    fn rows(&mut self, lines: &mut Lines) -> Result<Audience> {
        let mut line = Vec::new();
        loop {
            if self.pause(lines)? == Audience::Gone {
                return Ok(Audience::Gone);
            }
            match lines.line(&mut line)? {
                Read::End => return Ok(Audience::There),
                Read::TooLong => bail!("line {} is longer than {LINE_BYTES} bytes", lines.number()),
                Read::Some if line.trim_ascii().is_empty() => {}
                Read::Some => {
                    let row = Row::parse(&line, lines.number())
                        .with_context(|| format!("line {} is no {{\"id\", \"text\"}}", lines.number()))?;
                    self.row(&row)?;
                }
            }
        }
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let line = match self.row_line(row) {
            Ok((line, explanations)) => {
                self.output.aside(&explanations)?;
                line
            }
            Err(reason) => {
                self.unscannable += 1;
                row.error_line(&reason)
            }
        };
        self.stream.write(&line);
        Ok(())
    }

    /// The line for a row, and what is said beside it.
    fn row_line(&self, row: &Row<'_>) -> Result<(Vec<u8>, String), String> {
        let text = row.text()?;
        Ok(match self.args.format {
            Format::Jsonl => (row.spans_line(&self.scanner.spans(&text)?, &text), String::new()),
            Format::Text => {
                let (redacted, report) = self.scanner.redacted(text.as_bytes())?;
                (row.text_line(&redacted), report.explanations(&text, &row.place()))
            }
        })
    }

    fn paragraphs(&mut self, lines: &mut Lines, name: &str) -> Result<Audience> {
        let mut text = Vec::new();
        loop {
            if self.pause(lines)? == Audience::Gone {
                return Ok(Audience::Gone);
            }
            let first = lines.number() + 1;
            match lines.paragraph(&mut text)? {
                Read::End => return Ok(Audience::There),
                Read::TooLong => self.left_out(name, lines.number(), "the line is longer than 32 MiB")?,
                Read::Some => self.text(&text, name, first)?,
            }
        }
    }

    fn document(&mut self, lines: &mut Lines, name: &str) -> Result<Audience> {
        let mut text = Vec::new();
        match lines.rest(&mut text)? {
            Read::TooLong => self.left_out(name, 1, "the document is longer than 32 MiB")?,
            Read::Some | Read::End => self.text(&text, name, 1)?,
        }
        Ok(Audience::There)
    }

    fn text(&mut self, text: &[u8], name: &str, first_line: u64) -> Result<()> {
        match self.scanner.redacted(text) {
            Ok((redacted, report)) => {
                let text = std::str::from_utf8(text).context("what was scanned is text")?;
                self.output.aside(&report.explanations(text, &Place::Lines { name, first: first_line }))?;
                self.stream.write(&redacted);
                Ok(())
            }
            Err(reason) => self.left_out(name, first_line, &reason),
        }
    }

    /// Says what is not printed because it could not be scanned.
    fn left_out(&mut self, name: &str, line: u64, reason: &str) -> Result<()> {
        self.unscannable += 1;
        self.output.aside(&format!("{name}:{line}: left out: {reason}\n"))
    }

    /// Hands out what is done before input may be waited for.
    fn pause(&mut self, lines: &Lines) -> Result<Audience> {
        if lines.may_wait() || self.stream.is_full() { self.stream.flush() } else { Ok(Audience::There) }
    }
}

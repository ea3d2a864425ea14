//! Golden files: one folder for each pair of a client and a partner that is translated.
//!
//! `request.in` is what the client sends and `request.out` what the partner gets; `whole`, `stream` and `error` are
//! the partner's answers and what the client gets. The inputs follow the providers' documentation. Outputs are
//! compared; with `CHAPERONE_WRITE_GOLDEN=1` in the environment they are written instead, to be read in the diff.

mod cell;
mod lines;

use std::path::{Path, PathBuf};

use chaperone_protocol::adapter::Adapter;
use chaperone_protocol::pair::{self, ClientApi, PAIRS};

use self::cell::Cell;

/// The folder of a pair.
fn folder(api: ClientApi, adapter: Adapter) -> PathBuf {
    let client = match api {
        ClientApi::ChatCompletions => "openai",
        ClientApi::Completions => "completions",
        ClientApi::Embeddings => "embeddings",
        ClientApi::Messages => "anthropic",
        ClientApi::CountTokens => "count_tokens",
        ClientApi::Infer => "infer",
    };
    let name = format!("{client}-{}", adapter.as_str().to_lowercase());
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dialect/golden").join(name)
}

fn cells() -> impl Iterator<Item = (ClientApi, Adapter)> {
    PAIRS
        .iter()
        .filter(|(_, _, path)| *path == pair::Path::Translate)
        .map(|(api, adapter, _)| (*api, *adapter))
}

/// The files of `folder` whose names begin with `kind` and end in `.in`, with their contents.
fn inputs(folder: &Path, kind: &str) -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "in"))
        .filter(|path| path.file_stem().unwrap().to_string_lossy().split('-').next() == Some(kind))
        .collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// Compares `text` with the file at `path`, or writes it there.
fn expect(path: &Path, text: &str) {
    if std::env::var_os("CHAPERONE_WRITE_GOLDEN").is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(golden, text, "{} is not what the codec writes", path.display());
}

#[test]
fn every_request_is_rendered_as_its_golden_file() {
    for (api, adapter) in cells() {
        let cell = Cell::new(api, adapter);
        let requests = inputs(&folder(api, adapter), "request");
        assert!(!requests.is_empty(), "{} has no request.in", folder(api, adapter).display());
        for (path, body) in requests {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            for (suffix, text) in cell.request(&stem, body.as_bytes()) {
                expect(&path.with_file_name(format!("{stem}{suffix}")), &text);
            }
        }
    }
}

#[test]
fn every_answer_is_written_as_its_golden_file() {
    for (api, adapter) in cells().filter(|(_, adapter)| *adapter != Adapter::Mock) {
        let cell = Cell::new(api, adapter);
        let kinds: &[&str] =
            if api == ClientApi::Infer { &["whole", "error"] } else { &["whole", "stream", "error"] };
        for kind in kinds {
            let answers = inputs(&folder(api, adapter), kind);
            assert!(!answers.is_empty(), "{} has no {kind}.in", folder(api, adapter).display());
            for (path, answer) in answers {
                expect(&path.with_extension("out"), &cell.answer(&answer));
            }
        }
    }
}

#[test]
fn how_a_stream_is_cut_into_chunks_changes_nothing() {
    for (api, adapter) in
        [(ClientApi::ChatCompletions, Adapter::Anthropic), (ClientApi::Messages, Adapter::OpenAI)]
    {
        let cell = Cell::new(api, adapter);
        let (_, answer) = inputs(&folder(api, adapter), "stream").remove(0);
        let whole = cell.stream(&[answer.as_bytes()]);
        let bytes: Vec<&[u8]> = answer.as_bytes().chunks(1).collect();
        assert_eq!(cell.stream(&bytes), whole);
        for split in (1..answer.len()).step_by(7) {
            let (left, right) = answer.as_bytes().split_at(split);
            assert_eq!(cell.stream(&[left, right]), whole, "split at {split}");
        }
    }
}

#[test]
fn a_stream_that_is_cut_short_is_a_failure_at_every_event() {
    for (api, adapter) in
        [(ClientApi::ChatCompletions, Adapter::Anthropic), (ClientApi::Messages, Adapter::OpenAI)]
    {
        let cell = Cell::new(api, adapter);
        let (_, answer) = inputs(&folder(api, adapter), "stream").remove(0);
        let events: Vec<&str> = answer.split_inclusive("\n\n").collect();
        // OpenAI's answer is complete with its finish reason; what follows are its usage and the terminator.
        let complete = if adapter == Adapter::OpenAI { events.len() - 2 } else { events.len() };
        for count in 1..=events.len() {
            let part = events[..count].concat();
            let failed = cell.stream(&[part.as_bytes()]).contains("-- failure: partner_protocol");
            assert_eq!(failed, count < complete, "{count} of {} events", events.len());
        }
    }
}

//! Streams over the whole corpus: every cut gives the same bytes, in text and in arguments of tools, for detection
//! and for restoring.
#![cfg(test)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chaperone_redact::{
    Action, ArgumentRedactor, Filter, Landing, Policy, PolicySpec, PseudonymKey, StreamRedactor,
    StreamRestorer, Vault,
};
use serde_json::Value;

/// Texts longer than this are cut at fewer places: the work is quadratic.
const EVERYWHERE: usize = 400;

fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "jsonl") {
                for line in fs::read_to_string(path).unwrap().lines() {
                    let row: Value = serde_json::from_str(line).unwrap();
                    texts.extend(row["text"].as_str().map(str::to_owned));
                }
            }
        }
    }
    texts
}

fn policy() -> Arc<Policy> {
    let spec = PolicySpec { filter: Filter::Balanced, action: Action::Pseudonym, ..PolicySpec::default() };
    Arc::new(Policy::compile(&spec).unwrap())
}

fn vault() -> Vault {
    Vault::new(PseudonymKey::new([5; 32]), "alpha", "")
}

/// Runs `text` through `work` in one piece, then in all others, and compares.
fn invariant(text: &[u8], work: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> Vec<u8>) -> u64 {
    let whole = work(&mut std::iter::once(text));
    assert_eq!(work(&mut text.chunks(1)), whole, "one byte at a time: {}", String::from_utf8_lossy(text));
    let step = text.len() / EVERYWHERE + 1;
    let cuts = (1..text.len()).step_by(step);
    let count = cuts.len();
    for cut in cuts {
        let parts = [&text[..cut], &text[cut..]];
        assert_eq!(work(&mut parts.into_iter()), whole, "cut at {cut}: {}", String::from_utf8_lossy(text));
    }
    u64::try_from(count).unwrap() + 1
}

#[test]
fn f53_the_corpus_gives_the_same_bytes_for_every_cut() {
    let policy = policy();
    let mut cuts = 0;
    let texts = texts();
    for text in &texts {
        cuts += invariant(text.as_bytes(), |parts| {
            let (mut stream, mut vault) = (StreamRedactor::new(Arc::clone(&policy), None), vault());
            let mut out: Vec<u8> = parts.flat_map(|part| stream.push(part, &mut vault).unwrap()).collect();
            out.extend(stream.flush(&mut vault).unwrap());
            out
        });
    }
    println!("{} texts, {cuts} ways to cut", texts.len());
    assert!(texts.len() > 500 && cuts > 20_000);
}

#[test]
fn f53_arguments_give_the_same_bytes_for_every_cut() {
    let policy = policy();
    for text in texts() {
        // Characters beyond ASCII as escapes, so that cuts fall into them and into surrogate pairs.
        let string = serde_json::to_string(&text).unwrap();
        let escaped: String = string
            .encode_utf16()
            .map(|unit| match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
                _ => format!("\\u{unit:04x}"),
            })
            .collect();
        let arguments = format!("{{\"note\":{escaped},\"n\":[1,536228726]}}");
        invariant(arguments.as_bytes(), |parts| {
            let (mut stream, mut vault) = (ArgumentRedactor::new(Arc::clone(&policy), None), vault());
            let mut out: Vec<u8> = parts.flat_map(|part| stream.push(part, &mut vault).unwrap()).collect();
            out.extend(stream.flush(&mut vault).unwrap());
            assert!(serde_json::from_slice::<Value>(&out).is_ok(), "{}", String::from_utf8_lossy(&out));
            out
        });
    }
}

#[test]
fn f53_restoring_gives_the_same_bytes_for_every_cut() {
    let policy = policy();
    for text in texts() {
        let mut vault = vault();
        let rules = chaperone_redact::Rules {
            policy: &policy,
            table: chaperone_redact::FieldTable::Unknown,
            names: None,
        };
        let sent = chaperone_redact::redact_text(text.as_bytes(), rules, &mut vault).unwrap().to_vec();
        // As models bend it, with a link, and with a tag of nobody's.
        let bent = String::from_utf8(sent).unwrap().replace('_', "\\_")
            + " https://x.example/EMAIL_00000 [y](EMAIL_00000)";
        for landing in [Landing::Text, Landing::Json] {
            let json = serde_json::to_string(&bent).unwrap();
            let text = if landing == Landing::Json { &json } else { &bent };
            invariant(text.as_bytes(), |parts| {
                let mut restorer = StreamRestorer::new(&vault, landing);
                let mut out: Vec<u8> = parts.flat_map(|part| restorer.push(part)).collect();
                out.extend(restorer.flush());
                out.extend(
                    format!("{} {} {}", restorer.restored(), restorer.foreign(), restorer.kept_in_urls())
                        .bytes(),
                );
                out
            });
        }
    }
}

//! What is measured: a text, and what is done with it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use chaperone_redact::{
    Action, Engine, FieldTable, Filter, Landing, NearMisses, Policy, PolicySpec, PseudonymKey, Query, Rules,
    StreamRedactor, StreamRestorer, Vault, find, redact_text,
};

use crate::texts;

/// One row of the table.
pub(crate) struct Case {
    /// Stable name, for the baseline.
    pub(crate) name: &'static str,
    /// Bytes of the smaller of two inputs.
    pub(crate) bytes: usize,
    text: Text,
    work: Work,
}

enum Text {
    Clean,
    Dense,
    Adversarial,
    /// A piece, again and again.
    Repeated(&'static str),
    /// Base64 of base64.
    Base64,
    /// A JSON body with one long string.
    Body,
    /// Arrays in arrays, as deep as is read, again and again.
    Deep,
    /// JSON in a string, full of escapes.
    Nested,
}

#[derive(Clone, Copy)]
enum Work {
    Find,
    Json,
    Stream,
    Restore,
}

const fn case(name: &'static str, bytes: usize, text: Text, work: Work) -> Case {
    Case { name, bytes, text, work }
}

const fn hurt(name: &'static str, piece: &'static str) -> Case {
    case(name, SMALL, Text::Repeated(piece), Work::Find)
}

const SMALL: usize = 24_000;
const LARGE: usize = 128_000;

/// Everything that is measured.
pub(crate) const CASES: &[Case] = &[
    case("clean", LARGE, Text::Clean, Work::Find),
    case("dense", LARGE, Text::Dense, Work::Find),
    case("adversarial", LARGE, Text::Adversarial, Work::Find),
    case("json-body", LARGE, Text::Body, Work::Json),
    case("json-deep", SMALL, Text::Deep, Work::Json),
    case("json-nested", SMALL, Text::Nested, Work::Json),
    case("stream-clean", LARGE, Text::Clean, Work::Stream),
    case("stream-adversarial", SMALL, Text::Adversarial, Work::Stream),
    case("restore-clean", LARGE, Text::Clean, Work::Restore),
    case(
        "restore-adversarial",
        SMALL,
        Text::Repeated("EMAIL_0 EMAIL-EMAIL_7Q4F http:// ]( <a href="),
        Work::Restore,
    ),
    case("one-10MB-line", 5_000_000, Text::Repeated("word 12 "), Work::Find),
    case("base64-of-base64", SMALL, Text::Base64, Work::Find),
    hurt("digit-run", "1"),
    hurt("digit-groups", "1 "),
    hurt("digit-dashes", "12-"),
    hurt("cards", "4111 1111 1111 1112 "),
    hurt("at-run", "@"),
    hurt("at-chain", "a@"),
    hurt("at-domains", "a@b.c@"),
    hurt("colons", "::"),
    hurt("hex-colons", "a1:"),
    hurt("quads", "1.1.1.1."),
    hurt("letters", "a"),
    hurt("mixed-word", "ab12"),
    hurt("assignments", "password="),
    hurt("pem", "-----BEGIN "),
    hurt("jwt", "eyJ."),
    hurt("urls", "://a:"),
    hurt("ibans", "DE89 "),
    hurt("months", "March 1 "),
    hurt("cues", "ssn "),
    hurt("percent", "%40"),
    hurt("spelled-out", "a at b dot "),
    hurt("wide", "日"),
    hurt("mixed-scripts", "\u{430}b@"),
    hurt("streets", "12 Oak Street "),
];

/// The case with this name.
pub(crate) fn named(name: &str) -> Result<&'static Case> {
    CASES.iter().find(|case| case.name == name).with_context(|| format!("there is no case {name}"))
}

/// A case with its text and policy made.
pub(crate) struct Prepared {
    text: String,
    work: Work,
    policy: Arc<Policy>,
}

impl Case {
    /// Makes the text, `bytes` long or about that.
    pub(crate) fn prepare(&self, bytes: usize) -> Result<Prepared> {
        let text = match self.text {
            Text::Clean => texts::clean(bytes),
            Text::Dense => texts::dense(bytes),
            Text::Adversarial => texts::adversarial(bytes),
            Text::Repeated(piece) => piece.repeat(bytes / piece.len()),
            Text::Base64 => base64(base64(texts::clean(bytes * 9 / 16).as_bytes()).as_bytes()),
            Text::Body => serde_json::json!({"messages": [{"role": "user", "content": texts::dense(bytes)}]})
                .to_string(),
            Text::Deep => {
                let deep = "[".repeat(60) + "\"a@b\"" + &"]".repeat(60);
                format!("[{}0]", (deep + ",").repeat(bytes / 126))
            }
            Text::Nested => {
                let inner = serde_json::json!({ "note": "\"quoted\" \\ ".repeat(bytes / 30) }).to_string();
                serde_json::json!({ "messages": [{ "content": inner }] }).to_string()
            }
        };
        let spec = PolicySpec { filter: Filter::Strict, action: Action::Label, ..PolicySpec::default() };
        let policy = Policy::compile(&spec).map_err(|_| anyhow::anyhow!("the policy is refused"))?;
        Ok(Prepared { text, work: self.work, policy: Arc::new(policy) })
    }
}

fn vault() -> Vault {
    Vault::new(PseudonymKey::new([1; 32]), "alpha", "")
}

impl Prepared {
    /// Does the work once.
    pub(crate) fn run(&self) -> Result<()> {
        let (text, policy) = (&self.text, &self.policy);
        match self.work {
            Work::Find => {
                let query = Query { near_misses: NearMisses::Skip, ..Query::new(policy) };
                // Too many findings end a search as they should; everything before was work.
                std::hint::black_box(find(text, &query).ok());
            }
            Work::Json => {
                let rules = Rules { policy, table: FieldTable::OpenAiChat, names: None };
                let done = Engine::new(text.as_bytes(), rules, &mut vault()).finish().context("refused")?;
                std::hint::black_box(done.to_vec());
            }
            Work::Stream => {
                let (mut stream, mut vault) = (StreamRedactor::new(Arc::clone(policy), None), vault());
                for chunk in text.as_bytes().chunks(20) {
                    std::hint::black_box(stream.push(chunk, &mut vault).context("refused")?);
                }
                std::hint::black_box(stream.flush(&mut vault).context("refused")?);
            }
            Work::Restore => {
                let spec = PolicySpec { action: Action::Pseudonym, ..PolicySpec::default() };
                let minting = Policy::compile(&spec).map_err(|_| anyhow::anyhow!("the policy is refused"))?;
                let mut vault = vault();
                let rules = Rules { policy: &minting, table: FieldTable::Unknown, names: None };
                let values: String = (0..100).map(|at| format!("user{at}@example.org ")).collect();
                redact_text(values.as_bytes(), rules, &mut vault).context("refused")?;
                let mut restorer = StreamRestorer::new(&vault, Landing::Text);
                for chunk in text.as_bytes().chunks(20) {
                    std::hint::black_box(restorer.push(chunk));
                }
                ensure!(restorer.flush().len() <= text.len(), "nothing was to be restored");
            }
        }
        Ok(())
    }
}

/// Base64 without line ends.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(bits >> shift & 63) as usize]))
    };
    bytes.chunks(3).flat_map(group).collect()
}

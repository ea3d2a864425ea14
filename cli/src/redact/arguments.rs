//! The arguments of `chaperone redact`, and the policy that they come to.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use chaperone_redact::{Action, Entity, Filter, Policy, PolicySpec};
use clap::ValueEnum;

/// Shown below the list of options.
pub(crate) const EXAMPLES: &str = "Examples:
  chaperone redact < prompt.txt
  echo 'write to ann.lee@example.org' | chaperone redact --action label
  chaperone redact --filter strict --entities All --explain letter.txt
  chaperone redact --entities Email,PHONE,CreditCard samples/*.txt
  chaperone redact --input json --explain body.json
  chaperone redact --format jsonl < samples.jsonl > spans.jsonl

Text is read in paragraphs, up to a blank line or 16 kB of lines, and printed as it was, but for the findings.

JSON lines are objects {\"id\": ..., \"text\": \"...\"}. With --format jsonl each gives one line:
  {\"id\": ..., \"spans\": [{\"start\": 9, \"end\": 28, \"entity\": \"EMAIL\", \"score\": 0.95}]}
with offsets in Unicode code points of `text`. Without it, input whose first line is such an object is printed
as objects with redacted text. A text that cannot be scanned gives {\"id\": ..., \"error\": \"...\"} instead.

Names are found by a small model inside the program; nothing leaves this machine. `Hash` and `pseudonym` use a
fixed key here, so that they differ from a cluster's.

Exit codes:
  0  everything was scanned, whether or not something was found
  2  wrong usage, a file that cannot be read, or an input line that is no {\"id\", \"text\"}; its number is said
  3  something could not be scanned; the rest was";

/// Arguments of `chaperone redact`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files to read; `-`, or none, is standard input.
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// How much to look for, and how sure to be.
    #[arg(long, value_enum, ignore_case = true, default_value_t = FilterName::Balanced)]
    filter: FilterName,
    /// What to look for instead of the filter's own set: names or labels in any case, or `All`; separated by commas.
    #[arg(long, value_name = "ENTITY", value_delimiter = ',', value_parser = wanted)]
    entities: Vec<Wanted>,
    /// What stands in the place of a finding.
    #[arg(long, value_enum, ignore_case = true, default_value_t = ActionName::Mask)]
    action: ActionName,
    /// What the text is: prose, or JSON, whose keys count as context.
    #[arg(long, value_enum, ignore_case = true, default_value_t = Input::Text)]
    pub(super) input: Input,
    /// What to print: redacted text, or one line of JSON with spans for each line of input.
    #[arg(long, value_enum, ignore_case = true, default_value_t = Format::Text)]
    pub(super) format: Format,
    /// Say why each finding is one, and why what looks like one is none: in the spans, or on standard error.
    #[arg(long)]
    pub(super) explain: bool,
}

/// A filter by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FilterName {
    /// Nothing.
    Off,
    /// Structured data that is almost certainly personal.
    Lenient,
    /// The usual choice.
    Balanced,
    /// When in doubt, redact.
    Strict,
}

/// An action by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActionName {
    /// `****`.
    Mask,
    /// `[EMAIL]`.
    Label,
    /// Sixteen hex digits.
    Hash,
    /// `EMAIL_7Q4FX`.
    Pseudonym,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Input {
    /// Prose.
    Text,
    /// A JSON document.
    Json,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// The redacted text.
    Text,
    /// Spans, one line for each input.
    Jsonl,
}

/// One item of `--entities`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    One(Entity),
}

fn wanted(text: &str) -> Result<Wanted, String> {
    if text.trim().eq_ignore_ascii_case("all") {
        return Ok(Wanted::All);
    }
    text.parse().map(Wanted::One).map_err(|_| {
        let names: Vec<&str> = Entity::BUILT_IN.iter().map(|entity| entity.name()).collect();
        format!("there are All, {}", names.join(", "))
    })
}

impl Args {
    /// The policy that the arguments ask for.
    pub(super) fn policy(&self) -> Result<Policy> {
        let entities = self.entities.iter().flat_map(|wanted| match wanted {
            Wanted::All => Entity::BUILT_IN.to_vec(),
            Wanted::One(entity) => vec![*entity],
        });
        let spec = PolicySpec {
            filter: match self.filter {
                FilterName::Off => Filter::Off,
                FilterName::Lenient => Filter::Lenient,
                FilterName::Balanced => Filter::Balanced,
                FilterName::Strict => Filter::Strict,
            },
            entities: (!self.entities.is_empty()).then(|| entities.collect()),
            action: match self.action {
                ActionName::Mask => Action::Mask,
                ActionName::Label => Action::Label,
                ActionName::Hash => Action::Hash,
                ActionName::Pseudonym => Action::Pseudonym,
            },
            ..PolicySpec::default()
        };
        let said = |problem: &dyn std::fmt::Display| anyhow!("{problem}");
        Policy::compile(&spec)
            .map_err(|problems| problems.first().map_or(anyhow!("no policy"), |first| said(first)))
    }
}

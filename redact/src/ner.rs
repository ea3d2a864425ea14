//! The embedded tagger: finds names of persons, places and organisations in running text.
//!
//! A linear model over hashed features, decoded greedily; weights lie in the binary. It reads Latin scripts best, and
//! leaks more names in slang and lower case: `MODEL.md` has the figures. It does not look for structured values such as
//! numbers and addresses, and knows nothing of policies. Start at [`Tagger::spans`]; [`Scan`] does the same in slices.

mod decode;
mod feature;
mod gazetteer;
mod hash;
mod label;
mod model;
mod scan;
mod token;
#[cfg(feature = "train")]
pub mod train;
mod word;

use std::sync::OnceLock;

use crate::names::{NameFinder, NameSpan};
pub use model::InvalidWeights;
use model::{Model, manifest_line};
pub use scan::{Progress, Scan};

/// The weights of this build.
static WEIGHTS: &[u8] = include_bytes!("../weights/names.bin");

/// The name tagger.
#[derive(Debug)]
pub struct Tagger {
    model: Model,
}

impl Tagger {
    /// The tagger with the weights of this build, loaded once.
    ///
    /// # Errors
    /// The weights do not fit this build: names cannot be found, and text must not pass as if they had been.
    pub fn embedded() -> Result<&'static Self, InvalidWeights> {
        static TAGGER: OnceLock<Result<Tagger, InvalidWeights>> = OnceLock::new();
        TAGGER.get_or_init(|| Self::parse(WEIGHTS)).as_ref().map_err(|invalid| *invalid)
    }

    /// A tagger with other weights, as the trainer writes them.
    ///
    /// # Errors
    /// Anything in the file differs from what this build reads.
    pub fn parse(file: &'static [u8]) -> Result<Self, InvalidWeights> {
        Ok(Self { model: Model::parse(file)? })
    }

    /// All names of a text, in order, without overlap. Linear in the length of the text.
    ///
    /// `recall_bias` nats (0 to 4 make sense) are taken off the score of "no name": more is found, and more is wrong.
    #[must_use]
    pub fn spans(&self, text: &str, recall_bias: f32) -> Vec<NameSpan> {
        let mut spans = Vec::new();
        let mut scan = Scan::new(self, recall_bias);
        while scan.step(text, &mut spans) == Progress::More {}
        spans
    }

    /// Licence of the weights: an SPDX expression.
    #[must_use]
    pub fn licence(&self) -> &str {
        manifest_line(self.model.manifest, "licence").unwrap_or_default()
    }

    /// What the weights were trained on, line by line: labels, licence, SHA-256 and path of each input.
    #[must_use]
    pub fn manifest(&self) -> &str {
        self.model.manifest
    }
}

impl NameFinder for Tagger {
    fn find(&self, text: &str, recall_bias: f32, out: &mut Vec<NameSpan>) {
        out.extend(self.spans(text, recall_bias));
    }
}

#[cfg(test)]
mod tests;

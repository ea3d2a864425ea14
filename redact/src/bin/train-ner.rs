//! `train-ner DATA_DIR OUT [--without-share-alike]`: trains the name tagger and writes its weight file.

use std::io::{Write as _, stderr};
use std::path::Path;

use anyhow::{Result, bail};
use chaperone_redact::ner::train::{Effort, corpus::ShareAlike, weights};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (data, out, share_alike) = match arguments[..] {
        [data, out] => (data, out, ShareAlike::With),
        [data, out, "--without-share-alike"] => (data, out, ShareAlike::Without),
        _ => bail!("usage: train-ner DATA_DIR OUT [--without-share-alike]"),
    };
    let mut progress = |line: &str| {
        // Progress that nobody can read must not stop the training.
        let _ = writeln!(stderr(), "{line}");
    };
    let file = weights(Path::new(data), share_alike, Effort::Full, &mut progress)?;
    std::fs::write(out, &file)?;
    progress(&format!("wrote {} bytes to {out}", file.len()));
    Ok(())
}

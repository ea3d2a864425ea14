#![cfg(test)]
//! Training on a tiny data set of our own: the same data gives the same bytes, and other data is refused.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chaperone_redact::NameKind;
use chaperone_redact::ner::Tagger;
use chaperone_redact::ner::train::corpus::ShareAlike;
use chaperone_redact::ner::train::{Effort, weights};
use sha2::{Digest as _, Sha256};

/// A data folder of invented sentences.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plain = "Quilla\tB-PER\nVorn\tI-PER\nwent\tO\nto\tO\nDrellmouth\tB-LOC\n.\tO\n\n".repeat(8);
    let shared = "the\tO\nold\tO\nOrbworks\tB-ORG\nhouse\tO\n\n".repeat(8);
    let files = [
        ("train/plain.tsv", plain.as_str()),
        ("train/sharealike/shared.tsv", shared.as_str()),
        ("gazetteers/family-names-us.tsv", "Vorn\t20000\nRare\t3\n"),
        ("gazetteers/given-names-nyc.tsv", "Quilla\t12\n"),
        ("gazetteers/cities-world.tsv", "Drellmouth\tUtopia\tNew Drell\t1\n"),
    ];
    let mut sums = String::new();
    for (path, text) in files {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        let hash = Sha256::digest(text).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        writeln!(sums, "{hash}  {path}").unwrap();
    }
    fs::write(folder.path().join("SHA256SUMS"), sums).unwrap();
    folder
}

fn train(folder: &Path, share_alike: ShareAlike) -> Vec<u8> {
    weights(folder, share_alike, Effort::Quick, &mut |_| {}).unwrap()
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let folder = folder();
    assert!(train(folder.path(), ShareAlike::With) == train(folder.path(), ShareAlike::With));
}

#[test]
fn what_was_learned_is_found_again() {
    let folder = folder();
    let tagger = Tagger::parse(train(folder.path(), ShareAlike::With).leak()).unwrap();
    let found: Vec<_> = tagger.spans("Quilla Vorn went to Drellmouth.", 0.0);
    let entities: Vec<NameKind> = found.iter().map(|span| span.kind).collect();
    assert_eq!(entities, [NameKind::Person, NameKind::Location]);
    assert_eq!((found[0].start, found[0].end), (0, 11));
}

#[test]
fn share_alike_data_gives_the_weights_its_licence() {
    let folder = folder();
    let with = Tagger::parse(train(folder.path(), ShareAlike::With).leak()).unwrap();
    let without = Tagger::parse(train(folder.path(), ShareAlike::Without).leak()).unwrap();
    assert_eq!((with.licence(), without.licence()), ("CC-BY-SA-4.0", "Apache-2.0"));
    assert!(with.manifest().contains("sharealike/shared.tsv"));
    assert!(!without.manifest().contains("sharealike"));
}

#[test]
fn a_file_that_differs_from_its_recorded_hash_is_refused() {
    let folder = folder();
    fs::write(folder.path().join("train/plain.tsv"), "Other\tO\n\n").unwrap();
    let refused = weights(folder.path(), ShareAlike::With, Effort::Quick, &mut |_| {}).unwrap_err();
    assert_eq!(refused.to_string(), "train/plain.tsv differs from SHA256SUMS");
}

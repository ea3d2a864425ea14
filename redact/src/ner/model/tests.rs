//! A weight file is taken whole and unchanged, or not at all.

use super::{InvalidWeights, Model, Parts};
use crate::ner::feature::ROW_BITS;
use crate::ner::gazetteer::entry;
use crate::ner::label::{LANES, NAMES};

fn file(manifest: &str, entries: &[u64]) -> Vec<u8> {
    let table = vec![1; LANES << ROW_BITS];
    Parts { manifest, entries, nats: 0.1, table: &table }.write()
}

fn valid() -> Vec<u8> {
    file(&format!("licence Apache-2.0\nlabels {NAMES}\n"), &[entry(1 << 20, 1), entry(1 << 40, 2)])
}

fn refusal(file: Vec<u8>) -> Option<InvalidWeights> {
    Model::parse(file.leak()).err()
}

/// The valid file with one byte changed.
fn changed(at: usize) -> Option<InvalidWeights> {
    let mut file = valid();
    file[at] ^= 0x40;
    refusal(file)
}

#[test]
fn what_was_written_is_read() {
    let model = Model::parse(valid().leak()).unwrap();
    assert_eq!(model.nats, 0.1);
    assert_eq!([1 << 20, 1 << 40, 1 << 30].map(|hash| model.gazetteer.lookup(hash)), [1, 2, 0]);
}

#[test]
fn each_field_of_the_header_must_match() {
    assert_eq!(changed(0), Some(InvalidWeights::Magic));
    assert_eq!(changed(8), Some(InvalidWeights::Mismatch("format")));
    assert_eq!(changed(12), Some(InvalidWeights::Mismatch("feature version")));
    assert_eq!(changed(16), Some(InvalidWeights::Mismatch("table size")));
    assert_eq!(changed(20), Some(InvalidWeights::Mismatch("number of labels")));
    assert_eq!(changed(24), Some(InvalidWeights::Size));
    assert_eq!(changed(28), Some(InvalidWeights::Size));
    assert_eq!(changed(36), Some(InvalidWeights::Checksum));
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    for at in [44, 60, 150, 200, 3_000_000] {
        assert_eq!(changed(at), Some(InvalidWeights::Checksum), "byte {at}");
    }
}

#[test]
fn a_scale_that_is_no_positive_number_is_refused() {
    for nats in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
        let mut file = valid();
        file[32..36].copy_from_slice(&nats.to_bits().to_le_bytes());
        assert_eq!(refusal(file), Some(InvalidWeights::Malformed("scale")));
    }
}

#[test]
fn every_other_length_is_refused() {
    let whole = valid();
    for length in [0, 7, 43, 44, 100, whole.len() - 1] {
        assert!(refusal(whole[..length].to_vec()).is_some(), "{length} bytes");
    }
    let mut longer = whole;
    longer.push(0);
    assert_eq!(refusal(longer), Some(InvalidWeights::Size));
}

#[test]
fn labels_and_licence_must_be_stated() {
    assert_eq!(refusal(file("licence X\nlabels O\n", &[])), Some(InvalidWeights::Mismatch("list of labels")));
    let unlicensed = refusal(file(&format!("labels {NAMES}\n"), &[]));
    assert_eq!(unlicensed, Some(InvalidWeights::Malformed("manifest: no licence")));
}

#[test]
fn lists_out_of_order_are_refused() {
    let unsorted = [entry(1 << 40, 2), entry(1 << 20, 1)];
    let file = file(&format!("licence X\nlabels {NAMES}\n"), &unsorted);
    assert_eq!(refusal(file), Some(InvalidWeights::Malformed("name list")));
}

//! Any bytes in any chunks: the same bytes as in one piece, with a bounded hold-back, in text and in arguments.
#![no_main]

use std::sync::Arc;

use chaperone_redact::{
    Action, ArgumentRedactor, Filter, Policy, PolicySpec, PseudonymKey, StreamRedactor, Vault,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, text) = input;
    let spec = PolicySpec { filter: Filter::Strict, action: Action::Label, ..PolicySpec::default() };
    let policy = Arc::new(Policy::compile(&spec).expect("the policy is sound"));
    assert_eq!(in_text(&policy, &text, &cuts), in_text(&policy, &text, &[]));
    assert_eq!(in_arguments(&policy, &text, &cuts), in_arguments(&policy, &text, &[]));
});

/// The text in pieces as long as `cuts` says, again and again.
fn pieces<'t>(text: &'t [u8], cuts: &'t [u8]) -> impl Iterator<Item = &'t [u8]> {
    let mut lengths = cuts.iter().map(|cut| usize::from(*cut) + 1).cycle();
    let mut rest = text;
    std::iter::from_fn(move || {
        let len = lengths.next().unwrap_or(usize::MAX).min(rest.len());
        let piece;
        (piece, rest) = rest.split_at(len);
        (!piece.is_empty()).then_some(piece)
    })
}

fn in_text(policy: &Arc<Policy>, text: &[u8], cuts: &[u8]) -> Option<Vec<u8>> {
    let (mut stream, mut vault) = (StreamRedactor::new(Arc::clone(policy), None), vault());
    let mut all = Vec::new();
    // What was released before a refusal depends on the chunks; that it is refused does not.
    for piece in pieces(text, cuts) {
        all.extend(stream.push(piece, &mut vault).ok()?);
    }
    all.extend(stream.flush(&mut vault).ok()?);
    Some(all)
}

fn in_arguments(policy: &Arc<Policy>, text: &[u8], cuts: &[u8]) -> Option<Vec<u8>> {
    let (mut stream, mut vault) = (ArgumentRedactor::new(Arc::clone(policy), None), vault());
    let mut all = Vec::new();
    for piece in pieces(text, cuts) {
        all.extend(stream.push(piece, &mut vault).ok()?);
    }
    all.extend(stream.flush(&mut vault).ok()?);
    Some(all)
}

fn vault() -> Vault {
    Vault::new(PseudonymKey::new([1; 32]), "alpha", "")
}

//! Any answer in any chunks: the same bytes as in one piece, and nothing but live placeholders changes.
#![no_main]

use chaperone_redact::{
    Action, FieldTable, Landing, Policy, PolicySpec, PseudonymKey, Rules, StreamRestorer, Vault, redact_text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, mut text) = input;
    let policy = Policy::compile(&PolicySpec { action: Action::Pseudonym, ..PolicySpec::default() });
    let policy = policy.expect("the policy is sound");
    let mut vault = Vault::new(PseudonymKey::new([1; 32]), "alpha", "");
    let rules = Rules { policy: &policy, table: FieldTable::Unknown, names: None };
    let values = b"ann@example.org, card 4111 1111 1111 1111";
    let sent = redact_text(values, rules, &mut vault).expect("values are found").to_vec();
    // Live placeholders cannot be guessed: a byte stands for what was sent.
    while let Some(at) = text.iter().position(|byte| *byte == 0) {
        text.splice(at..=at, sent.iter().copied());
        if text.len() > 1 << 16 {
            return;
        }
    }
    for landing in [Landing::Text, Landing::Json] {
        let whole = restored(&vault, landing, &text, &[]);
        assert_eq!(restored(&vault, landing, &text, &cuts), whole);
        assert!(whole.1 > 0 || whole.0 == text);
    }
});

fn restored(vault: &Vault, landing: Landing, text: &[u8], cuts: &[u8]) -> (Vec<u8>, u32, u32) {
    let mut restorer = StreamRestorer::new(vault, landing);
    let mut lengths = cuts.iter().map(|cut| usize::from(*cut) + 1).cycle();
    let (mut all, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(lengths.next().unwrap_or(usize::MAX).min(rest.len()));
        all.extend(restorer.push(piece));
        rest = after;
    }
    all.extend(restorer.flush());
    (all, restorer.restored(), restorer.foreign())
}

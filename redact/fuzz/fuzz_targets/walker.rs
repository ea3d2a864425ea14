//! Any bytes as a body: no panic, the same verdict for every budget, and what was JSON stays JSON.
#![no_main]

use chaperone_redact::{
    Action, Engine, FieldTable, Filter, Policy, PolicySpec, Progress, PseudonymKey, Rules, Vault, redact_json,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, Vec<u8>)| {
    let (budget, body) = input;
    let spec = PolicySpec { filter: Filter::Strict, action: Action::Label, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).expect("the policy is sound");
    for table in [FieldTable::OpenAiChat, FieldTable::AnthropicMessages, FieldTable::Nested] {
        let rules = Rules { policy: &policy, table, names: None };
        let whole = redact_json(&body, rules, &mut vault()).map(|done| done.to_vec());
        let mut vault = vault();
        let mut engine = Engine::new(&body, rules, &mut vault);
        let paused = loop {
            match engine.step(usize::from(budget)) {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => break engine.finish().map(|done| done.to_vec()),
                Err(refused) => break Err(refused),
            }
        };
        assert_eq!(paused, whole);
        if let Ok(done) = whole {
            let ignored = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
            assert!(!ignored(&body) || ignored(&done));
        }
    }
});

fn vault() -> Vault {
    Vault::new(PseudonymKey::new([1; 32]), "alpha", "")
}

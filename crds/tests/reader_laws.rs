#![cfg(test)]
//! Laws of the reader: whatever comes in, it answers; JSON, which is YAML, is read as what it is.

use chaperone_crds::{admit, read_documents};
use proptest::prelude::*;
use serde_json::Value;

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "(yes|0x1|~|null|<<|a: b|- c|#d|)".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{1,8}", inner, 0..4)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_is_read_as_it_is(value in json()) {
        let text = serde_json::to_string(&value).unwrap();
        let documents = read_documents(&text).unwrap();
        prop_assert_eq!(documents.iter().map(|it| &it.value).collect::<Vec<_>>(), [&value]);
    }

    #[test]
    fn any_text_gets_an_answer(text in "([-:#&*!|>'\"{}\\[\\],?%@` \n]|[a-z0-9]{1,4}){0,64}") {
        for document in read_documents(&text).unwrap_or_default() {
            prop_assert!(document.line("spec.models[0].name") >= 1);
            let _ = admit(&document.value);
        }
    }

    #[test]
    fn any_spec_gets_an_answer(spec in json(), kind in "(Partner|ModelRoute|TenantQuota|Secret|ConfigMap|Namespace)") {
        let api_version = if kind.len() > 9 || kind == "Partner" { "chaperone.dev/v1alpha1" } else { "v1" };
        let object = serde_json::json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec, "data": spec,
        });
        if let Err(problems) = admit(&object) {
            prop_assert!(!problems.is_empty());
        }
    }
}

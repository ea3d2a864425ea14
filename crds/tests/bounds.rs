#![cfg(test)]
//! Every bound in a definition holds: what lies on it passes, what lies beyond it is refused at its path.
//!
//! The bounds are read from the schema, the objects from `cases/good/full.yaml`, which has every field: a new
//! bounded field is tested without a line here.

use chaperone_crds::{Problem, admit, crds, read_documents};
use serde_json::{Map, Value, json};

/// What stands at a bound, what lies beyond it, and how the refusal begins.
struct Edge {
    within: Value,
    beyond: Value,
    refusal: &'static str,
}

fn edges(schema: &Value, value: &Value) -> Vec<Edge> {
    let size = |keyword: &str| schema[keyword].as_u64().map(|bound| usize::try_from(bound).unwrap());
    let text = |length: usize| json!("a".repeat(length));
    let list = |length: usize| json!(vec![value[0].clone(); length]);
    let map = |length: usize| -> Value {
        (0..length).map(|it| (format!("k{it}"), json!("v"))).collect::<Map<_, _>>().into()
    };
    let mut edges = Vec::new();
    let mut most = |keyword: &str, make: &dyn Fn(usize) -> Value, refusal| {
        edges.extend(size(keyword).map(|most| Edge { within: make(most), beyond: make(most + 1), refusal }));
    };
    most("maxLength", &text, "Too long: may not be more than");
    most("maxItems", &list, "Too many: ");
    most("maxProperties", &map, "Too many: ");
    let mut least = |keyword: &str, make: &dyn Fn(usize) -> Value, refusal| {
        edges.extend(size(keyword).map(|least| Edge {
            within: make(least),
            beyond: make(least - 1),
            refusal,
        }));
    };
    least("minLength", &text, "Invalid value: \"\": should be at least");
    least("minItems", &list, "Invalid value: 0: should have at least");
    least("minProperties", &map, "Invalid value: 0: should have at least");
    #[expect(clippy::cast_possible_truncation, reason = "bounds of integers are integers")]
    let number = |keyword: &str| schema[keyword].as_f64().map(|bound| bound as i64);
    let mut end = |keyword: &str, step: i64, refusal| {
        edges.extend(number(keyword).map(|end| Edge {
            within: json!(end),
            beyond: json!(end + step),
            refusal,
        }));
    };
    end("minimum", -1, "Invalid value: ");
    end("maximum", 1, "Invalid value: ");
    edges
}

/// Whether `object`, with `value` at `pointer`, is refused at `path` with a message that begins so.
fn is_refused(object: &Value, pointer: &str, value: &Value, path: &str, refusal: &str) -> bool {
    let mut object = object.clone();
    *object.pointer_mut(pointer).unwrap() = value.clone();
    let problems = admit(&object).err().unwrap_or_default();
    let is_that =
        |it: &Problem| it.path == path && it.message.starts_with(refusal) && !it.message.contains("match");
    problems.iter().any(is_that)
}

/// Where a value is: for the JSON, and for people.
#[derive(Clone)]
struct Place {
    pointer: String,
    path: String,
}

fn check(object: &Value, schema: &Value, place: &Place, checked: &mut usize) {
    let Some(value) = object.pointer(&place.pointer) else { return };
    for Edge { within, beyond, refusal } in edges(schema, value) {
        let is_refused = |value: &Value| is_refused(object, &place.pointer, value, &place.path, refusal);
        assert!(!is_refused(&within), "{}: {within} is within its bound", place.path);
        assert!(is_refused(&beyond), "{}: {beyond} is beyond its bound", place.path);
        *checked += 1;
    }
    for (name, inside) in schema["properties"].as_object().into_iter().flatten() {
        let inner =
            Place { pointer: format!("{}/{name}", place.pointer), path: format!("{}.{name}", place.path) };
        check(object, inside, &inner, checked);
    }
    if let Some(inside) = schema.get("items") {
        let inner = Place { pointer: format!("{}/0", place.pointer), path: format!("{}[0]", place.path) };
        check(object, inside, &inner, checked);
    }
}

#[test]
fn every_bound_of_every_field_is_held() {
    let full = read_documents(include_str!("cases/good/full.yaml")).unwrap();
    let mut checked = 0;
    for crd in crds() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        for document in full.iter().filter(|it| it.value["kind"] == *crd.spec.names.kind) {
            let place = Place { pointer: "/spec".to_owned(), path: "spec".to_owned() };
            check(&document.value, spec, &place, &mut checked);
        }
    }
    assert!(checked > 80, "{checked}");
}

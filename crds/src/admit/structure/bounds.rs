//! Least and most: of numbers, of characters, of items and members.

use serde_json::{Number, Value};

use super::{Problem, quoted};

/// `minimum` and `maximum`.
pub(super) fn number(schema: &Value, number: &Number, path: &str, problems: &mut Vec<Problem>) {
    let Some(value) = number.as_f64() else { return };
    if let Some(least) = schema["minimum"].as_f64().filter(|least| value < *least) {
        let message = format!("Invalid value: {number}: should be greater than or equal to {least}");
        problems.push(Problem::new(path, message));
    }
    if let Some(most) = schema["maximum"].as_f64().filter(|most| value > *most) {
        let message = format!("Invalid value: {number}: should be less than or equal to {most}");
        problems.push(Problem::new(path, message));
    }
}

/// `maxLength`, in characters.
pub(super) fn too_long(schema: &Value, text: &str) -> Option<String> {
    let most = bound(schema, "maxLength").filter(|most| text.chars().count() > *most)?;
    Some(format!("Too long: may not be more than {most} chars long"))
}

/// `minLength`, in characters.
pub(super) fn too_short(schema: &Value, text: &str) -> Option<String> {
    let least = bound(schema, "minLength").filter(|least| text.chars().count() < *least)?;
    Some(format!("Invalid value: {}: should be at least {least} chars long", quoted(text)))
}

/// `minItems` and `maxItems`, `minProperties` and `maxProperties`: `of` is the keyword's second half.
pub(super) fn size(schema: &Value, of: &str, size: usize, path: &str, problems: &mut Vec<Problem>) {
    if let Some(least) = bound(schema, &format!("min{of}")).filter(|least| size < *least) {
        let of = of.to_lowercase();
        problems
            .push(Problem::new(path, format!("Invalid value: {size}: should have at least {least} {of}")));
    }
    if let Some(most) = bound(schema, &format!("max{of}")).filter(|most| size > *most) {
        let of = of.to_lowercase();
        problems.push(Problem::of_shape(path, format!("Too many: {size}: must have at most {most} {of}")));
    }
}

fn bound(schema: &Value, keyword: &str) -> Option<usize> {
    schema[keyword].as_u64().and_then(|bound| usize::try_from(bound).ok())
}

//! What a plain scalar means: the core schema of YAML 1.2, where `kubectl`'s YAML 1.1 agrees.

use serde_json::{Number, Value};

use super::DocumentProblem;

/// Words that YAML 1.1 reads as booleans and YAML 1.2 as text.
const BOOLEAN_BEFORE: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];

/// The meaning of an unquoted word.
pub(super) fn plain(text: &str) -> Result<Value, DocumentProblem> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if BOOLEAN_BEFORE.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Err(DocumentProblem::Ambiguous);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if [".inf", ".nan"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return Err(DocumentProblem::NotANumber);
    }
    match shape(unsigned) {
        Shape::Text => Ok(Value::String(text.to_owned())),
        Shape::Decimal => decimal(text),
        Shape::Ambiguous => Err(DocumentProblem::Ambiguous),
    }
}

/// What an unsigned plain scalar looks like.
enum Shape {
    Text,
    Decimal,
    /// A number to YAML 1.1, and something else to YAML 1.2.
    Ambiguous,
}

fn shape(unsigned: &str) -> Shape {
    if is_decimal(unsigned) {
        let has_leading_zero = unsigned.len() > 1
            && unsigned.starts_with('0')
            && unsigned.bytes().all(|byte| byte.is_ascii_digit());
        return if has_leading_zero { Shape::Ambiguous } else { Shape::Decimal };
    }
    if is_radix(unsigned) || is_grouped(unsigned) { Shape::Ambiguous } else { Shape::Text }
}

/// Digits with at most one point, then perhaps an exponent.
fn is_decimal(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    (is_digits(whole) && (decimals.is_empty() || is_digits(decimals))
        || whole.is_empty() && is_digits(decimals))
        && exponent.is_none_or(is_digits)
}

/// `0x1F`, `0o17`, `0b11`.
fn is_radix(unsigned: &str) -> bool {
    let is_digits = |digits: &str, radix: u32| {
        !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix) || digit == '_')
    };
    [("0x", 16), ("0o", 8), ("0b", 2)]
        .iter()
        .any(|(prefix, radix)| unsigned.strip_prefix(prefix).is_some_and(|digits| is_digits(digits, *radix)))
}

/// `1_000`.
fn is_grouped(unsigned: &str) -> bool {
    unsigned.starts_with(|first: char| first.is_ascii_digit())
        && unsigned.contains('_')
        && is_decimal(&unsigned.replace('_', ""))
}

fn decimal(text: &str) -> Result<Value, DocumentProblem> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(integer) = text.parse::<i64>() {
        return Ok(integer.into());
    }
    let float = text.parse::<f64>().map_err(|_| DocumentProblem::NotANumber)?;
    if float.fract() == 0.0 && float.abs() < WHOLE {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and every such number is an i64")]
        return Ok((float as i64).into());
    }
    Number::from_f64(float).map(Value::Number).ok_or(DocumentProblem::NotANumber)
}

/// Below it `1e3` and `5.0` are integers, as they are once `kubectl` has turned them into JSON.
const WHOLE: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_begins_like_an_exponent_is_a_word() {
        for word in ["e1", "E5", "e-3", ".", ".e1"] {
            assert!(!is_decimal(word), "{word}");
        }
        for number in ["1", "1.", ".5", "1e5", "1.5E-3"] {
            assert!(is_decimal(number), "{number}");
        }
    }
}

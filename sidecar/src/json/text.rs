//! Strings of JSON: from source form to text and back.

use std::borrow::Cow;

/// The text of a string whose inside, without quotes, is `source`. The source must have passed [`super::skim`].
pub(crate) fn unescape(source: &str) -> Cow<'_, str> {
    if !source.contains('\\') {
        return Cow::Borrowed(source);
    }
    // serde_json reads every string that the stricter scanner accepts; the quotes make it one.
    let quoted = format!("\"{source}\"");
    Cow::Owned(serde_json::from_str(&quoted).unwrap_or_default())
}

/// `text` as a string of JSON, with its quotes.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

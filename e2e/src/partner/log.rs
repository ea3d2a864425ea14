//! The arrival log: what a partner saw, the truth of every test.
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request as it arrived.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// Counts from 1 in the order of arrival.
    pub id: usize,
    /// Milliseconds since the partner started.
    pub at_ms: u64,
    /// Counts connections from 1.
    pub connection: usize,
    /// As written.
    pub method: String,
    /// As written, with the query.
    pub path: String,
    /// As written, in order.
    pub headers: Vec<(String, String)>,
    /// The body, where it is UTF-8 and bodies are kept.
    pub body: String,
    /// Length of the body on the wire, without framing.
    pub body_bytes: usize,
    /// How far its answer has come.
    pub ending: Ending,
    /// Why the provider's rules refused it, if they did.
    pub refused: Option<String>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// It has not.
    Open,
    /// It was written to its end.
    Whole,
    /// The script broke it off.
    Broken,
    /// The other side closed before its end.
    ClientGone,
}

impl Arrival {
    /// The first value of a header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// All arrivals, and the connections that were accepted.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// Connections accepted, those of the harness itself apart.
    pub connections: usize,
    /// In order.
    pub arrivals: Vec<Arrival>,
}

//! What is wrong with a document, and where. All problems are collected, not only the first.

use std::fmt;

/// One problem of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Invalid {
    /// Where it is, as `routes[2].targets[0].weight`.
    pub path: String,
    /// What is wrong, in lower case and without a full stop.
    pub problem: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.problem)
    }
}

/// Collects problems while a document is parsed.
#[derive(Debug, Default)]
pub struct Problems(Vec<Invalid>);

impl Problems {
    /// Notes one problem.
    pub fn add(&mut self, path: impl Into<String>, problem: impl fmt::Display) {
        self.0.push(Invalid { path: path.into(), problem: problem.to_string() });
    }

    /// Keeps the value of `parsed`, or notes its error under `path`.
    pub fn keep<T, E: fmt::Display>(&mut self, path: impl Into<String>, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.add(path, error)).ok()
    }

    /// Notes that a list is longer than `limit`.
    pub fn bound(&mut self, path: impl Into<String>, length: usize, limit: usize) {
        if length > limit {
            self.add(path, format!("has {length} entries; at most {limit} are allowed"));
        }
    }

    /// The value, if nothing was noted.
    ///
    /// # Errors
    /// All that was noted, sorted by path.
    pub fn finish<T>(mut self, value: T) -> Result<T, Vec<Invalid>> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort();
        Err(self.0)
    }
}

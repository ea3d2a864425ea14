//! Finds and replaces personal data in text, JSON and streams.

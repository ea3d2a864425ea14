//! The kinds as users write them, their generated YAML, and admit: an API server's checks without one.

//! Compiles custom resources into snapshots.

//! `chaperone`: the command line.
fn main() {}

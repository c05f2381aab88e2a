//! reprise
fn main() {}

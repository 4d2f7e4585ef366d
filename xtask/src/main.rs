//! umid.

fn main() {}

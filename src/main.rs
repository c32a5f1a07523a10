//! The falld program.

fn main() {}

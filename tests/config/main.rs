//! The configuration: what bad input gets, what layers give, and a sample file that cannot go stale.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

mod bad_input;
mod command;
mod layers;
mod sample;

use falld::config::load::{Loaded, from_bytes};
use std::path::Path;

/// Loads a text as if it stood in `falld.toml`.
fn parse(text: &str) -> Result<Loaded, String> {
    from_bytes(Path::new("falld.toml"), text.as_bytes()).map_err(|problems| problems.to_string())
}

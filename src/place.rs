//! Where a program that was built and not installed finds its parts: in the checkout that it was built in.
//!
//! An installed falld finds its model in `/usr/share/falld/model` and its runtime in `/usr/lib/falld`. One that runs as
//! `target/<profile>/falld` of a checkout takes the checkout's, if the installed ones are absent.

use std::path::{Path, PathBuf};

/// Where a model is installed: the default of `model.path`.
pub const MODEL: &str = "/usr/share/falld/model";

/// The checkout that this program was built in and still lies in.
pub fn checkout() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    // target/<profile>/falld, and target/<profile>/deps/<test>.
    let roots = program.ancestors().skip(3).take(2);
    roots.filter(|root| root.join("Cargo.toml").is_file() && root.join("models").is_dir()).map(Path::to_owned).next()
}

/// The folder to load a model from: `configured`, or the checkout's where nothing is installed in the default place.
pub fn model(configured: &Path) -> PathBuf {
    let own = checkout().map(|root| root.join("models/bundle"));
    match own {
        Some(own) if configured == Path::new(MODEL) && !configured.exists() => own,
        _ => configured.to_owned(),
    }
}

//! The bundle on disk: its manifest, read, checked and boiled down to a [`Spec`].
//!
//! What passes here can be loaded: the schema is known, every file is there with the promised SHA-256, and the
//! tensors' shapes agree with each other. `models/README.md` is the format's description.

mod manifest;
mod spec;

use super::ClassifierError;
use crate::place;
pub use manifest::{
    ClipFacts, FrameFacts, Manifest, NetworkFacts, PeopleFacts, ProbeFacts, ProbePerson, SecondLookFacts, Side,
    TensorFacts, TrackerFacts,
};
use sha2::{Digest, Sha256};
pub use spec::Spec;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The only manifest schema this falld reads.
pub const SCHEMA: u32 = 1;
/// Newest ONNX opset that every supported runtime (ONNX Runtime 1.17 and later) executes.
pub const MAX_OPSET: u32 = 20;

/// A bundle whose files are the promised ones.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// The facts for the stages.
    pub spec: Spec,
}

fn refuse<T>(text: String) -> Result<T, ClassifierError> {
    Err(ClassifierError::Bundle(text))
}

impl Bundle {
    /// Reads and checks the bundle in `folder`. Costs one read of both networks.
    pub fn open(folder: &Path) -> Result<Self, ClassifierError> {
        let bundle = Self::read(folder)?;
        for network in [&bundle.manifest.encoder, &bundle.manifest.head] {
            check_file(&bundle.folder.join(&network.file), network)?;
        }
        Ok(bundle)
    }

    /// Reads and checks the manifest in `folder` alone: what the networks beside it should be, not whether they are.
    pub fn read(folder: &Path) -> Result<Self, ClassifierError> {
        let folder = place::model(folder);
        let path = folder.join("manifest.json");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            ClassifierError::Bundle(format!(
                "model.path: cannot read {}: {error}. Point model.path at a folder that holds a falld model bundle.",
                path.display()
            ))
        })?;
        let manifest: Manifest = serde_json::from_str(&text).map_err(|error| {
            ClassifierError::Bundle(format!(
                "model.path: {} is not a manifest that this falld reads: {error}. Install the bundle again.",
                path.display()
            ))
        })?;
        let spec = spec::check(&manifest, &path)?;
        Ok(Self { folder, manifest, spec })
    }
}

fn check_file(path: &Path, network: &NetworkFacts) -> Result<(), ClassifierError> {
    let actual = hash(path).map_err(|error| {
        ClassifierError::Bundle(format!("cannot read {}: {error}. Install the bundle again.", path.display()))
    })?;
    if !actual.eq_ignore_ascii_case(&network.sha256) {
        return refuse(format!(
            "{} has SHA-256 {actual}, but its manifest promises {}. The file is damaged or belongs to another bundle: \
             install the bundle again.",
            path.display(),
            network.sha256
        ));
    }
    Ok(())
}

fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut block)?;
        if length == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&block[..length]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

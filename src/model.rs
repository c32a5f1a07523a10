//! Brings a model to work: bundle, runtime, engine, probe. What `run`, `doctor`, `replay` and `bench` share.

use crate::classifier::bundle::Bundle;
use crate::classifier::{Classifier, ClassifierError};
use crate::config::Config;
use crate::engine::{Engine, batch_size};
use crate::probe;
use crate::zone::Zones;

/// A model that has passed its probe.
#[derive(Debug)]
pub struct Loaded {
    /// Ready for frames.
    pub engine: Engine,
    /// Its facts.
    pub bundle: Bundle,
    /// Where it runs, and what each wished provider answered.
    pub provider: String,
    /// The provider's name alone, for metrics.
    pub active: String,
    /// A provider that was wished for before it refused.
    pub refused: bool,
    /// How near it came to what the manifest promises of the probe clip.
    pub agreement: probe::Agreement,
}

/// Loads the configured bundle for `cameras` cameras and lets it pass its probe.
pub fn load(config: &Config, cameras: usize) -> Result<Loaded, ClassifierError> {
    let bundle = Bundle::open(&config.model.path)?;
    let batch = batch_size(&bundle.spec, cameras, config.model.memory_budget_mb);
    let Running { classifier, provider, active, refused } = running(&bundle, config, batch)?;
    let mut engine = Engine::new(classifier, cameras.max(1), batch, &config.policy);
    let agreement = probe::run(&mut engine, &bundle.manifest.probe, &config.policy)?;
    Ok(Loaded { engine, bundle, provider, active, refused, agreement })
}

/// Loads it for the configured cameras, with the places marked in their pictures.
pub fn for_cameras(config: &Config) -> Result<Loaded, ClassifierError> {
    let mut loaded = load(config, config.camera.len())?;
    for (index, camera) in config.camera.values().enumerate() {
        loaded.engine.mark(index, Zones::new(camera))?;
    }
    Ok(loaded)
}

/// A classifier, and what is known of where it runs.
struct Running {
    classifier: Box<dyn Classifier>,
    provider: String,
    active: String,
    refused: bool,
}

#[cfg(feature = "ort")]
fn running(bundle: &Bundle, config: &Config, batch: usize) -> Result<Running, ClassifierError> {
    let classifier = crate::classifier::ort::OrtClassifier::load(bundle, &config.model, batch)?;
    let reports = classifier.reports();
    let (provider, active, refused) = (reports.to_string(), reports.active().to_string(), reports.refused());
    Ok(Running { classifier: Box::new(classifier), provider, active, refused })
}

#[cfg(not(feature = "ort"))]
fn running(_bundle: &Bundle, _config: &Config, _batch: usize) -> Result<Running, ClassifierError> {
    Err(ClassifierError::Runtime(
        "this falld was built without inference. Build it with the feature `ort` (it is on by default).".into(),
    ))
}

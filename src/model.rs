//! Brings a model to work: bundle, runtime, engine, probe. What `run`, `doctor`, `replay` and `bench` share.

use crate::classifier::bundle::Bundle;
use crate::classifier::{Classifier, ClassifierError};
use crate::config::Config;
use crate::engine::{Engine, batch_size};
use crate::probe;

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
    /// Greatest difference from the manifest's probe logits.
    pub deviation: f32,
}

/// Loads the configured bundle for `cameras` cameras and lets it pass its probe.
pub fn load(config: &Config, cameras: usize) -> Result<Loaded, ClassifierError> {
    let bundle = Bundle::open(&config.model.path)?;
    let batch = batch_size(&bundle.spec, cameras, config.model.memory_budget_mb);
    let (classifier, provider, active) = classifier(&bundle, config, batch)?;
    let mut engine = Engine::new(classifier, cameras.max(1), batch, &config.policy);
    let deviation = probe::run(&mut engine, &bundle.manifest.probe, &config.policy)?;
    Ok(Loaded { engine, bundle, provider, active, deviation })
}

#[cfg(feature = "ort")]
fn classifier(
    bundle: &Bundle,
    config: &Config,
    batch: usize,
) -> Result<(Box<dyn Classifier>, String, String), ClassifierError> {
    let classifier = crate::classifier::ort::OrtClassifier::load(bundle, &config.model, batch)?;
    let (report, active) = (classifier.report().to_string(), classifier.report().active.to_string());
    Ok((Box::new(classifier), report, active))
}

#[cfg(not(feature = "ort"))]
fn classifier(
    _bundle: &Bundle,
    _config: &Config,
    _batch: usize,
) -> Result<(Box<dyn Classifier>, String, String), ClassifierError> {
    Err(ClassifierError::Runtime(
        "this falld was built without inference. Build it with the feature `ort` (it is on by default).".into(),
    ))
}

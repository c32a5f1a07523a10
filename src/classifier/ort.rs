//! The classifier on ONNX Runtime.
//!
//! Loading refuses rather than guesses: the runtime library is named or found, each execution provider's own answer is
//! kept, tensors must match the manifest, and `model.require` refuses anything else than the provider it names. A
//! running classifier allocates nothing on Rust's heap: tensors are made once for each batch size and reused.

mod network;
mod provider;
mod runtime;

pub use provider::{Answer, Report, Reports};
pub use runtime::find as find_runtime;

use super::bundle::{Bundle, Spec};
use super::{Classifier, ClassifierError, Encoding, Scoring};
use crate::config::ModelConfig;
use network::Network;

/// A bundle loaded into ONNX Runtime.
#[derive(Debug)]
pub struct OrtClassifier {
    spec: Spec,
    encoder: Network,
    head: Network,
    reports: Reports,
}

/// All of an error's causes on one line: ONNX Runtime hides the reason in the source.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl OrtClassifier {
    /// Loads a checked bundle for batches of up to `cameras` pictures.
    ///
    /// Costs a second or so on the processor, minutes when TensorRT builds its engines for the first time.
    pub fn load(bundle: &Bundle, config: &ModelConfig, cameras: usize) -> Result<Self, ClassifierError> {
        let environment = runtime::environment(config)?;
        let people = bundle.spec.people + usize::from(bundle.spec.scene_row);
        let encoder = &bundle.manifest.encoder;
        let head = &bundle.manifest.head;
        let (encoder, of_encoder) = Network::load(environment, bundle, encoder, config, cameras)?;
        let (head, of_head) = Network::load(environment, bundle, head, config, cameras * people.max(1))?;
        let reports = Reports { encoder: of_encoder, head: of_head };
        Ok(Self { spec: bundle.spec.clone(), encoder, head, reports })
    }

    /// Where the model runs, and what each wished provider answered.
    pub fn reports(&self) -> &Reports {
        &self.reports
    }
}

impl Classifier for OrtClassifier {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn encode(&mut self, batch: &mut Encoding) -> Result<(), ClassifierError> {
        let spec = &self.spec;
        let mut run = self.encoder.prepare(batch.len)?;
        run.write_u8("frame", &batch.frames)?;
        run.write_u8("previous", &batch.previous)?;
        let mut offset = 0;
        for (index, length) in spec.states.iter().enumerate() {
            run.write_state(index, *length, spec.state_len(), offset, &batch.state)?;
            offset += length;
        }
        run.run()?;
        run.read("people", &mut batch.people)?;
        run.read("scene", &mut batch.scene)?;
        let mut offset = 0;
        for (index, length) in spec.states.iter().enumerate() {
            run.read_state(index, *length, spec.state_len(), offset, &mut batch.state)?;
            offset += length;
        }
        Ok(())
    }

    fn score(&mut self, rows: &mut Scoring) -> Result<(), ClassifierError> {
        let mut run = self.head.prepare(rows.len)?;
        run.write_f32("person", &rows.person)?;
        run.write_f32("scene", &rows.scene)?;
        run.write_f32("mask", &rows.mask)?;
        run.run()?;
        run.read("logits", &mut rows.logits)
    }
}

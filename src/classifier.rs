//! The seam to the network: what falld asks of a model, in plain buffers.
//!
//! [`spec`](Classifier::spec) is the manifest's word on shapes, rate, classes and thresholds. `encode` runs once for a
//! batch of pictures from all cameras, `score` once for the rings of everybody followed. Shapes are those of
//! `models/README.md`. Adapters: `ort` (ONNX Runtime) and `scripted` (a stated answer for each picture, for tests).

pub mod bundle;
#[cfg(feature = "ort")]
pub mod ort;
pub mod scripted;

pub use bundle::Spec;

/// Why the model gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// The bundle cannot be used: missing file, wrong hash, shape, opset or manifest. Says what and how to mend it.
    #[error("{0}")]
    Bundle(String),
    /// The runtime or a required execution provider is missing.
    #[error("{0}")]
    Runtime(String),
    /// An execution provider that serves could not take a network. Its memory may have been short.
    #[error("{0}")]
    Provider(String),
    /// The probe's scores differ from the manifest's: wrong file, wrong runtime or broken kernels.
    #[error("{0}")]
    Probe(String),
    /// One inference failed.
    #[error("inference failed: {0}")]
    Inference(String),
}

impl ClassifierError {
    /// True if another start may succeed with nothing mended.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Provider(_) | Self::Inference(_))
    }
}

/// Pictures in, what the encoder says of them out. Made once, reused for every batch.
#[derive(Debug)]
pub struct Encoding {
    /// Pictures in use in this batch.
    pub len: usize,
    /// u8 `[capacity, H, W, 3]`.
    pub frames: Vec<u8>,
    /// u8 `[capacity, H, W, 3]`: each picture's predecessor.
    pub previous: Vec<u8>,
    /// f32 `[capacity, S]`: carried state in, and after the call, out. Empty if the model has none.
    pub state: Vec<f32>,
    /// f32 `[capacity, P, F]`.
    pub people: Vec<f32>,
    /// f32 `[capacity, G]`.
    pub scene: Vec<f32>,
}

impl Encoding {
    /// Buffers for up to `capacity` pictures.
    pub fn new(spec: &Spec, capacity: usize) -> Self {
        Self {
            len: 0,
            frames: vec![0; capacity * spec.frame.bytes()],
            previous: vec![0; capacity * spec.frame.bytes()],
            state: vec![0.0; capacity * spec.state_len()],
            people: vec![0.0; capacity * spec.people * spec.person_len],
            scene: vec![0.0; capacity * spec.scene_len],
        }
    }
}

/// Rings in, logits out. Made once, reused.
#[derive(Debug)]
pub struct Scoring {
    /// Rows in use.
    pub len: usize,
    /// f32 `[capacity, T, F]`, oldest first.
    pub person: Vec<f32>,
    /// f32 `[capacity, T, G]`, oldest first.
    pub scene: Vec<f32>,
    /// f32 `[capacity, T, 2]`: the tick exists; the person was seen.
    pub mask: Vec<f32>,
    /// f32 `[capacity, K]`.
    pub logits: Vec<f32>,
}

impl Scoring {
    /// Buffers for up to `capacity` rows.
    pub fn new(spec: &Spec, capacity: usize) -> Self {
        Self {
            len: 0,
            person: vec![0.0; capacity * spec.ticks * spec.person_len],
            scene: vec![0.0; capacity * spec.ticks * spec.scene_len],
            mask: vec![0.0; capacity * spec.ticks * 2],
            logits: vec![0.0; capacity * spec.classes.len()],
        }
    }
}

/// A model that can be asked. Lives on the detector's thread.
pub trait Classifier: Send {
    /// The model's facts.
    fn spec(&self) -> &Spec;

    /// Encodes the first `batch.len` pictures.
    fn encode(&mut self, batch: &mut Encoding) -> Result<(), ClassifierError>;

    /// Scores the first `rows.len` rows.
    fn score(&mut self, rows: &mut Scoring) -> Result<(), ClassifierError>;
}

//! `manifest.json` as the recipe writes it. `models/README.md` describes every field.

use crate::event::policy::PolicyModel;
use serde::Deserialize;

/// `manifest.json`, as written by the recipe.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// Format version.
    pub schema: u32,
    /// The model's name.
    pub name: String,
    /// The model's version.
    pub version: String,
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
    /// How a picture is fitted.
    pub frame: FrameFacts,
    /// Length and rate of the clip.
    pub clip: ClipFacts,
    /// What the encoder says of people.
    pub people: PeopleFacts,
    /// How people are followed.
    pub tracker: TrackerFacts,
    /// The network that runs once for each frame, and once more for its mirror image while somebody is suspected.
    pub encoder: NetworkFacts,
    /// The network that scores the rings.
    pub head: NetworkFacts,
    /// Divides the logits before softmax.
    pub temperature: f32,
    /// When scores become an alert.
    pub policy: PolicyModel,
    /// When the mirror images are asked about as well; never if absent.
    #[serde(default)]
    pub second_look: Option<SecondLookFacts>,
    /// What a correct installation answers.
    pub probe: ProbeFacts,
    /// Where the model comes from; shown, not used.
    #[serde(default)]
    pub provenance: serde_json::Value,
}

/// How a picture is fitted.
#[derive(Debug, Clone, Deserialize)]
pub struct FrameFacts {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Channel order; `rgb`.
    pub channels: String,
    /// `letterbox`.
    pub fit: String,
    /// Grey value beside the picture.
    #[serde(default)]
    pub pad: u8,
}

/// Length and rate of the clip.
#[derive(Debug, Clone, Deserialize)]
pub struct ClipFacts {
    /// Ticks in a full ring.
    pub ticks: usize,
    /// Ticks a second.
    pub rate_hz: f64,
    /// Ticks before the first score.
    pub min_ticks: usize,
    /// Missed ticks that may repeat the last entry.
    pub hold_ticks: usize,
}

/// What the encoder says of people.
#[derive(Debug, Clone, Deserialize)]
pub struct PeopleFacts {
    /// People in a picture at most.
    pub max: usize,
    /// Keypoints of each.
    pub keypoints: usize,
    /// How many numbers stand behind a person's box and score (E).
    #[serde(default)]
    pub embedding: usize,
}

/// How people are followed; see `models/README.md`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct TrackerFacts {
    /// Least score of a detection that goes on with a person who is followed.
    pub min_score: f32,
    /// Least score of one that starts a person.
    pub start_score: f32,
    /// Greatest overlap (intersection over union) of such a detection with a person found at this tick.
    pub start_overlap: f32,
    /// Reach of a match, in box diagonals.
    pub gate: f32,
    /// Growth of the reach for each tick missed.
    pub gate_growth: f32,
    /// Ticks after which an unseen person is forgotten.
    pub max_missed: u32,
}

/// When a camera's pictures are looked at twice; see `models/README.md`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondLookFacts {
    /// From this score on, of either class …
    pub from: f32,
    /// … and for so many frames after the last such score.
    pub frames: u32,
}

/// One ONNX file and its tensors.
#[derive(Debug, Clone, Deserialize)]
pub struct NetworkFacts {
    /// File name inside the bundle.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// ONNX operator set.
    pub opset: u32,
    /// `int8` or `fp32`; shown, not used.
    #[serde(default)]
    pub precision: String,
    /// Head only: score the scene by itself too.
    #[serde(default)]
    pub scene_row: bool,
    /// Encoder only: memory that one picture of a batch takes inside the network, in MiB, as the recipe measured it.
    #[serde(default)]
    pub memory_mb: Option<f32>,
    /// Tensors in.
    pub inputs: Vec<TensorFacts>,
    /// Tensors out.
    pub outputs: Vec<TensorFacts>,
}

/// One named tensor.
#[derive(Debug, Clone, Deserialize)]
pub struct TensorFacts {
    /// Its name in the graph.
    pub name: String,
    /// What falld does with it.
    pub role: String,
    /// `u8` or `f32`.
    pub dtype: String,
    /// Sides; the first is the batch or the rows.
    pub shape: Vec<Side>,
    /// State inputs: the output that feeds the next tick.
    #[serde(default)]
    pub from: Option<String>,
}

/// One side of a tensor: fixed, or free under a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Side {
    /// Fixed length.
    Fixed(usize),
    /// Free length.
    Free(String),
}

impl TensorFacts {
    /// Product of the sides behind the first; `None` if one of them is free.
    pub fn row_len(&self) -> Option<usize> {
        self.shape.iter().skip(1).try_fold(1, |product, side| match side {
            Side::Fixed(length) => Some(product * length),
            Side::Free(_) => None,
        })
    }
}

/// What a correct installation answers.
#[derive(Debug, Clone, Deserialize)]
pub struct ProbeFacts {
    /// Frames of the probe clip.
    pub ticks: u64,
    /// Greatest difference allowed for each logit.
    pub tolerance: f32,
    /// Logits after the last frame.
    pub logits: Vec<f32>,
    /// The drawn person in the last frame; nothing if the encoder tells of no people.
    pub person: Option<ProbePerson>,
}

/// Where a correct installation finds the person drawn in the probe clip.
#[derive(Debug, Clone, Deserialize)]
pub struct ProbePerson {
    /// Greatest distance allowed, as a share of the picture: of each corner of the box, and of the keypoints on average.
    pub tolerance: f32,
    /// The encoder's row, f32 `[F]`. Who is found with less than half its score is not found.
    pub row: Vec<f32>,
}

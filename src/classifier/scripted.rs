//! A classifier that answers what a test tells it to, in the real shapes.
//!
//! The picture itself is the script: the red value of the first pixel, divided by 255, is the fall score, the green
//! value the climb score. So a test writes pictures, and everything behind the classifier is real.

use super::bundle::{Spec, TrackerFacts};
use super::{Classifier, ClassifierError, Encoding, Scoring};
use crate::event::policy::{ClassModel, PolicyModel};
use crate::frame::Size;

/// Answers by the first pixel of each picture.
#[derive(Debug)]
pub struct ScriptedClassifier {
    /// What it says of itself.
    pub spec: Spec,
    /// Inferences that will fail from now on.
    pub failures: u32,
    /// What it says of each picture's people, f32 `[P, F]`; as long as it is empty, that nobody is there.
    pub people: Vec<f32>,
}

impl ScriptedClassifier {
    /// A small model: 8×8 pictures, 15 Hz, 16 ticks, nobody followed, `k` of `n` = 3 of 4.
    pub fn new() -> Self {
        let rule = ClassModel { enter: 0.6, exit: 0.3, k: 3, n: 4 };
        let spec = Spec {
            name: "scripted".into(),
            version: "1".into(),
            sha256: "0".repeat(64),
            precision: "none".into(),
            classes: ["normal", "fall", "fallen", "climb"].map(String::from).into(),
            frame: Size { width: 8, height: 8 },
            pad: 0,
            ticks: 16,
            rate_hz: 15.0,
            min_ticks: 2,
            hold_ticks: 2,
            people: 0,
            keypoints: 17,
            person_len: 56,
            scene_len: 2,
            states: Vec::new(),
            tracker: TrackerFacts {
                min_score: 0.3,
                start_score: 0.4,
                start_overlap: 0.3,
                gate: 0.6,
                gate_growth: 0.1,
                max_missed: 45,
            },
            scene_row: true,
            picture_mb: 1.0,
            temperature: 1.0,
            policy: PolicyModel { fall: rule, climb: rule },
            second_look: None,
        };
        Self { spec, failures: 0, people: Vec::new() }
    }
}

impl Default for ScriptedClassifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Classifier for ScriptedClassifier {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn encode(&mut self, batch: &mut Encoding) -> Result<(), ClassifierError> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(ClassifierError::Inference("as the script says".into()));
        }
        let picture = self.spec.frame.bytes();
        for (pixels, scene) in batch.frames.chunks_exact(picture).zip(batch.scene.chunks_exact_mut(2)).take(batch.len) {
            scene[0] = f32::from(pixels[0]) / 255.0;
            scene[1] = f32::from(pixels[1]) / 255.0;
        }
        if !self.people.is_empty() {
            for people in batch.people.chunks_exact_mut(self.people.len()).take(batch.len) {
                people.copy_from_slice(&self.people);
            }
        }
        Ok(())
    }

    fn score(&mut self, rows: &mut Scoring) -> Result<(), ClassifierError> {
        let clip = self.spec.ticks * self.spec.scene_len;
        for (scene, logits) in rows.scene.chunks_exact(clip).zip(rows.logits.chunks_exact_mut(4)).take(rows.len) {
            let (fall, climb) = (scene[clip - 2], scene[clip - 1]);
            let log = |share: f32| share.max(1e-6).ln();
            logits.copy_from_slice(&[log(1.0 - fall - climb), log(fall / 2.0), log(fall / 2.0), log(climb)]);
        }
        Ok(())
    }
}

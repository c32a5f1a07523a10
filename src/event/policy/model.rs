//! The policy numbers of a model's manifest, and what is impossible about them.

use super::track::WINDOW;
use serde::{Deserialize, Serialize};

/// When one class counts as seen: the manifest's word.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassModel {
    /// A score of at least this is a hit.
    pub enter: f32,
    /// A score under this speaks for the end of the alarm.
    pub exit: f32,
    /// So many hits …
    pub k: u32,
    /// … among the scores of so many ticks raise the alarm.
    pub n: u32,
}

impl ClassModel {
    /// Says what is impossible about these numbers.
    pub fn check(&self) -> Result<(), String> {
        let Self { enter, exit, k, n } = *self;
        if !(exit > 0.0 && exit < enter && enter <= 1.0) {
            return Err(format!("enter = {enter} and exit = {exit}: expected 0 < exit < enter ≤ 1"));
        }
        if !(2 <= k && k <= n && n <= WINDOW) {
            // One hit must never raise an alarm, so k starts at 2.
            return Err(format!("k = {k} and n = {n}: expected 2 ≤ k ≤ n ≤ {}", WINDOW));
        }
        Ok(())
    }

    /// With the site's own threshold, if it has one. A lower one takes `exit` down with it, in proportion; a higher one
    /// leaves it, so that it can only make alarms rarer.
    pub(super) fn with_threshold(self, threshold: Option<f32>) -> Self {
        let Some(enter) = threshold else { return self };
        Self { enter, exit: self.exit.min(self.exit * enter / self.enter), ..self }
    }
}

/// The policy numbers of a model's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyModel {
    /// Falls: the score is p(fall) + p(fallen).
    pub fall: ClassModel,
    /// Climbs: the score is p(climb).
    pub climb: ClassModel,
}

impl PolicyModel {
    /// Says what is impossible about these numbers, and where.
    pub fn check(&self) -> Result<(), String> {
        self.fall.check().map_err(|what| format!("policy.fall: {what}"))?;
        self.climb.check().map_err(|what| format!("policy.climb: {what}"))
    }
}

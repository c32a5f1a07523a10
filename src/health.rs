//! What a camera's picture is worth: the values that `capture` reports and that state topics, logs and doctors show.

use crate::frame::Moment;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Whether a camera gives pictures that can be judged. None of these is ever a fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraHealth {
    /// No picture has come yet since the start.
    #[default]
    Connecting,
    /// Pictures come and show something.
    Ok,
    /// No pictures: absent, unplugged, unreachable, hung, or the source is broken. It is being reopened.
    Lost,
    /// The same picture again and again.
    Frozen,
    /// Too dark to see anybody.
    Dark,
    /// Light but featureless: something hangs before the lens.
    Covered,
    /// Pictures come, and too seldom for a clip: nothing is judged.
    Slow,
    /// A file without `repeat` has been played to its end.
    Ended,
}

impl CameraHealth {
    /// Every state, for schemas and manuals.
    pub const ALL: [Self; 8] =
        [Self::Connecting, Self::Ok, Self::Lost, Self::Frozen, Self::Dark, Self::Covered, Self::Slow, Self::Ended];

    /// The state as it stands in payloads, logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Ok => "ok",
            Self::Lost => "lost",
            Self::Frozen => "frozen",
            Self::Dark => "dark",
            Self::Covered => "covered",
            Self::Slow => "slow",
            Self::Ended => "ended",
        }
    }

    /// What helps, in words for a person; empty where nothing needs help.
    pub const fn mend(self) -> &'static str {
        match self {
            Self::Connecting | Self::Ok | Self::Ended => "",
            Self::Lost => "check its power, cable and address; it is opened anew by itself",
            Self::Frozen => {
                "the same picture again and again: it is opened anew; if that does not help, restart the camera"
            }
            Self::Dark => "too dark to see anybody: give light, or a camera with infrared",
            Self::Covered => "light but featureless: look whether something hangs before the lens",
            Self::Slow => {
                "too few pictures a second to be judged: set the camera to 15 and its exposure short, check the \
                 network, or give this machine fewer cameras"
            }
        }
    }
}

/// One change of a camera's health. Each change is reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The camera's id.
    pub camera: Arc<str>,
    /// What it is now.
    pub health: CameraHealth,
    /// Why, in words for a person; credentials masked. Empty if there is nothing to add.
    pub detail: String,
    /// When it became so.
    pub at: Moment,
}

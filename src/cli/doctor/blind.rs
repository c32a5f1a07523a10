//! What a falld without OpenCV says of a camera.

use super::{Finding, Verdict};
use crate::classifier::bundle::Spec;
use crate::config::CameraConfig;

pub(super) fn look(id: &str, _config: &CameraConfig, _spec: &Spec) -> Finding {
    Finding::new(format!("camera {id}"), Verdict::Fail, "this falld was built without OpenCV (feature `opencv`)")
}

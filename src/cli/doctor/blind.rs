//! What a falld without OpenCV says of a camera.

use super::{Engine, Finding, Path, Verdict};
use crate::classifier::bundle::Spec;
use crate::config::CameraConfig;
use crate::frame::Frame;

pub(super) fn look(id: &str, _config: &CameraConfig, _spec: &Spec) -> (Finding, Option<Frame>) {
    (absent(format!("camera {id}")), None)
}

pub(super) fn draw(_path: &Path, id: &str, _camera: &CameraConfig, _frame: Frame, _engine: &mut Engine) -> Finding {
    absent(format!("picture {id}"))
}

fn absent(part: String) -> Finding {
    Finding::new(part, Verdict::Fail, "this falld was built without OpenCV (feature `opencv`)")
}

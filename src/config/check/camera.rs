//! What is wrong with the cameras: ids, sources, rates, rectangles and places that are none, and cameras that tell of nothing.

use super::{Check, RESERVED_IDS, as_id, is_id};
use crate::camera::source::{ONE_TRANSPORT, Source, transport};
use crate::config::{CameraConfig, Climbs, Falls, RtspTransport};
use crate::zone;
use std::collections::BTreeMap;

/// The smallest place, as a share of the picture, that is no slip: a fiftieth of its width and height.
const LEAST_PLACE: f32 = 0.0004;

impl Check<'_> {
    pub(super) fn cameras(&mut self) {
        let cameras = &self.loaded.config.camera;
        let mut sources: BTreeMap<&str, &str> = BTreeMap::new();
        for (id, camera) in cameras {
            let section = format!("camera.{id}");
            if !is_id(id) {
                let mend = format!("name it [camera.{}]", as_id(id));
                self.refuse(&section, "", "expected letters, digits, _ and - of ASCII, as it stands in topics", mend);
            }
            if RESERVED_IDS.contains(&id.as_str()) {
                let mend = format!("name it [camera.{id}_camera], or after its room");
                self.refuse(&section, "", format!("`{id}` is a topic of its own and cannot name a camera"), mend);
            }
            let source = camera.source.trim();
            if source.is_empty() {
                let mend = "give a device (/dev/video0), an address (rtsp://…), a pipeline or a file";
                self.refuse(format!("{section}.source"), "\"\"", "the camera has no source", mend);
            } else if let Some(other) = sources.insert(source, id) {
                let what = format!("camera.{other} has the same source");
                self.refuse(format!("{section}.source"), "", what, "remove one of the two, or correct its source");
            }
            if !source.is_empty()
                && let Err(error) = Source::parse(camera)
            {
                let (what, mend) = error.rsplit_once(": ").unwrap_or((&error, "see the comments in deploy/falld.toml"));
                self.refuse(format!("{section}.source"), "", what, mend);
            }
            self.camera(&section, camera);
        }
        self.transports();
    }

    /// RTSP cameras share one transport.
    fn transports(&mut self) {
        let cameras = &self.loaded.config.camera;
        let first = |wanted| cameras.iter().find(|(_, camera)| transport(camera) == Some(wanted)).map(|(id, _)| id);
        if let (Some(tcp), Some(udp)) = (first(RtspTransport::Tcp), first(RtspTransport::Udp)) {
            let what = format!("camera.{tcp} uses tcp, and {ONE_TRANSPORT}");
            let mend = format!(
                "give both the same, or write camera.{udp}.source = \"preset:rtsp?transport=udp&url=rtsp://…\""
            );
            self.refuse(format!("camera.{udp}.transport"), "\"udp\"", what, mend);
        }
    }

    fn camera(&mut self, section: &str, camera: &CameraConfig) {
        self.seconds(format!("{section}.open_timeout_s"), camera.open_timeout_s);
        self.seconds(format!("{section}.read_timeout_s"), camera.read_timeout_s);
        self.seconds(format!("{section}.frozen_after_s"), camera.frozen_after_s);
        self.seconds(format!("{section}.blind_after_s"), camera.blind_after_s);
        for (key, value, most) in
            [("width", camera.width, 16_384), ("height", camera.height, 16_384), ("fps", camera.fps, 1000)]
        {
            self.range(format!("{section}.{key}"), value.into(), (0.0, true), most.into(), "");
        }
        if (camera.width == 0) != (camera.height == 0) {
            let (given, other) = if camera.width == 0 { ("height", "width") } else { ("width", "height") };
            let what = format!("a {given} without a {other} asks for no size");
            self.refuse(format!("{section}.{given}"), "", what, format!("give {other} as well, or neither"));
        }
        let inside = |side: f32| (0.0..=1.0).contains(&side);
        for [left, top, right, bottom] in &camera.mask {
            if ![left, top, right, bottom].into_iter().all(|side| inside(*side)) || left >= right || top >= bottom {
                let what = format!("[{left}, {top}, {right}, {bottom}] is no rectangle in the picture");
                let mend = "give [left, top, right, bottom], each 0 to 1, left < right and top < bottom";
                self.refuse(format!("{section}.mask"), "", what, mend);
            }
        }
        for (kind, outlines) in [("rest", &camera.rest), ("climb", &camera.climb)] {
            for (name, outline) in outlines {
                let mend =
                    "give three corners or more as [x, y], each 0 to 1 from the left and the top, in order around it";
                let what = if !outline.iter().flatten().all(|side| inside(*side)) {
                    "a corner is not in the picture"
                } else if zone::crosses(outline) {
                    "its sides cross: the corners are not in order"
                } else if zone::area(outline) < LEAST_PLACE {
                    "these corners enclose nothing"
                } else {
                    continue;
                };
                self.refuse(format!("{section}.{kind}.{name}"), "", what, mend);
            }
        }
        self.told(section, camera);
    }

    /// What contradicts itself in where a camera tells of what.
    fn told(&mut self, section: &str, camera: &CameraConfig) {
        let climbs = format!("{section}.climbs");
        match (camera.climbs, camera.climb.is_empty()) {
            (Climbs::Places, true) => {
                let mend =
                    format!("mark one, {section}.climb.<name> = [[x, y], …], or write \"anywhere\" or \"never\"");
                self.refuse(climbs, "\"places\"", "no place is marked, so no climb would be told", mend);
            }
            (Climbs::Never, _) if camera.falls == Falls::Never => {
                let mend = format!("remove one of the two, or the whole section [{section}]");
                self.refuse(
                    climbs,
                    "\"never\"",
                    "falls are never told of either: the camera watches for nothing",
                    mend,
                );
            }
            _ => {}
        }
    }
}

//! Every topic that falld uses, built here and nowhere else.
//!
//! `<base>/<device>/status` · `…/health` · `…/<camera>/state` · `…/<camera>/event` · `…/<camera>/evidence` · `…/<camera>/cmd`

/// Names the topics of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    root: String,
}

impl Topics {
    /// The topics of `device` under `base`.
    pub fn new(base: &str, device: &str) -> Self {
        Self { root: format!("{base}/{device}") }
    }

    /// `online` or `offline`, retained; the last will lands here.
    pub fn status(&self) -> String {
        format!("{}/status", self.root)
    }

    /// Periodic facts, retained with an expiry.
    pub fn health(&self) -> String {
        format!("{}/health", self.root)
    }

    /// What a camera sees, retained.
    pub fn state(&self, camera: &str) -> String {
        format!("{}/{}/state", self.root, level(camera))
    }

    /// Alerts of a camera: QoS 1, never retained.
    pub fn event(&self, camera: &str) -> String {
        format!("{}/{}/event", self.root, level(camera))
    }

    /// What is shown of a camera's last alert, retained for a day.
    pub fn evidence(&self, camera: &str) -> String {
        format!("{}/{}/evidence", self.root, level(camera))
    }

    /// Commands to a camera.
    pub fn command(&self, camera: &str) -> String {
        format!("{}/{camera}/cmd", self.root)
    }

    /// The filter that catches the commands to every camera.
    pub fn commands(&self) -> String {
        self.command("+")
    }

    /// The camera that a command's topic names.
    pub fn command_camera<'topic>(&self, topic: &'topic str) -> Option<&'topic str> {
        self.camera(topic, "/cmd")
    }

    /// The filters that catch what is retained of every camera.
    pub(crate) fn retained(&self) -> [String; 2] {
        ["state", "evidence"].map(|kind| format!("{}/+/{kind}", self.root))
    }

    /// The camera whose state or evidence a topic names.
    pub(crate) fn retained_camera<'topic>(&self, topic: &'topic str) -> Option<&'topic str> {
        self.camera(topic, "/state").or_else(|| self.camera(topic, "/evidence"))
    }

    fn camera<'topic>(&self, topic: &'topic str, end: &str) -> Option<&'topic str> {
        let camera = topic.strip_prefix(&self.root)?.strip_prefix('/')?.strip_suffix(end)?;
        (!camera.is_empty() && !camera.contains('/')).then_some(camera)
    }

    /// True for a topic on which only falld speaks: no response is ever sent there.
    pub fn is_ours(&self, topic: &str) -> bool {
        topic == self.root || topic.strip_prefix(&self.root).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Configured ids are plain already; one from an old store cannot make a topic that no broker takes.
fn level(id: &str) -> String {
    id.replace(['/', '+', '#', '\0'], "_")
}

/// Where Home Assistant says that it came up.
pub(crate) const HOME_ASSISTANT_STATUS: &str = "homeassistant/status";

/// Where one device is announced to Home Assistant.
pub(crate) fn discovery(device: &str) -> String {
    format!("homeassistant/device/{device}/config")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_its_camera() {
        let topics = Topics::new("falld", "house");
        assert_eq!(topics.command_camera("falld/house/bed/cmd"), Some("bed"));
        for foreign in ["falld/house/cmd", "falld/house//cmd", "falld/house/a/b/cmd", "falld/houses/bed/cmd", "x"] {
            assert_eq!(topics.command_camera(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn our_own_topics_are_known() {
        let topics = Topics::new("site/falld", "house");
        assert!(topics.is_ours(&topics.event("bed")) && topics.is_ours(&topics.status()));
        assert!(!topics.is_ours("site/falld/household/bed/event"));
    }
}

//! What is known of every camera, joined from its capture and its detector, for MQTT, systemd and `/healthz`.

use crate::detector::Shown;
use crate::event::Class;
use crate::event::policy::State;
use crate::health::CameraHealth;
use crate::journal::CAMERA_HEALTH;
use crate::metrics::serve::Health;
use crate::mqtt::{CameraState, Fall, Telemetry};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Cheap to clone; every clone shows the same.
#[derive(Debug, Clone)]
pub(super) struct Board {
    telemetry: Telemetry,
    cameras: Arc<Mutex<BTreeMap<String, Camera>>>,
}

/// One camera: what its capture and its detector say, and the state that comes of it.
#[derive(Debug, Default)]
struct Camera {
    seen: CameraHealth,
    detail: String,
    slow: bool,
    state: CameraState,
}

impl Camera {
    /// A camera is as well as its capture says, unless its pictures come too seldom for the detector.
    fn join(&mut self, camera: &str) {
        let before = self.state.health;
        let slow = self.slow && self.seen == CameraHealth::Ok;
        let (health, detail) =
            if slow { (CameraHealth::Slow, CameraHealth::Slow.mend()) } else { (self.seen, self.detail.as_str()) };
        self.state.health = health;
        self.state.detail = (!detail.is_empty()).then(|| detail.to_owned());
        // The capture has logged all but this.
        match (before, health) {
            (CameraHealth::Slow, CameraHealth::Slow) => {}
            (_, CameraHealth::Slow) => {
                tracing::warn!(MESSAGE_ID = CAMERA_HEALTH, camera, health = "slow", detail, "camera slow");
            }
            (CameraHealth::Slow, CameraHealth::Ok) => {
                tracing::info!(MESSAGE_ID = CAMERA_HEALTH, camera, health = "ok", "camera ok");
            }
            _ => {}
        }
    }
}

impl Board {
    /// Cameras of which nothing is known yet but what each watches for.
    pub(super) fn new(telemetry: Telemetry, cameras: impl Iterator<Item = (String, Vec<Class>)>) -> Self {
        let blank = |watches| Camera { state: CameraState { watches, ..CameraState::default() }, ..Camera::default() };
        let cameras = cameras.map(|(id, watches)| (id, blank(watches))).collect::<BTreeMap<_, _>>();
        for (id, camera) in &cameras {
            telemetry.set_state(id, camera.state.clone());
        }
        Self { telemetry, cameras: Arc::new(Mutex::new(cameras)) }
    }

    fn cameras(&self) -> MutexGuard<'_, BTreeMap<String, Camera>> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Camera)) {
        let mut cameras = self.cameras();
        let Some(camera) = cameras.get_mut(id) else { return };
        change(camera);
        camera.join(id);
        self.telemetry.set_state(id, camera.state.clone());
    }

    /// A capture's word on its pictures.
    pub(super) fn set_health(&self, camera: &str, health: CameraHealth, detail: &str) {
        self.change(camera, |camera| {
            camera.seen = health;
            camera.detail = detail.to_owned();
        });
    }

    /// The detector's word.
    pub(super) fn shown(&self, camera: &str, shown: Shown) {
        self.change(camera, |camera| {
            camera.slow = shown.slow;
            let state = &mut camera.state;
            state.fall = match shown.state {
                // A climb has a field of its own; falls are then clear.
                State::Clear | State::Climbing => Fall::Clear,
                State::Suspect => Fall::Suspect,
                State::Down => Fall::Down,
                State::LongLie => Fall::LongLie,
                State::Recovered => Fall::Recovered,
            };
            state.climbing = shown.climbing;
            state.acknowledged = shown.acknowledged;
            state.incident = shown.incident.map(|id| id.to_string());
            state.armed = shown.armed;
        });
    }

    /// Cameras that cannot be judged, with the reason.
    fn blind(&self) -> Vec<String> {
        let cameras = self.cameras();
        let blind = cameras.iter().filter(|(_, camera)| camera.state.health != CameraHealth::Ok);
        blind.map(|(id, camera)| format!("{id} {}", camera.state.health.as_str())).collect()
    }

    /// One line for `systemctl status`.
    pub(super) fn summary(&self) -> String {
        let total = self.cameras().len();
        let blind = self.blind();
        if blind.is_empty() {
            format!("{total} of {total} cameras ok")
        } else {
            format!("{} of {total} cameras ok; {}", total - blind.len(), blind.join(", "))
        }
    }

    /// Healthy while every camera is ok.
    pub(super) fn health(&self) -> Health {
        let summary = self.summary();
        if self.blind().is_empty() { Ok(summary) } else { Err(summary) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Clock;

    fn shown(slow: bool) -> Shown {
        Shown { state: State::Clear, climbing: false, acknowledged: false, incident: None, armed: true, slow }
    }

    #[test]
    fn a_camera_whose_pictures_are_too_few_is_not_called_well() {
        let cameras = [("bed".to_owned(), Class::ALL.to_vec())].into_iter();
        let board = Board::new(Telemetry::new("house", Clock::start()), cameras);
        board.set_health("bed", CameraHealth::Ok, "");
        assert_eq!(board.health(), Ok("1 of 1 cameras ok".into()));
        board.shown("bed", shown(true));
        assert_eq!(board.health(), Err("0 of 1 cameras ok; bed slow".into()));
        assert!(board.cameras()["bed"].state.detail.as_deref().is_some_and(|detail| detail.contains("too few")));
        // What the capture knows comes first, and what it says next is not lost.
        board.set_health("bed", CameraHealth::Lost, "unplugged");
        assert_eq!(board.health(), Err("0 of 1 cameras ok; bed lost".into()));
        assert_eq!(board.cameras()["bed"].state.detail.as_deref(), Some("unplugged"));
        board.set_health("bed", CameraHealth::Ok, "");
        board.shown("bed", shown(false));
        assert_eq!(board.health(), Ok("1 of 1 cameras ok".into()));
        assert_eq!(board.cameras()["bed"].state.detail, None);
    }
}

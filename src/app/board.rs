//! What is known of every camera, joined from its capture and its policy, for MQTT, systemd and `/healthz`.

use crate::detector::Shown;
use crate::event::policy::State;
use crate::health::CameraHealth;
use crate::metrics::serve::Health;
use crate::mqtt::{CameraState, Fall, Telemetry};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Cheap to clone; every clone shows the same.
#[derive(Debug, Clone)]
pub(super) struct Board {
    telemetry: Telemetry,
    cameras: Arc<Mutex<BTreeMap<String, CameraState>>>,
}

impl Board {
    /// Cameras of which nothing is known yet.
    pub(super) fn new(telemetry: Telemetry, cameras: impl Iterator<Item = String>) -> Self {
        let cameras = cameras.map(|id| (id, CameraState::default())).collect::<BTreeMap<_, _>>();
        for (id, state) in &cameras {
            telemetry.set_state(id, state.clone());
        }
        Self { telemetry, cameras: Arc::new(Mutex::new(cameras)) }
    }

    fn cameras(&self) -> MutexGuard<'_, BTreeMap<String, CameraState>> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, camera: &str, change: impl FnOnce(&mut CameraState)) {
        let mut cameras = self.cameras();
        let Some(state) = cameras.get_mut(camera) else { return };
        change(state);
        self.telemetry.set_state(camera, state.clone());
    }

    /// A capture's word on its pictures.
    pub(super) fn set_health(&self, camera: &str, health: CameraHealth, detail: &str) {
        self.change(camera, |state| {
            state.health = health;
            state.detail = (!detail.is_empty()).then(|| detail.to_owned());
        });
    }

    /// A policy's word.
    pub(super) fn shown(&self, camera: &str, shown: Shown) {
        self.change(camera, |state| {
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
        let blind = cameras.iter().filter(|(_, state)| state.health != CameraHealth::Ok);
        blind.map(|(id, state)| format!("{id} {}", state.health.as_str())).collect()
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

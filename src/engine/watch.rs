//! One camera's part of the engine.

use super::second::SecondLook;
use crate::classifier::Spec;
use crate::clip::Clip;
use crate::config::PolicyConfig;
use crate::event::policy::{Policy, Scores, Transition};
use crate::fallen::Fallen;
use crate::frame::{Frame, Moment};
use crate::zone::Zones;

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) clip: Clip,
    pub(super) second: SecondLook,
    pub(super) policy: Policy,
    pub(super) fallen: Fallen,
    /// The last tick was one at which the policy saw a fall.
    falling: bool,
    pub(super) zones: Zones,
    pub(super) state: Vec<f32>,
    pub(super) armed: bool,
    pub(super) scores: Option<Scores>,
}

impl Watch {
    /// Has seen nothing.
    pub(super) fn new(spec: &Spec, policy: &PolicyConfig) -> Self {
        Self {
            clip: Clip::new(spec),
            second: SecondLook::new(spec),
            policy: Policy::new(&spec.policy, spec.rate_hz, policy),
            fallen: Fallen::new(spec),
            falling: false,
            zones: Zones::default(),
            state: vec![0.0; spec.state_len()],
            armed: true,
            scores: None,
        }
    }

    /// What the policy makes of the `scores` of one tick. Whose fall score that is, `faller`, is remembered if it makes the policy see a fall.
    pub(super) fn decide(
        &mut self,
        captured: Moment,
        bridged: u32,
        scores: Scores,
        faller: Option<u64>,
    ) -> Option<Transition> {
        let told = self.policy.observe(captured, bridged, scores);
        let before = std::mem::replace(&mut self.falling, self.policy.is_falling());
        if !self.policy.is_down() {
            self.fallen.end();
        } else if self.falling && !before {
            let falls = self.clip.rings().people().find(|person| Some(person.id) == faller);
            falls.into_iter().for_each(|person| self.fallen.falls(person));
        }
        told
    }

    /// Forgets the pictures and what was said of them. Who is down stays down.
    pub(super) fn clear(&mut self, recycle: impl FnMut(Frame)) {
        self.clip.clear(recycle);
        self.second.end();
        self.state.fill(0.0);
        self.scores = None;
    }
}

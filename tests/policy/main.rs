//! The alert policy: people as stories, promises as properties. Hours of scores pass in microseconds.

mod properties;
mod stories;

use falld::config::PolicyConfig;
use falld::event::policy::{ClassModel, Policy, PolicyModel, Scores, Transition};
use falld::event::{Class, EventType};
use falld::frame::Moment;
use std::time::Duration;

const RATE: f64 = 15.0;
const MODEL: PolicyModel = PolicyModel {
    fall: ClassModel { enter: 0.6, exit: 0.3, k: 6, n: 8 },
    climb: ClassModel { enter: 0.6, exit: 0.3, k: 8, n: 10 },
};

fn tick_time(tick: u64) -> Moment {
    Duration::from_secs_f64(tick as f64 / RATE)
}

/// A camera with a clock: scores come at the model's rate.
struct Room {
    policy: Policy,
    tick: u64,
    upright: Option<bool>,
    /// The places where somebody is, a bit for each.
    at: u64,
    told: Vec<(f64, EventType)>,
    /// Where each of them was.
    places: Vec<Option<usize>>,
    /// Whether each of them began an incident.
    first: Vec<bool>,
}

impl Room {
    fn with(config: &PolicyConfig) -> Self {
        Self {
            policy: Policy::new(&MODEL, RATE, config),
            tick: 0,
            upright: None,
            at: 0,
            told: Vec::new(),
            places: Vec::new(),
            first: Vec::new(),
        }
    }

    fn new() -> Self {
        Self::with(&PolicyConfig::default())
    }

    fn scores(&mut self, seconds: f64, fall: f32, climb: f32) -> &mut Self {
        self.scores_each(1, seconds, fall, climb)
    }

    /// A score at each `step`th tick: the clip bridges those between.
    fn scores_each(&mut self, step: u32, seconds: f64, fall: f32, climb: f32) -> &mut Self {
        for _ in 0..(seconds * RATE / f64::from(step)).round() as u64 {
            self.tick += u64::from(step);
            let scores = Scores { fall: fall.into(), climb: climb.into(), upright: self.upright, places: self.at };
            let told = self.policy.observe(tick_time(self.tick), step - 1, scores);
            self.hear(told);
        }
        self
    }

    /// What is seen of people from now on.
    fn upright(&mut self, upright: bool) -> &mut Self {
        self.upright = Some(upright);
        self
    }

    fn fall(&mut self, seconds: f64, score: f32) -> &mut Self {
        self.scores(seconds, score, 0.0)
    }

    /// Time passes and no score comes.
    fn away(&mut self, seconds: f64) -> &mut Self {
        for _ in 0..(seconds * RATE).round() as u64 {
            self.tick += 1;
            let told = self.policy.tick(tick_time(self.tick));
            self.hear(told);
        }
        self
    }

    fn lose_camera(&mut self) -> &mut Self {
        let told = self.policy.camera_lost(tick_time(self.tick));
        self.hear(told);
        self
    }

    fn acknowledge(&mut self) -> &mut Self {
        self.acknowledge_one(Class::Fall).acknowledge_one(Class::Climb)
    }

    fn acknowledge_one(&mut self, class: Class) -> &mut Self {
        let told = self.policy.acknowledge(class, tick_time(self.tick));
        self.hear(told);
        self
    }

    fn hear(&mut self, told: Option<Transition>) {
        self.places.extend(told.map(|told| told.place));
        self.first.extend(told.map(|told| told.first));
        self.told.extend(told.map(|told| (tick_time(self.tick).as_secs_f64(), told.event)));
    }

    fn events(&self) -> Vec<EventType> {
        self.told.iter().map(|told| told.1).collect()
    }
}

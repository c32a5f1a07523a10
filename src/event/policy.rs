//! Turns the scores of one camera into at most one transition at a time. Pure: time and scores are arguments.
//!
//! ```text
//! Clear → Suspect → Down → LongLie → Recovered → Clear          Clear ⇄ Climbing
//! ```
//!
//! What it promises, and `tests/policy.rs` holds:
//!
//! - A fall or climb is raised at the tick that makes `k` of the last `n` scores reach `enter`; a climb also at the one that
//!   makes 10 of 12 (at 15 a second) show somebody at one place where only climbers are, which its alert then names; a score
//!   is 1 there, so a lesser `k` decides. At no other tick: one odd score, high or low, changes nothing that anybody can see.
//! - Ticks are counted, not pictures, so a slow camera is told of hardly later than a fast one: a tick that the clip bridged
//!   counts as high (or low) if the scores on both sides are.
//! - A tick that was looked at twice is high if both looks say so, and low if both do: what they differ about begins nothing and ends nothing.
//! - Two alerts of a class are never closer than the cooldown. A fall within it changes the state at once; its alert is
//!   owed, and raised when the cooldown is over if the scores still say so. A long lie counts from the true beginning.
//! - An alarm clears when nine tenths of the scores of two seconds lie under `exit`. A shorter dip clears nothing. A fall
//!   clears only while all who could be down are seen upright (`fallen.rs`), or after a caregiver's acknowledgement: a fall leaves
//!   the model's clip after seconds, and a low score is no sign that somebody got up.
//! - Losing the camera forgets a suspicion and clears no alarm: that nobody is seen is no sign that somebody got up. A
//!   long lie is raised without a camera as well, because the person was last seen on the floor.
//! - Somebody who falls where the last one was not seen to get up is told of anew, in the same incident, for that one never ended.
//! - An acknowledgement ends the escalation of what is happening now, not of the next fall.
//! - `recovered`, `climb_ended` and `acknowledged` are told only about an alarm that was raised, so the cooldown bounds
//!   every event and with them the outbox.
//!
//! Falls and climbs are followed side by side: a child that climbs and falls is both. If both change at one tick, the
//! fall is told first and the climb at the next call. Model facts come as [`PolicyModel`], site choices as
//! [`PolicyConfig`]; [`Policy::configure`] replaces both and keeps the state.

mod model;
mod track;

use super::{Class, EventType};
use crate::config::PolicyConfig;
use crate::frame::Moment;
pub use model::{ClassModel, PolicyModel};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use track::{Limits, Step, Track};

/// The state `recovered` is shown for so long before `clear`, so that a display polled every few seconds shows it.
pub const RECOVERED_HOLD: Duration = Duration::from_secs(10);

/// Scores further apart than this do not belong to one window. Fifteen ticks at 15 fps, far beyond `clip.hold_ticks`.
pub const GAP: Duration = Duration::from_secs(1);

/// What one look at a tick, or two, say of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The lesser: what an alarm begins by.
    pub least: f32,
    /// The greater: what it ends by.
    pub most: f32,
}

impl From<f32> for Score {
    fn from(score: f32) -> Self {
        Self { least: score, most: score }
    }
}

impl Score {
    /// With what another look says.
    pub fn and(self, other: f32) -> Self {
        Self { least: self.least.min(other), most: self.most.max(other) }
    }
}

/// What the classifier says of one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// p(fall) + p(fallen).
    pub fall: Score,
    /// p(climb).
    pub climb: Score,
    /// The marked places where only climbers are and somebody is, a bit for the number of each.
    pub places: u64,
    /// Somebody is seen upright, and so is everybody who could be down. `None` if the model cannot tell: then low scores alone end an alarm.
    pub upright: Option<bool>,
}

impl Scores {
    /// Nobody does anything.
    pub const NONE: Self = Self {
        fall: Score { least: 0.0, most: 0.0 },
        climb: Score { least: 0.0, most: 0.0 },
        places: 0,
        upright: None,
    };
}

/// Where a camera stands, as its retained state shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is the matter.
    Clear,
    /// Some scores are high, not yet enough.
    Suspect,
    /// Somebody is down.
    Down,
    /// Somebody has been down for the configured time and nobody acknowledged.
    LongLie,
    /// Somebody got up a moment ago.
    Recovered,
    /// Somebody climbs, and nobody is down.
    Climbing,
}

impl State {
    /// The state as it stands in payloads.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::LongLie => "long_lie",
            Self::Recovered => "recovered",
            Self::Climbing => "climbing",
        }
    }
}

/// Something to tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transition {
    /// What happened.
    pub event: EventType,
    /// About which danger.
    pub class: Class,
    /// The score of the deciding tick; the last known one where time or a caregiver decided.
    pub score: f32,
    /// A climb's: the number of the marked place.
    pub place: Option<usize>,
    /// True for the first event of an incident: those that follow in the same class belong to it.
    pub first: bool,
}

/// What stands between alarms of the fall class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Clear,
    Suspect,
    Recovered(Moment),
}

/// One camera's policy. Does not allocate.
#[derive(Debug, Clone)]
pub struct Policy {
    fall: Track,
    climb: Track,
    rest: Rest,
    pending: Option<Transition>,
    fall_limits: Limits,
    climb_limits: Limits,
    long_lie: Duration,
}

impl Policy {
    /// A camera at which nothing is the matter. `rate_hz` is the manifest's clip rate.
    ///
    /// `model` and `config` must have passed their checks; numbers that did not make alarms rarer or absent, nothing
    /// worse.
    pub fn new(model: &PolicyModel, rate_hz: f64, config: &PolicyConfig) -> Self {
        let mut policy = Self {
            fall: Track::default(),
            climb: Track::default(),
            rest: Rest::Clear,
            pending: None,
            fall_limits: Limits::default(),
            climb_limits: Limits::default(),
            long_lie: Duration::MAX,
        };
        policy.configure(model, rate_hz, config);
        policy
    }

    /// Replaces thresholds and times. Keeps the state: an alarm stays, and scores already seen stay judged as they
    /// were.
    pub fn configure(&mut self, model: &PolicyModel, rate_hz: f64, config: &PolicyConfig) {
        let cooldown = seconds(config.cooldown_s);
        self.fall_limits = Limits::new(model.fall.with_threshold(config.fall_threshold), rate_hz, cooldown);
        self.climb_limits = Limits::new(model.climb.with_threshold(config.climb_threshold), rate_hz, cooldown);
        // Never at the tick of the fall itself.
        self.long_lie = seconds(config.long_lie_s).max(Duration::from_nanos(1));
    }

    /// Forgets what was seen and raised, and keeps thresholds and times.
    pub fn restart(&mut self) {
        self.fall = Track::default();
        self.climb = Track::default();
        self.rest = Rest::Clear;
        self.pending = None;
    }

    /// Goes on with an alarm of an earlier run, told of then: it ends and escalates as ever. How long somebody has been down
    /// is counted anew from `now`.
    pub fn resume(&mut self, class: Class, long_lie: bool, acknowledged: bool, now: Moment) {
        let track = match class {
            Class::Fall => &mut self.fall,
            Class::Climb => &mut self.climb,
        };
        track.resume(now, long_lie, acknowledged);
    }

    /// One scored tick, with so many ticks `bridged` since the last one: 0 at the model's own rate.
    pub fn observe(&mut self, now: Moment, bridged: u32, scores: Scores) -> Option<Transition> {
        self.pass(now);
        let fall = self.fall.observe(now, bridged, scores.fall, scores.upright, 0, &self.fall_limits);
        let climb = self.climb.observe(now, bridged, scores.climb, None, scores.places, &self.climb_limits);
        if matches!(fall, Step::Ended { .. }) {
            self.rest = Rest::Recovered(now);
        }
        self.suspect();
        let fall = match fall {
            Step::Raised { first } => Some(self.tell(Class::Fall, EventType::Fall, first)),
            Step::Ended { told: true } => Some(self.tell(Class::Fall, EventType::Recovered, false)),
            Step::Ended { told: false } | Step::Nothing => None,
        };
        let climb = match climb {
            Step::Raised { first } => {
                let climb = self.tell(Class::Climb, EventType::Climb, first);
                Some(Transition { place: self.climb.place(&self.climb_limits), ..climb })
            }
            Step::Ended { told: true } => Some(self.tell(Class::Climb, EventType::ClimbEnded, false)),
            Step::Ended { told: false } | Step::Nothing => None,
        };
        let fall = fall.or_else(|| self.long_lie(now));
        self.one(fall, climb)
    }

    /// Time passes without a score: call it at least once a second, whether the camera is there or not.
    pub fn tick(&mut self, now: Moment) -> Option<Transition> {
        self.pass(now);
        let fall = self.long_lie(now);
        self.one(fall, None)
    }

    /// The camera is gone, frozen, dark or covered, or its ring has been emptied: what was half seen counts no more.
    pub fn camera_lost(&mut self, now: Moment) -> Option<Transition> {
        self.fall.forget();
        self.climb.forget();
        if self.rest == Rest::Suspect {
            self.rest = Rest::Clear;
        }
        self.tick(now)
    }

    /// A caregiver is on it. Ends the escalation of the `class` of what is happening at this camera; tells of it once. What
    /// nobody has been told of yet cannot be meant: its alert still comes.
    pub fn acknowledge(&mut self, class: Class, now: Moment) -> Option<Transition> {
        self.pass(now);
        let track = match class {
            Class::Fall => &mut self.fall,
            Class::Climb => &mut self.climb,
        };
        track.acknowledge().then(|| self.tell(class, EventType::Acknowledged, false))
    }

    /// Where the camera stands. A fall is shown before a climb, a climb before a suspicion.
    pub fn state(&self) -> State {
        match (&self.fall.incident, self.climb.incident.is_some(), self.rest) {
            (Some(incident), _, _) if incident.long => State::LongLie,
            (Some(_), _, _) => State::Down,
            (None, true, _) => State::Climbing,
            (None, false, Rest::Clear) => State::Clear,
            (None, false, Rest::Suspect) => State::Suspect,
            (None, false, Rest::Recovered(_)) => State::Recovered,
        }
    }

    /// True while somebody is down, told or not.
    pub fn is_down(&self) -> bool {
        self.fall.incident.is_some()
    }

    /// True while the last scores are those of a fall, told or not.
    pub fn is_falling(&self) -> bool {
        self.fall.hits() >= self.fall_limits.k
    }

    /// True while somebody climbs, whether or not somebody is down as well.
    pub fn climbing(&self) -> bool {
        self.climb.incident.is_some()
    }

    /// True while the present fall, or without one the present climb, is acknowledged.
    pub fn acknowledged(&self) -> bool {
        self.fall.incident.or(self.climb.incident).is_some_and(|incident| incident.acknowledged)
    }

    /// Drops windows that a gap would tear, and ends the display of a recovery.
    fn pass(&mut self, now: Moment) {
        if now.saturating_sub(self.fall.scored) > GAP {
            self.fall.forget();
            self.climb.forget();
            if self.rest == Rest::Suspect {
                self.rest = Rest::Clear;
            }
        }
        if matches!(self.rest, Rest::Recovered(at) if now.saturating_sub(at) >= RECOVERED_HOLD) {
            self.rest = Rest::Clear;
        }
    }

    /// A suspicion begins with half of the hits that an alarm needs (two at least) and ends when none is left.
    fn suspect(&mut self) {
        let hits = self.fall.hits();
        if hits >= self.fall_limits.k.div_ceil(2).max(2) {
            self.rest = Rest::Suspect;
        } else if hits == 0 && self.rest == Rest::Suspect {
            self.rest = Rest::Clear;
        }
    }

    /// Raises a long lie that is due. While the newest score says that somebody may be getting up it waits: either the
    /// recovery follows within its two seconds, or a higher score ends the wait.
    fn long_lie(&mut self, now: Moment) -> Option<Transition> {
        let rising = self.fall.newest_is_low();
        let cooled = self.fall.cooled(now, &self.fall_limits);
        let incident = self.fall.incident.as_mut()?;
        if incident.acknowledged || rising || now.saturating_sub(incident.since) < self.long_lie {
            return None;
        }
        incident.long = true;
        if incident.long_told || !cooled {
            return None;
        }
        incident.long_told = true;
        // A fall whose alert was still owed is told by its long lie.
        let first = !incident.known();
        incident.told = true;
        self.fall.raised = Some(now);
        Some(self.tell(Class::Fall, EventType::LongLie, first))
    }

    fn tell(&self, class: Class, event: EventType, first: bool) -> Transition {
        let score = match class {
            Class::Fall => self.fall.score,
            Class::Climb => self.climb.score,
        };
        Transition { event, class, score, place: None, first }
    }

    /// One at a time, the fall first. A climb changes at most once in a recovery window, so one place is enough.
    fn one(&mut self, fall: Option<Transition>, climb: Option<Transition>) -> Option<Transition> {
        self.pending = climb.or(self.pending.take());
        fall.or_else(|| self.pending.take())
    }
}

/// A configured time; one too long to count (or not a number) is endless.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
}

//! One class at one camera: sliding windows of what was scored and seen, the alarm they raise and end, and its cooldown.

use super::{ClassModel, Score};
use crate::frame::Moment;
use std::time::Duration;

/// The longest window, in ticks.
pub(super) const WINDOW: u32 = u128::BITS;

/// An alarm ends after so long under `exit`. Measured in ticks that have a score or were bridged between two.
const RECOVERY_S: f64 = 2.0;

/// Share of the scores in that time that must lie under `exit`: one flicker in ten delays nothing.
const RECOVERY_SHARE: f64 = 0.9;

/// Who is at a place where only climbers are need not convince the model for as long as elsewhere: in so many seconds …
const THERE_S: f64 = 0.8;

/// … this share of the ticks raises the alarm. A knee that is lost for a moment delays nothing, and one that is swung past is no climb.
const THERE_SHARE: f64 = 0.8;

/// The numbers of one class, ready to use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    enter: f32,
    exit: f32,
    pub(super) k: u32,
    n: u32,
    recovery_k: u32,
    recovery_n: u32,
    there_k: u32,
    there_n: u32,
    cooldown: Duration,
}

impl Default for Limits {
    /// Nothing is ever a hit.
    fn default() -> Self {
        Self::new(ClassModel { enter: f32::INFINITY, exit: 0.0, k: WINDOW, n: WINDOW }, 1.0, Duration::MAX)
    }
}

impl Limits {
    pub(super) fn new(model: ClassModel, rate_hz: f64, cooldown: Duration) -> Self {
        // A float cast saturates and turns NaN into 0, so any rate ends within the window.
        let recovery_n = ((RECOVERY_S * rate_hz).round() as u32).clamp(2, WINDOW);
        let recovery_k = ((RECOVERY_SHARE * f64::from(recovery_n)).ceil() as u32).clamp(2, recovery_n);
        let there_n = ((THERE_S * rate_hz).round() as u32).clamp(2, WINDOW);
        let there_k = ((THERE_SHARE * f64::from(there_n)).ceil() as u32).clamp(2, there_n);
        let (k, n) = (model.k.max(2), model.n.clamp(1, WINDOW));
        Self { enter: model.enter, exit: model.exit, k, n, recovery_k, recovery_n, there_k, there_n, cooldown }
    }
}

/// The last yes-or-no answers, newest in the lowest bit.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    bits: u128,
    len: u32,
}

impl Window {
    /// Adds an answer and keeps the newest `n`, which is 1 to 128. Of the `bridged` ticks before it the answer is yes
    /// only if it is on both sides.
    fn push(&mut self, yes: bool, bridged: u32, n: u32) {
        let between = yes && self.bits & 1 == 1;
        // Nothing lies between the first answer and none; more than the window holds cannot be told from it.
        let bridged = if self.len == 0 { 0 } else { bridged.min(n) };
        for answer in std::iter::repeat_n(between, bridged as usize).chain([yes]) {
            self.bits = ((self.bits << 1) | u128::from(answer)) & (u128::MAX >> (WINDOW - n));
            self.len = (self.len + 1).min(n);
        }
    }
}

/// An alarm that has not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incident {
    pub(super) since: Moment,
    /// Its alert has been raised. False while the cooldown holds it back.
    pub(super) told: bool,
    pub(super) long: bool,
    pub(super) long_told: bool,
    pub(super) acknowledged: bool,
    /// The scores have been low for as long as a recovery takes, and nobody was seen upright.
    quiet: bool,
    /// What was told of the quiet alarm whose place it took: it goes on with that incident, which nobody has ended.
    before: Before,
}

/// What is known to people of an alarm that another took the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Told,
    Acknowledged,
}

impl Before {
    fn acknowledged(self) -> Self {
        if self == Self::Told { Self::Acknowledged } else { self }
    }
}

impl Incident {
    fn new(since: Moment) -> Self {
        let (told, long, long_told, acknowledged) = (false, false, false, false);
        Self { since, told, long, long_told, acknowledged, quiet: false, before: Before::Nothing }
    }

    /// True once somebody has been told of the incident, be it by the alarm before.
    pub(super) fn known(&self) -> bool {
        self.told || self.before != Before::Nothing
    }

    /// Somebody falls anew in a room where nobody was seen getting up.
    fn again(&self, now: Moment) -> Self {
        let before = match self {
            Self { told: true, acknowledged: true, .. } => Before::Acknowledged,
            Self { told: true, .. } => Before::Told,
            Self { before, .. } => *before,
        };
        Self { before, ..Self::new(now) }
    }
}

/// What one score did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// An alert is raised; `first` of its incident.
    Raised {
        first: bool,
    },
    /// The alarm ended; `told` if anybody had been told of it.
    Ended {
        told: bool,
    },
}

/// One class at one camera.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    high: Window,
    low: Window,
    calm: Window,
    /// Whether somebody was at `place`.
    there: Window,
    place: Option<usize>,
    pub(super) incident: Option<Incident>,
    /// When the last alert of this class was raised.
    pub(super) raised: Option<Moment>,
    pub(super) score: f32,
    pub(super) scored: Moment,
}

impl Track {
    /// The score of one tick, `bridged` ticks after the last. One that is not a number is neither high nor low: it
    /// counts for nothing. A low one speaks for the end of the alarm unless `upright` denies it; after an
    /// acknowledgement it always does. `places` are those where only climbers are
    /// and somebody was, a bit for each.
    pub(super) fn observe(
        &mut self,
        now: Moment,
        bridged: u32,
        score: Score,
        upright: Option<bool>,
        places: u64,
        limits: &Limits,
    ) -> Step {
        (self.score, self.scored) = (score.least, now);
        self.high.push(score.least >= limits.enter, bridged, limits.n);
        let over = upright != Some(false) || self.incident.is_some_and(|incident| incident.acknowledged);
        self.low.push(score.most < limits.exit && over, bridged, limits.recovery_n);
        self.calm.push(score.most < limits.exit, bridged, limits.recovery_n);
        if places != 0 && self.place.is_none_or(|place| places & 1 << place == 0) {
            // One place and then another are not one climb.
            (self.there, self.place) = (Window::default(), Some(places.trailing_zeros() as usize));
        }
        self.there.push(places != 0, bridged, limits.there_n);
        let enough = self.hits() >= limits.k || self.there.bits.count_ones() >= limits.there_k;
        let settled = |window: Window| window.len == limits.recovery_n && window.bits.count_ones() >= limits.recovery_k;
        let (ended, quiet) = (settled(self.low), settled(self.calm));
        match &mut self.incident {
            Some(incident) if ended => {
                let told = incident.known();
                self.incident = None;
                self.forget();
                return Step::Ended { told };
            }
            // Somebody who falls in a room whose alarm went quiet without anybody getting up is told of anew.
            Some(incident) if incident.quiet && enough => {
                *incident = incident.again(now);
                self.calm = Window::default();
            }
            Some(incident) => incident.quiet |= quiet,
            None if enough => {
                self.incident = Some(Incident::new(now));
                self.low = Window::default();
                self.calm = Window::default();
            }
            None => {}
        }
        let cooled = self.cooled(now, limits);
        match &mut self.incident {
            Some(incident) if enough && cooled && !incident.told && !incident.acknowledged => {
                let first = !incident.known();
                incident.told = true;
                self.raised = Some(now);
                Step::Raised { first }
            }
            _ => Step::Nothing,
        }
    }

    /// Goes on with an alarm that was told of before a restart.
    pub(super) fn resume(&mut self, now: Moment, long_told: bool, acknowledged: bool) {
        let told = Incident { told: true, long: long_told, long_told, acknowledged, ..Incident::new(now) };
        self.incident = Some(told);
    }

    /// Empties the windows; an alarm stays.
    pub(super) fn forget(&mut self) {
        self.high = Window::default();
        self.low = Window::default();
        self.calm = Window::default();
        self.there = Window::default();
    }

    /// True if this is news. An alarm that nobody has been told of stays as it is: what they were told of is the one before it.
    pub(super) fn acknowledge(&mut self) -> bool {
        match &mut self.incident {
            Some(Incident { told: true, acknowledged, .. }) => !std::mem::replace(acknowledged, true),
            Some(Incident { before, .. }) => std::mem::replace(before, before.acknowledged()) == Before::Told,
            None => false,
        }
    }

    pub(super) fn cooled(&self, now: Moment, limits: &Limits) -> bool {
        self.raised.is_none_or(|raised| now.saturating_sub(raised) >= limits.cooldown)
    }

    pub(super) fn hits(&self) -> u32 {
        self.high.bits.count_ones()
    }

    /// The place where somebody has been for half of what raises the alarm: one glimpse there names nothing.
    pub(super) fn place(&self, limits: &Limits) -> Option<usize> {
        self.place.filter(|_| 2 * self.there.bits.count_ones() >= self.hits().min(limits.there_n))
    }

    pub(super) fn newest_is_low(&self) -> bool {
        self.low.bits & 1 == 1
    }
}

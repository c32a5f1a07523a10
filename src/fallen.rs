//! Who went down and has not been seen to get up: while there is such a person, no alarm of a fall ends by itself.
//!
//! A low score says nothing, since a fall leaves the model's clip after four seconds. Nor does somebody upright: whoever lies
//! is often lost by the encoder, which finds the one who comes in; and whoever lies with the head straight away from the camera looks
//! upright. So from the alarm on it is remembered who fell and who has been seen low for a while, and where. They are up once they are upright
//! elsewhere than they lay. If the tracker follows them no longer, their place is left: until somebody has been found there for a while, who is taken for
//! them, or has stood there for longer. Only people who are followed can be upright: what is found faintly and starts nobody may
//! be a chair. What is found low keeps the alarm however faint it is, for the encoder's lying bodies are.
//!
//! `docs/decisions/2026-11-28-whoever-fell-must-be-seen-upright.md` says what this costs. Not known here: who was down before a restart, and a second
//! one who falls at the same moment and is never seen low.

use crate::body;
use crate::classifier::Spec;
use crate::posture::{self, Posture};
use crate::tracker::{Followed, Place};

/// So long without a break must be seen what is to count: somebody low, somebody up, somebody in a place.
const SURE_S: f64 = 1.0;
/// So long must somebody stand where one was lost.
const THERE_S: f64 = 2.0;
/// Who comes back after longer may be somebody else whom the tracker took for them.
const AWAY_S: f64 = 0.5;
/// A body has come to lie so long after it fell.
const LIES_S: f64 = 1.5;
/// Who has got up has moved the shoulders so far, as a share of the box's diagonal; who lies and is looked at again has not.
const MOVED: f32 = 0.3;
/// The box of somebody found in a place shares so much with it, as a share of both.
const SAME: f32 = 0.3;
/// So near below a place, as a share of its longer side, stands who gets up from it.
const NEAR: f32 = 0.25;

/// For how many ticks something has been so without a break.
#[derive(Debug, Clone, Copy, Default)]
struct Run(u32);

impl Run {
    /// One tick more, and the bridged ones before it if it was so already.
    fn note(&mut self, so: bool, ticks: u32) {
        self.0 = match (so, self.0) {
            (false, _) => 0,
            (true, 0) => 1,
            (true, before) => before.saturating_add(ticks),
        };
    }
}

/// Somebody who went down.
#[derive(Debug, Clone, Copy)]
struct Down {
    /// Nobody once they are followed no longer: then `bounds` is the place where they were.
    who: Option<u64>,
    bounds: [f32; 4],
    /// For how many ticks they have not been seen.
    away: usize,
    /// Ticks since they fell.
    age: u32,
    /// Where their shoulders lay, `[y, x]`: where they were seen low last or, of one who looks upright, after `Limits::lies`.
    lay: Option<[f32; 2]>,
    /// Up, or, in a place, somebody stands there.
    up: Run,
    /// In a place this one is found.
    found: Option<(u64, Run)>,
}

/// Those who are down at one camera. Does not allocate after [`Fallen::new`].
#[derive(Debug)]
pub struct Fallen {
    down: Vec<Down>,
    /// Who is seen low at this tick.
    low: Vec<(u64, Run)>,
    /// As many as are followed at once, and as many who no longer are. Where there are more, these hold the alarm.
    most: usize,
    limits: Limits,
}

/// In ticks.
#[derive(Debug, Clone, Copy)]
struct Limits {
    sure: u32,
    there: u32,
    away: usize,
    lies: u32,
}

/// One tick as the encoder saw it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a, People> {
    /// What was found, f32 `[P, F]`.
    pub detections: &'a [f32],
    /// Who is followed.
    pub followed: People,
    /// Ticks since the last one: bridged ones, and this.
    pub ticks: u32,
}

impl Fallen {
    /// Nobody is down.
    pub fn new(spec: &Spec) -> Self {
        let ticks = |seconds: f64| (seconds * spec.rate_hz).round().max(1.0);
        let limits = Limits {
            sure: ticks(SURE_S) as u32,
            there: ticks(THERE_S) as u32,
            away: ticks(AWAY_S) as usize,
            lies: ticks(LIES_S) as u32,
        };
        let most = 2 * spec.people;
        Self { down: Vec::with_capacity(most), low: Vec::with_capacity(spec.people), most, limits }
    }

    /// In an open alarm `who` has fallen, whatever they look like: anew, if they had fallen before.
    pub fn falls(&mut self, who: Followed<'_>) {
        self.down.retain(|down| down.who != Some(who.id));
        self.add(who);
    }

    /// No alarm is open any more.
    pub fn end(&mut self) {
        self.down.clear();
        self.low.clear();
    }

    /// True if everybody who could be down is up, and somebody is upright; those whom `rests` names may be low. `alarm`: one
    /// is open. `None` if the model does not tell bodies.
    pub fn all_upright<'a>(
        &mut self,
        alarm: bool,
        seen: Seen<'_, impl Iterator<Item = Followed<'a>> + Clone>,
        spec: &Spec,
        rests: impl Fn(&[f32]) -> bool,
    ) -> Option<bool> {
        if !spec.has_bodies() {
            return None;
        }
        let Seen { detections, followed, ticks } = seen;
        let is_low = |row: &[f32]| posture::of(row, spec) == Posture::Low && !rests(row);
        let is_found = |row: &&[f32]| body::score(row) >= spec.tracker.min_score;
        let low = detections.chunks_exact(spec.person_len).filter(is_found).any(is_low);
        let here = followed.clone().filter(|person| person.ago == 0);
        let upright = here.clone().any(|person| posture::of(person.row, spec) == Posture::Upright);
        let limits = self.limits;
        self.down.retain_mut(|down| down.look(followed.clone(), ticks, limits, spec, &rests));
        if alarm {
            self.remember_low(here.filter(|person| is_low(person.row)), ticks);
        }
        Some(upright && !low && self.down.iter().all(Down::is_up))
    }

    /// A glimpse of somebody bent is not yet somebody down.
    fn remember_low<'a>(&mut self, low: impl Iterator<Item = Followed<'a>> + Clone, ticks: u32) {
        self.low.retain(|(id, _)| low.clone().any(|person| person.id == *id));
        for person in low {
            let known = self.low.iter().position(|(id, _)| *id == person.id).unwrap_or_else(|| {
                self.low.push((person.id, Run::default()));
                self.low.len() - 1
            });
            let run = &mut self.low[known].1;
            run.note(true, ticks);
            if run.0 >= self.limits.sure {
                self.add(person);
            }
        }
    }

    fn add(&mut self, Followed { id, row, ago }: Followed<'_>) {
        let known = self.down.iter().any(|down| down.who == Some(id) || down.found.is_some_and(|found| found.0 == id));
        if !known && self.down.len() < self.most {
            let bounds = body::bounds(row);
            let (up, found) = (Run::default(), None);
            self.down.push(Down { who: Some(id), bounds, away: ago, age: 0, lay: None, up, found });
        }
    }
}

impl Down {
    /// Takes one tick in; false once they are down no more.
    fn look<'a>(
        &mut self,
        followed: impl Iterator<Item = Followed<'a>> + Clone,
        ticks: u32,
        limits: Limits,
        spec: &Spec,
        rests: &impl Fn(&[f32]) -> bool,
    ) -> bool {
        self.age = self.age.saturating_add(ticks);
        let another = |person: &Followed<'_>| {
            person.ago == 0 && self.away > limits.away && shared(self.bounds, body::bounds(person.row)) <= 0.0
        };
        let own = followed.clone().find(|person| self.who == Some(person.id)).filter(|person| !another(person));
        if let Some(person) = own {
            self.away = person.ago;
            let up = person.ago == 0 && (self.has_got_up(person.row, limits, spec) || rests(person.row));
            self.up.note(up, ticks);
            return self.up.0 < limits.sure;
        }
        self.who = None;
        let (place, found) = (self.bounds, self.found);
        let stands = |row: &[f32]| posture::of(row, spec) == Posture::Upright && holds(place, feet(body::bounds(row)));
        let here = followed.filter(|person| person.ago == 0);
        self.up.note(here.clone().any(|person| stands(person.row)), ticks);
        // One who was found here before is asked first.
        let mut there = here.filter(|person| shared(place, body::bounds(person.row)) > SAME);
        let before = |id: u64| found.filter(|found| found.0 == id);
        let person = there.clone().find(|person| before(person.id).is_some()).or_else(|| there.next());
        self.found = person.map(|person| {
            let mut run = before(person.id).map_or(Run::default(), |found| found.1);
            run.note(true, ticks);
            (person.id, run)
        });
        if let Some((id, Run(long))) = self.found
            && long >= limits.sure
        {
            (self.who, self.found, self.away, self.up) = (Some(id), None, 0, Run::default());
        }
        self.up.0 < limits.there
    }

    /// Nothing speaks against it at this tick. Who is followed is believed at once; in a place it takes all that time.
    fn is_up(&self) -> bool {
        self.who.is_some() && self.up.0 > 0
    }

    /// Whether their own `row` shows them upright, and elsewhere than they lay.
    fn has_got_up(&mut self, row: &[f32], limits: Limits, spec: &Spec) -> bool {
        self.bounds = body::bounds(row);
        let Some(trunk) = body::trunk(row) else { return false };
        let low = posture::of(row, spec) == Posture::Low;
        if low || self.lay.is_none() && self.age >= limits.lies {
            self.lay = Some(trunk.shoulders);
        }
        let (Some(lay), false) = (self.lay, low) else { return false };
        let apart = |y: f32, x: f32| y.hypot(x * spec.frame.aspect());
        let [top, left, bottom, right] = self.bounds;
        let moved = apart(trunk.shoulders[0] - lay[0], trunk.shoulders[1] - lay[1]);
        moved > MOVED * apart(bottom - top, right - left)
    }
}

/// Where a box stands, `[y, x]`.
fn feet([_, left, bottom, right]: [f32; 4]) -> [f32; 2] {
    [bottom, (left + right) / 2.0]
}

/// True if a point is in a place or near below it.
fn holds([top, left, bottom, right]: [f32; 4], [y, x]: [f32; 2]) -> bool {
    let near = NEAR * (bottom - top).max(right - left);
    (top..=bottom + near).contains(&y) && (left..=right).contains(&x)
}

/// What two boxes share, of both together.
fn shared(a: [f32; 4], b: [f32; 4]) -> f32 {
    // A share is the same in any unit.
    Place::new(&a, 1.0).overlap(Place::new(&b, 1.0))
}

#[cfg(test)]
mod tests;

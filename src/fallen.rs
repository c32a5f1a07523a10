//! Who went down and has not been seen to get up: while there is such a person, no alarm of a fall ends by itself.
//!
//! A low score says nothing, since a fall leaves the model's clip after four seconds. Nor does somebody upright: whoever lies
//! is often lost by the encoder, which finds the one who comes in. So from the alarm on it is remembered who
//! fell and who was seen low, also when the tracker follows them no longer; then their place is left, and somebody's feet have to stand
//! in it for a while. Only people who are followed can be upright: what is found faintly and starts nobody may be a chair. What is found
//! low keeps the alarm however faint it is, for the encoder's lying bodies are.
//!
//! Nor is everybody up who looks so: whoever lies with the head straight away from the camera does. So they must also have moved from where
//! they came to lie.
//!
//! The price: who is lost while down, and is found again elsewhere, has to be acknowledged, and who sits still after a false alarm is taken for
//! down. What this cannot know: who was down before a restart.

use crate::body;
use crate::classifier::Spec;
use crate::posture::{self, Posture};
use crate::tracker::Followed;

/// After so long upright without a break nobody is taken for down any more.
const UP_S: f64 = 1.0;
/// So long must somebody stand where one was lost: whoever walks past a place has left it before.
const THERE_S: f64 = 2.0;
/// Who comes back after longer may be somebody else whom the tracker took for them.
const AWAY_S: f64 = 0.5;

/// A body has come to lie so long after the fall score was high first.
const LIES_S: f64 = 1.5;
/// Who has got up has moved the shoulders so far, as a share of the box's diagonal; who lies and is looked at again has not.
const MOVED: f32 = 0.3;
/// Somebody found in a place whose box shares so much with it, as a share of both, is the one who was lost there.
const SAME: f32 = 0.3;
/// So near below a place, as a share of its longer side, stands who gets up from it.
const NEAR: f32 = 0.25;

/// Somebody who went down.
#[derive(Debug, Clone, Copy)]
struct Down {
    /// Nobody once they are followed no longer: then `bounds` is the place where they were.
    who: Option<u64>,
    bounds: [f32; 4],
    /// For how many ticks they have not been seen.
    away: usize,
    /// Ticks since they went down.
    age: u32,
    /// Where their shoulders came to lie, `[y, x]`: where they were seen low last or, of one who looks upright, after `Limits::lies`.
    lay: Option<[f32; 2]>,
    /// For how many ticks they have been upright, or somebody has stood in the place.
    upright: u32,
    /// Nothing speaks against their being up at this tick.
    up: bool,
}

/// Those who are down at one camera. Does not allocate after [`Fallen::new`].
#[derive(Debug)]
pub struct Fallen {
    down: Vec<Down>,
    most: usize,
    limits: Limits,
}

/// In ticks.
#[derive(Debug, Clone, Copy)]
struct Limits {
    up: u32,
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
    /// Ticks since the last one, bridged ones among them.
    pub ticks: u32,
}

impl Fallen {
    /// Nobody is down.
    pub fn new(spec: &Spec) -> Self {
        // As many as are followed at once, and as many who no longer are.
        let most = 2 * spec.people;
        let ticks = |seconds: f64| (seconds * spec.rate_hz).round().max(1.0);
        let limits = Limits {
            up: ticks(UP_S) as u32,
            there: ticks(THERE_S) as u32,
            away: ticks(AWAY_S) as usize,
            lies: ticks(LIES_S) as u32,
        };
        Self { down: Vec::with_capacity(most), most, limits }
    }

    /// An alarm is open in which `who` falls at this tick, whatever they look like.
    pub fn falls(&mut self, who: Followed<'_>) {
        self.add(who);
    }

    /// No alarm is open any more.
    pub fn end(&mut self) {
        self.down.clear();
    }

    /// True if everybody who could be down is seen upright, and somebody is; those whom `rests` names may be low. `alarm`: one
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
        if alarm {
            here.filter(|person| is_low(person.row)).for_each(|person| self.add(person));
        }
        let limits = self.limits;
        self.down.retain_mut(|down| down.look(followed.clone(), ticks, limits, spec, &rests));
        Some(upright && !low && self.down.iter().all(|down| down.up))
    }

    fn add(&mut self, Followed { id, row, ago }: Followed<'_>) {
        let bounds = body::bounds(row);
        let own = self.down.iter().position(|down| down.who == Some(id));
        // Who is found again where somebody was lost is that one, or one lying person would leave place after place.
        let lost = || self.down.iter().position(|down| down.who.is_none() && shared(down.bounds, bounds) > 0.0);
        if let Some(known) = own.or_else(lost) {
            let known = &mut self.down[known];
            (known.who, known.upright) = (Some(id), 0);
            if known.up {
                // Down anew, and perhaps elsewhere.
                (known.age, known.lay) = (0, None);
            }
            return;
        }
        if self.down.len() == self.most {
            let oldest = self.down.iter().position(|down| down.who.is_none()).unwrap_or(0);
            self.down.remove(oldest);
        }
        self.down.push(Down { who: Some(id), bounds, away: ago, age: 0, lay: None, upright: 0, up: false });
    }
}

impl Down {
    /// Takes one tick in; false once they are down no more.
    fn look<'a>(
        &mut self,
        mut followed: impl Iterator<Item = Followed<'a>> + Clone,
        ticks: u32,
        limits: Limits,
        spec: &Spec,
        rests: &impl Fn(&[f32]) -> bool,
    ) -> bool {
        self.age = self.age.saturating_add(ticks);
        let here = |person: &Followed<'_>| person.ago == 0;
        if self.who.is_none() {
            let same = |person: &Followed<'_>| here(person) && shared(self.bounds, body::bounds(person.row)) > SAME;
            self.who = followed.clone().find(same).map(|person| person.id);
        }
        let own = followed.clone().find(|person| self.who == Some(person.id));
        let another = |person: &Followed<'_>| {
            here(person) && self.away > limits.away && shared(self.bounds, body::bounds(person.row)) <= 0.0
        };
        let is_upright = |row: &[f32]| posture::of(row, spec) == Posture::Upright;
        let (standing, long) = match own.filter(|person| !another(person)) {
            Some(person) => {
                self.away = person.ago;
                let up = here(&person) && (self.is_up(person.row, limits, spec) || rests(person.row));
                (up, limits.up)
            }
            None => {
                (self.who, self.away) = (None, 0);
                let there = |row: &[f32]| is_upright(row) && holds(self.bounds, feet(body::bounds(row)));
                (followed.any(|person| here(&person) && there(person.row)), limits.there)
            }
        };
        self.upright = if standing { self.upright + ticks } else { 0 };
        // Who is followed is believed at once; in a place it takes all that time.
        self.up = standing && self.who.is_some();
        self.upright < long
    }

    /// Whether their own `row` shows them upright, and elsewhere than they came to lie.
    fn is_up(&mut self, row: &[f32], limits: Limits, spec: &Spec) -> bool {
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
    let side = |axis: usize| (a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let area = |of: [f32; 4]| (of[2] - of[0]) * (of[3] - of[1]);
    let both = side(0) * side(1);
    both / (area(a) + area(b) - both + 1e-9)
}

#[cfg(test)]
mod tests;

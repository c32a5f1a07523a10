//! Where in a camera's picture falls and climbs are told of: the places that the installer marks, and what it means that somebody is
//! there. Pure geometry.
//!
//! * Where people **rest** (a bed, a sofa) nobody is on the floor: who has their trunk there has not fallen.
//! * Where people **climb** if they are there at all (a window sill, the far side of a rail) nobody's knee belongs: who has one
//!   there is up on something, however they got there.
//!
//! A camera may also be told to speak of no falls, of no climbs, or of climbs at such places alone.
//!
//! Points are parts of the camera's own picture, 0 to 1 from its left and top, so they hold whatever the size of its
//! pictures. What one person scores at one tick is judged; how many such ticks are an alarm is the policy's.

use crate::body;
use crate::classifier::Spec;
use crate::config::{CameraConfig, Climbs, Falls, Outline};
use crate::event::Class;
use crate::frame::{Size, View};
use std::collections::BTreeMap;

/// Somebody who is not seen rests on for so long where they were seen last, in seconds.
const RESTS_ON_S: f64 = 1.0;

/// Where one camera tells of what.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Zones {
    falls: Falls,
    climbs: Climbs,
    rest: Vec<Outline>,
    climb: Vec<Outline>,
    /// The names of `climb`.
    names: Vec<String>,
}

/// What the scores of one row come to at a camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// p(fall) + p(fallen), where falls are told of.
    pub fall: f32,
    /// p(climb), where climbs are told of.
    pub climb: f32,
    /// The marked places where only climbers are and this person is.
    pub places: Places,
}

/// Some of a camera's marked places, a bit for the number of each.
pub type Places = u64;

impl Zones {
    /// What a camera's configuration says.
    pub fn new(config: &CameraConfig) -> Self {
        let outlines = |named: &BTreeMap<String, Outline>| named.values().cloned().collect();
        let (falls, climbs) = (config.falls, config.climbs);
        let names = config.climb.keys().cloned().collect();
        Self { falls, climbs, rest: outlines(&config.rest), climb: outlines(&config.climb), names }
    }

    /// The name of a marked place where only climbers are.
    pub fn name(&self, place: usize) -> Option<&str> {
        self.names.get(place).map(String::as_str)
    }

    /// The marked places as corners `[y, x]`, 0 to 1 of a fitted picture of `size` of which the camera fills `view`.
    pub fn outlines(&self, size: Size, view: View) -> Vec<Vec<[f32; 2]>> {
        let fitted = |outline: &Outline| outline.iter().map(|corner| whole(*corner, size, view)).collect();
        self.rest.iter().chain(&self.climb).map(fitted).collect()
    }

    /// The dangers that are told of at all.
    pub fn watches(&self) -> Vec<Class> {
        let told = |class: &Class| match class {
            Class::Fall => self.falls != Falls::Never,
            Class::Climb => self.climbs != Climbs::Never,
        };
        Class::ALL.into_iter().filter(told).collect()
    }

    /// Why a model cannot keep to what is marked, with the mend; nothing if it can.
    pub fn unfit(&self, spec: &Spec) -> Option<String> {
        let why = if self.rest.is_empty() && self.climb.is_empty() {
            return None;
        } else if !spec.has_bodies() {
            "tells no bodies, so nobody is known to be where a camera's `rest` and `climb` mark places"
        } else if spec.scene_row && !self.rest.is_empty() {
            "judges the scene as a whole too, so who lies where a camera's `rest` marks a place would be told of all the same"
        } else {
            return None;
        };
        Some(format!("{} {} {why}: remove them from the configuration, or use another model", spec.name, spec.version))
    }

    /// What the fall and the climb score of one row become: of a `person` whose numbers, f32 `[F]`, are so many ticks old, or without one
    /// of the scene.
    pub fn judge(&self, (fall, climb): (f32, f32), person: Option<(&[f32], usize)>, spec: &Spec, view: View) -> Judged {
        let rests = |(row, ago): (&[f32], usize)| {
            // Who is lost in bed for longer may have rolled out of it.
            ago as f64 <= RESTS_ON_S * spec.rate_hz && self.rests(row, spec, view)
        };
        let fall = match self.falls {
            Falls::Anywhere if !person.is_some_and(rests) => fall,
            Falls::Anywhere | Falls::Never => 0.0,
        };
        // One glimpse of a knee is no climb: it must be seen there at each tick that counts.
        let seen = person.filter(|(_, ago)| *ago == 0 && self.climbs != Climbs::Never);
        let places = seen.map_or(0, |(row, _)| self.climbs_at(row, spec, view));
        let climb = match self.climbs {
            _ if places != 0 => 1.0,
            Climbs::Anywhere => climb,
            Climbs::Places | Climbs::Never => 0.0,
        };
        Judged { fall, climb, places }
    }

    /// True if the person of `row`, f32 `[F]`, seen in a fitted picture of which the camera fills `view`, rests: the middle of the
    /// trunk, or without a trunk of the box, is where people rest.
    pub fn rests(&self, row: &[f32], spec: &Spec, view: View) -> bool {
        if self.rest.is_empty() {
            return false;
        }
        holding(&self.rest, part(body::centre(row), spec.frame, view)) != 0
    }

    /// The marked places where a knee of the person of `row` is and does not belong; as in [`rests`](Self::rests).
    pub fn climbs_at(&self, row: &[f32], spec: &Spec, view: View) -> Places {
        if self.climb.is_empty() {
            return 0;
        }
        body::knees(row).fold(0, |places, knee| places | holding(&self.climb, part(knee, spec.frame, view)))
    }
}

/// Where a point `[y, x]` of the fitted picture, 0 to 1, lies in the camera's own: x and y, 0 to 1 inside.
fn part([y, x]: [f32; 2], size: Size, view: View) -> [f32; 2] {
    let part = |at: f32, all: usize, first: usize, filled: usize| (at * all as f32 - first as f32) / filled as f32;
    [part(x, size.width, view.left, view.width), part(y, size.height, view.top, view.height)]
}

/// The way back: where a point of the camera's own picture, x and y, lies in the fitted one, `[y, x]`.
fn whole([x, y]: [f32; 2], size: Size, view: View) -> [f32; 2] {
    let whole = |at: f32, all: usize, first: usize, filled: usize| (at * filled as f32 + first as f32) / all as f32;
    [whole(y, size.height, view.top, view.height), whole(x, size.width, view.left, view.width)]
}

/// Which outlines hold a point. Nobody marks more than a number has bits; those beyond share the last.
fn holding(outlines: &[Outline], point: [f32; 2]) -> Places {
    let holds = outlines.iter().enumerate().filter(|(_, outline)| inside(outline, point));
    holds.fold(0, |places, (at, _)| places | 1 << at.min(Places::BITS as usize - 1))
}

/// True if a ray from `point` to the right crosses the outline an odd number of times (the even–odd rule).
fn inside(outline: &[[f32; 2]], [x, y]: [f32; 2]) -> bool {
    let mut inside = false;
    let mut before = outline.last();
    for corner in outline {
        if let Some([bx, by]) = before
            && (corner[1] > y) != (*by > y)
            && x < (bx - corner[0]) * (y - corner[1]) / (by - corner[1]) + corner[0]
        {
            inside = !inside;
        }
        before = Some(corner);
    }
    inside
}

/// True if two sides of an outline cross: its corners are not in order around it.
pub fn crosses(outline: &[[f32; 2]]) -> bool {
    let corner = |at: usize| outline[at % outline.len()];
    // On which side of the line from a to b the point c lies.
    let side = |a: [f32; 2], b: [f32; 2], c: [f32; 2]| (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    let apart = |a, b, c, d| side(a, b, c) * side(a, b, d) < 0.0;
    (0..outline.len()).any(|first| {
        let (a, b) = (corner(first), corner(first + 1));
        (first + 2..outline.len()).any(|second| {
            let (c, d) = (corner(second), corner(second + 1));
            apart(a, b, c, d) && apart(c, d, a, b)
        })
    })
}

/// The share of the picture that an outline encloses (the shoelace formula); of one whose sides cross, less.
pub fn area(outline: &[[f32; 2]]) -> f32 {
    let next = outline.iter().cycle().skip(1);
    let twice: f32 = outline.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum();
    twice.abs() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Classifier;
    use crate::classifier::scripted::ScriptedClassifier;

    /// A bed in perspective: no side is upright or level.
    const BED: [[f32; 2]; 4] = [[0.1, 0.5], [0.45, 0.4], [0.6, 0.7], [0.15, 0.9]];

    fn spec() -> Spec {
        let frame = Size { width: 256, height: 192 };
        Spec { people: 1, frame, ..ScriptedClassifier::new().spec().clone() }
    }

    fn zones(rest: &[Outline], climb: &[Outline]) -> Zones {
        Zones { rest: rest.to_vec(), climb: climb.to_vec(), ..Zones::default() }
    }

    /// Somebody whose joints are at these places of the fitted picture, y before x, and whose box is all of it.
    fn person(joints: &[(usize, [f32; 2])]) -> Vec<f32> {
        let mut row = vec![0.0; 56];
        for &(joint, [y, x]) in joints {
            row[3 * joint..3 * joint + 3].copy_from_slice(&[y, x, 0.5]);
        }
        row[51..56].copy_from_slice(&[0.0, 0.0, 1.0, 1.0, 0.9]);
        row
    }

    #[test]
    fn a_point_is_inside_whichever_corner_comes_first_and_whichever_way_round() {
        let mut outline = BED.to_vec();
        for _ in 0..2 {
            for _ in 0..4 {
                outline.rotate_left(1);
                assert!([[0.3, 0.6], [0.14, 0.52], [0.55, 0.7]].iter().all(|point| inside(&outline, *point)));
                assert!(
                    ![[0.5, 0.42], [0.05, 0.6], [0.3, 0.9], [0.7, 0.7]].iter().any(|point| inside(&outline, *point))
                );
            }
            outline.reverse();
        }
        let notched = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.2], [0.0, 1.0]];
        assert!(inside(&notched, [0.5, 0.1]) && !inside(&notched, [0.5, 0.6]) && inside(&notched, [0.9, 0.6]));
        assert!(!inside(&[], [0.5, 0.5]));
        assert!(!inside(&BED, [f32::NAN, 0.5]));
    }

    #[test]
    fn corners_out_of_order_cross() {
        assert!(!crosses(&BED) && !crosses(&[]) && !crosses(&[[0.1, 0.1], [0.9, 0.9]]));
        assert!(!crosses(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.2], [0.0, 1.0]]), "a notch");
        for (first, second) in [(2, 3), (0, 1), (1, 2)] {
            let mut outline = BED;
            outline.swap(first, second);
            assert!(crosses(&outline), "{outline:?}");
        }
    }

    #[test]
    fn who_is_lost_in_bed_rests_for_a_second_and_a_knee_counts_while_it_is_seen() {
        let all = [vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]];
        let (zones, spec) = (zones(&all, &all), spec());
        let row = person(&[(5, [0.5, 0.5]), (11, [0.6, 0.5]), (13, [0.7, 0.5])]);
        let judge = |person| zones.judge((0.9, 0.1), person, &spec, View::whole(spec.frame));
        let judged = [0, 1, 15, 16].map(|ago| judge(Some((&row[..], ago))));
        assert_eq!(judged.map(|judged| (judged.fall, judged.climb)), [(0.0, 1.0), (0.0, 0.1), (0.0, 0.1), (0.9, 0.1)]);
        assert_eq!(judged.map(|judged| judged.places), [1, 0, 0, 0]);
        assert_eq!(judge(None), Judged { fall: 0.9, climb: 0.1, places: 0 }, "the scene is nowhere");
    }

    #[test]
    fn a_camera_tells_of_what_it_is_there_for() {
        let sill = vec![[0.0, 0.0], [1.0, 0.0], [1.0, 0.5], [0.0, 0.5]];
        let (on_it, below) = (person(&[(13, [0.4, 0.5])]), person(&[(13, [0.6, 0.5])]));
        let told = |falls: Falls, climbs: Climbs| {
            let zones = Zones { falls, climbs, ..zones(&[], std::slice::from_ref(&sill)) };
            let judge = |person| zones.judge((0.9, 0.6), person, &spec(), View::whole(spec().frame));
            [Some((&on_it[..], 0)), Some((&below[..], 0)), None].map(|person| (judge(person).fall, judge(person).climb))
        };
        assert_eq!(told(Falls::Anywhere, Climbs::Anywhere), [(0.9, 1.0), (0.9, 0.6), (0.9, 0.6)]);
        assert_eq!(told(Falls::Anywhere, Climbs::Places), [(0.9, 1.0), (0.9, 0.0), (0.9, 0.0)]);
        assert_eq!(told(Falls::Anywhere, Climbs::Never), [(0.9, 0.0); 3]);
        assert_eq!(told(Falls::Never, Climbs::Anywhere), [(0.0, 1.0), (0.0, 0.6), (0.0, 0.6)]);
        let watches = |falls, climbs| Zones { falls, climbs, ..Zones::default() }.watches();
        assert_eq!(watches(Falls::Anywhere, Climbs::Places), Class::ALL);
        assert_eq!(watches(Falls::Anywhere, Climbs::Never), [Class::Fall]);
        assert_eq!(watches(Falls::Never, Climbs::Anywhere), [Class::Climb]);
    }

    #[test]
    fn the_area_is_the_share_of_the_picture() {
        assert_eq!(area(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), 1.0);
        assert!((area(&[[0.2, 0.2], [0.6, 0.2], [0.2, 0.7]]) - 0.1).abs() < 1e-6);
        assert_eq!((area(&[]), area(&[[0.1, 0.1]]), area(&[[0.1, 0.1], [0.9, 0.9]])), (0.0, 0.0, 0.0));
    }

    #[test]
    fn who_lies_in_bed_rests_and_who_lies_before_it_does_not() {
        let (zones, spec) = (zones(&[BED.to_vec()], &[]), spec());
        let lies = |y: f32| person(&[(5, [y, 0.25]), (6, [y, 0.25]), (11, [y + 0.04, 0.4]), (12, [y + 0.04, 0.4])]);
        let view = View::whole(spec.frame);
        assert!(zones.rests(&lies(0.6), &spec, view));
        assert!(!zones.rests(&lies(0.9), &spec, view));
        assert_eq!(zones.climbs_at(&lies(0.6), &spec, view), 0, "a bed is no window sill");
        assert!(!Zones::default().rests(&lies(0.6), &spec, view));
    }

    #[test]
    fn without_a_trunk_the_box_says_where_somebody_is() {
        let (zones, spec) = (zones(&[BED.to_vec()], &[]), spec());
        let mut blanket = person(&[(0, [0.45, 0.4])]);
        blanket[51..55].copy_from_slice(&[0.5, 0.2, 0.7, 0.5]);
        assert!(zones.rests(&blanket, &spec, View::whole(spec.frame)));
    }

    #[test]
    fn one_knee_on_the_sill_climbs_and_leaning_over_it_does_not() {
        let sill = vec![[0.6, 0.1], [0.9, 0.1], [0.9, 0.5], [0.6, 0.5]];
        let shelf = vec![[0.1, 0.1], [0.3, 0.1], [0.3, 0.5], [0.1, 0.5]];
        let (zones, spec) = (zones(&[], &[shelf, sill]), spec());
        let at = |row: &[f32]| zones.climbs_at(row, &spec, View::whole(spec.frame));
        assert_eq!(at(&person(&[(13, [0.48, 0.7]), (14, [0.8, 0.7])])), 0b10);
        assert_eq!(at(&person(&[(13, [0.48, 0.2]), (14, [0.4, 0.7])])), 0b11);
        assert_eq!(at(&person(&[(9, [0.4, 0.7]), (11, [0.45, 0.7]), (13, [0.7, 0.7])])), 0);
        let mut unseen = person(&[(13, [0.4, 0.7])]);
        unseen[3 * 13 + 2] = 0.05;
        assert_eq!(at(&unseen), 0, "nobody guesses where a hidden knee is");
    }

    #[test]
    fn places_are_parts_of_the_cameras_picture_not_of_its_padding() {
        // A wide picture in a 4:3 one: bars of 24 rows above and below.
        let wide = View { left: 0, top: 24, width: 256, height: 144 };
        assert_eq!(part([24.0 / 192.0, 0.0], spec().frame, wide), [0.0, 0.0]);
        assert_eq!(part([168.0 / 192.0, 1.0], spec().frame, wide), [1.0, 1.0]);
        assert_eq!(whole([0.0, 0.0], spec().frame, wide), [24.0 / 192.0, 0.0]);
        assert_eq!(whole([1.0, 1.0], spec().frame, wide), [168.0 / 192.0, 1.0]);
        let floor = vec![[0.0, 0.8], [1.0, 0.8], [1.0, 1.0], [0.0, 1.0]];
        let (zones, spec) = (zones(&[floor], &[]), spec());
        let lies = person(&[(5, [0.78, 0.3]), (11, [0.78, 0.5])]);
        assert!(zones.rests(&lies, &spec, wide));
        assert!(!zones.rests(&lies, &spec, View::whole(spec.frame)));
    }
}

//! Movements in, a GIF out, read again by the GIF's own decoder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::clip::Movement;
use crate::frame::Size;
use gif::{ColorOutput, DecodeOptions, MemoryLimit};
use proptest::prelude::*;

const SIZE: Size = Size { width: 256, height: 192 };
const TICKS: usize = 64;
const LEN: usize = 56;

/// Somebody whose trunk reaches from `head` to `feet` (x, y from 0 to 1), all joints in a line.
fn row(head: [f32; 2], feet: [f32; 2]) -> Vec<f32> {
    let mut row = vec![0.0; LEN];
    // How far down the body each of COCO's keypoints is.
    let depths = [0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.2, 0.35, 0.35, 0.5, 0.5, 0.55, 0.55, 0.8, 0.8, 1.0, 1.0];
    for (joint, depth) in depths.into_iter().enumerate() {
        let at = |axis: usize| head[axis] + (feet[axis] - head[axis]) * depth;
        row[3 * joint..3 * joint + 3].copy_from_slice(&[at(1), at(0), 0.9]);
    }
    row[51..56].copy_from_slice(&[
        head[1].min(feet[1]),
        head[0].min(feet[0]),
        head[1].max(feet[1]),
        head[0].max(feet[0]),
        0.9,
    ]);
    row
}

fn movements(people: Vec<Movement>) -> Movements {
    Movements { size: SIZE, rate_hz: 15.0, ticks: TICKS, people, places: Vec::new(), picture: None }
}

/// Stands on the left for half of the clip and then lies on the right.
fn faller() -> Movement {
    let (stands, lies) = (row([0.2, 0.3], [0.2, 0.9]), row([0.9, 0.85], [0.5, 0.85]));
    let rows = (0..TICKS).flat_map(|tick| if tick < TICKS / 2 { stands.clone() } else { lies.clone() }).collect();
    Movement::new(rows, vec![true; TICKS])
}

/// The GIF's whole pictures as grey levels, with how long each stays (hundredths of a second).
fn frames(gif: &[u8]) -> Vec<(Vec<u8>, u16)> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(gif).unwrap();
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    assert_eq!((width, height), (SIZE.width * 2, SIZE.height * 2));
    let (mut canvas, mut all) = (vec![0; width * height], Vec::new());
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        let (left, top) = (usize::from(frame.left), usize::from(frame.top));
        for (at, rgba) in frame.buffer.chunks_exact(4).enumerate() {
            if rgba[3] == 0 {
                continue;
            }
            let (x, y) = (left + at % usize::from(frame.width), top + at / usize::from(frame.width));
            canvas[y * width + x] = rgba[..3].iter().copied().max().unwrap();
        }
        all.push((canvas.clone(), frame.delay));
    }
    all
}

/// The brightest level around a place of the picture (0 to 1).
fn level(canvas: &[u8], x: f32, y: f32) -> u8 {
    let (width, height) = (SIZE.width * 2, SIZE.height * 2);
    let (x, y) = ((x * width as f32) as usize, (y * height as f32) as usize);
    (y - 2..y + 3).flat_map(|row| &canvas[row * width..][x - 2..x + 3]).copied().max().unwrap()
}

#[test]
fn a_fall_is_shown_by_all_poses_at_once_and_then_by_the_movement() {
    let frames = frames(&gif(&movements(vec![faller()])).unwrap());
    // 64 ticks at 15 Hz, every third of them, after the overview.
    assert_eq!(frames.len(), 1 + 22);
    let (stood, lay) = ((0.2, 0.5), (0.7, 0.85));
    let at = |frame: usize, (x, y): (f32, f32)| level(&frames[frame].0, x, y);
    assert!(at(0, lay) > 200 && at(0, stood) > 50, "both poses: {} {}", at(0, lay), at(0, stood));
    assert!(at(0, stood) < at(0, lay), "the newest is the strongest");
    assert!(at(1, stood) > 200 && at(1, lay) < 50);
    assert!(at(22, lay) > 200 && at(22, stood) < 50);
    let delays: Vec<u16> = frames.iter().map(|(_, delay)| *delay).collect();
    assert_eq!((delays[0], delays[1], delays[21], delays[22]), (150, 20, 20, 150));
}

#[test]
fn a_clip_that_has_just_begun_is_shown_as_far_as_it_goes() {
    let person = Movement::new(row([0.2, 0.3], [0.2, 0.9]), vec![true]);
    let frames = frames(&gif(&Movements { ticks: 1, ..movements(vec![person]) }).unwrap());
    assert_eq!(frames.len(), 2);
    assert!(level(&frames[1].0, 0.2, 0.5) > 200);
}

#[test]
fn who_is_not_seen_is_not_drawn() {
    let person = Movement::new(row([0.2, 0.3], [0.2, 0.9]).repeat(TICKS), vec![false; TICKS]);
    let mut unsure = row([0.5, 0.3], [0.5, 0.9]);
    for joint in 0..17 {
        unsure[3 * joint + 2] = 0.01;
    }
    let unsure = Movement::new(unsure.repeat(TICKS), vec![true; TICKS]);
    for (canvas, _) in frames(&gif(&movements(vec![person, unsure])).unwrap()) {
        assert!(level(&canvas, 0.2, 0.5) < 50 && level(&canvas, 0.5, 0.5) < 50);
    }
}

#[test]
fn who_is_missed_for_a_moment_is_drawn_where_they_were() {
    let seen = |until: usize| {
        let seen = (0..TICKS).map(|tick| tick < until).collect();
        let person = Movement::new(row([0.2, 0.3], [0.2, 0.9]).repeat(TICKS), seen);
        level(&frames(&gif(&movements(vec![person])).unwrap()).last().unwrap().0, 0.2, 0.5) > 200
    };
    assert!(seen(TICKS - 15), "missed for a second");
    assert!(!seen(TICKS - 16), "gone");
}

#[test]
fn the_picture_lies_behind_the_figures_where_it_is_asked_for() {
    let mut picture = vec![0; SIZE.bytes()];
    picture[..SIZE.bytes() / 2].fill(200);
    let movements = Movements { picture: Some(picture.into()), ..movements(vec![faller()]) };
    for (canvas, _) in frames(&gif(&movements).unwrap()) {
        let (bright, dark) = (level(&canvas, 0.9, 0.25), level(&canvas, 0.9, 0.6));
        assert!((100..140).contains(&bright) && dark == 0, "dimmed: {bright} and {dark}");
    }
}

#[test]
fn marked_places_are_outlined_behind_the_figures() {
    let mut picture = vec![0; SIZE.bytes()];
    picture[..SIZE.bytes() / 2].fill(255);
    let places = vec![vec![[0.25, 0.1], [0.25, 0.9], [0.75, 0.9], [0.75, 0.1]]];
    for picture in [None, Some(picture.into())] {
        let movements = Movements { picture, places: places.clone(), ..movements(vec![faller()]) };
        for (canvas, _) in frames(&gif(&movements).unwrap()) {
            let sides = [(0.5, 0.25), (0.5, 0.75), (0.9, 0.4), (0.9, 0.6)].map(|(x, y)| level(&canvas, x, y));
            assert_eq!(sides, [180; 4], "brighter than any picture behind it");
            assert!(level(&canvas, 0.85, 0.7) < 160, "nothing fills it");
        }
        let last = frames(&gif(&movements).unwrap()).pop().unwrap().0;
        assert!(level(&last, 0.7, 0.85) > 200, "whoever lies there");
    }
}

#[test]
fn the_same_movements_give_the_same_bytes_and_few_of_them() {
    let once = gif(&movements(vec![faller()])).unwrap();
    assert_eq!(once, gif(&movements(vec![faller()])).unwrap());
    assert!(once.len() < 20_000, "{}", once.len());
}

#[test]
fn requests_beyond_the_queue_are_dropped_and_not_waited_for() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (send, drawn) = std::sync::mpsc::channel();
    let show = move |evidence: Evidence| {
        send.send(evidence.event).unwrap();
        // Until the test has left more requests than there is room for.
        let _released = held.recv();
    };
    let (requests, thread) = spawn(show).unwrap();
    let request = || Request { camera: "bed".into(), event: Uuid::now_v7(), movements: movements(vec![faller()]) };
    let first = request();
    let event = first.event;
    requests.leave(first);
    assert_eq!(drawn.recv().unwrap(), event);
    for _ in 0..QUEUE + 2 {
        requests.leave(request());
    }
    drop((hold, requests));
    thread.join().unwrap();
    assert_eq!(drawn.iter().count(), QUEUE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// An encoder may say anything.
    #[test]
    fn no_numbers_break_it(row in proptest::collection::vec(proptest::num::f32::ANY, LEN), ticks in 1_usize..5) {
        let person = Movement::new(row.repeat(ticks), vec![true; ticks]);
        let size = Size { width: 32, height: 24 };
        // More people than there are colours.
        let movements = Movements { ticks, size, ..movements(vec![person; 5]) };
        prop_assert!(gif(&movements).is_ok());
    }
}

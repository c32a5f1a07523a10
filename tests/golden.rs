//! The recipe made the model's training data with a road of its own, in Python; here falld's road gives the same.
//!
//! `models/recipe/golden.py` writes `tests/data/golden/`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use falld::cadence::Cadence;
use falld::classifier::Classifier;
use falld::classifier::scripted::ScriptedClassifier;
use falld::config::CameraConfig;
use falld::frame::{Size, View};
use falld::tracker::Tracker;
use falld::zone::Zones;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

fn golden(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/golden/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

#[test]
fn the_cadence_keeps_the_recipes_frames() {
    for case in golden("cadence") {
        let mut cadence = Cadence::new(case["rate_hz"].as_f64().unwrap());
        let mut next = 0;
        let mut kept = Vec::new();
        for time in case["times"].as_array().unwrap() {
            kept.push(cadence.admit(Duration::from_secs_f64(time.as_f64().unwrap())).map(|tick| {
                let missed = tick - next;
                next = tick + 1;
                missed
            }));
        }
        let wanted: Vec<_> = case["missed_or_null"].as_array().unwrap().iter().map(Value::as_u64).collect();
        assert_eq!(kept, wanted, "{}", case["name"]);
    }
}

#[test]
fn marked_places_mean_what_they_mean_to_the_recipe() {
    let mut counted = [0; 2];
    for (index, case) in golden("zones").iter().enumerate() {
        let numbers =
            |of: &Value| of.as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect::<Vec<_>>();
        let outlines = |kind: &str| {
            let corners = |outline: &Value| {
                outline.as_array().unwrap().iter().map(|at| [numbers(at)[0], numbers(at)[1]]).collect()
            };
            let outlines = case[kind].as_array().unwrap().iter().enumerate();
            outlines.map(|(nth, outline)| (nth.to_string(), corners(outline))).collect()
        };
        let zones =
            Zones::new(&CameraConfig { rest: outlines("rest"), climb: outlines("climb"), ..CameraConfig::default() });
        let mut spec = ScriptedClassifier::new().spec().clone();
        spec.frame = Size { width: number(&case["width"]), height: number(&case["height"]) };
        let [left, top, width, height] = [0, 1, 2, 3].map(|side| number(&case["view"][side]));
        let (row, view) = (numbers(&case["row"]), View { left, top, width, height });
        let said = [zones.rests(&row, &spec, view), zones.climbs_at(&row, &spec, view) != 0];
        assert_eq!(said, [case["rests"].as_bool().unwrap(), case["climbs"].as_bool().unwrap()], "case {index}");
        counted = [0, 1].map(|which| counted[which] + usize::from(said[which]));
    }
    assert!(counted.iter().all(|count| (6..40).contains(count)), "both answers are tried: {counted:?}");
}

/// Numbers in one person's row; the box and its score stand at its end, the mark of the detection at its beginning.
const ROW: usize = 56;
const BOX: usize = 51;

#[test]
fn the_tracker_follows_whom_the_recipe_follows() {
    for (index, case) in golden("tracker").iter().enumerate() {
        let mut spec = ScriptedClassifier::new().spec().clone();
        (spec.people, spec.ticks) = (case["ticks"][0]["boxes"].as_array().unwrap().len(), 2);
        spec.tracker = serde_json::from_value(case["tracker"].clone()).unwrap();
        let aspect = number(&case["width"]) as f32 / number(&case["height"]) as f32;
        let mut tracker = Tracker::new(&spec);
        // Where in falld's tracker each of the recipe's people is.
        let mut places = BTreeMap::<u64, usize>::new();
        for (tick, wanted) in case["ticks"].as_array().unwrap().iter().enumerate() {
            let here = format!("case {index}, tick {tick}");
            let mut detections = vec![0.0; spec.people * ROW];
            for (mark, (row, bounds)) in detections.chunks_mut(ROW).zip(wanted["boxes"].as_array().unwrap()).enumerate()
            {
                row[0] = mark as f32 + 1.0;
                for (to, from) in row[BOX..].iter_mut().zip(bounds.as_array().unwrap()) {
                    *to = from.as_f64().unwrap() as f32;
                }
            }
            tracker.observe(&detections, aspect);
            let seen = |place: usize| {
                let (mut ring, mut mask) = (vec![0.0; tracker.ring_len()], vec![0.0; 4]);
                tracker.read(place, &mut ring, &mut mask);
                ring[ROW] as i64 - 1
            };
            let followed = wanted["followed"].as_array().unwrap();
            let count = (0..spec.people).filter(|place| tracker.is_followed(*place)).count();
            assert_eq!(count, followed.len(), "{here}: people followed");
            let mut now = BTreeMap::new();
            for pair in followed {
                let (who, mark) = (pair[0].as_u64().unwrap(), pair[1].as_i64().unwrap());
                let place = match places.get(&who) {
                    Some(place) => *place,
                    None => (0..spec.people)
                        .find(|place| tracker.is_followed(*place) && seen(*place) == mark)
                        .unwrap_or_else(|| panic!("{here}: nobody begins with detection {mark}")),
                };
                assert!(tracker.is_followed(place), "{here}: person {who} is followed");
                assert_eq!(seen(place), mark, "{here}: what is seen of person {who}");
                assert!(now.insert(who, place).is_none());
            }
            places = now;
        }
    }
}

#[test]
fn alarms_are_raised_at_the_scores_at_which_the_recipe_raises_them() {
    use falld::config::PolicyConfig;
    use falld::event::EventType;
    use falld::event::policy::{ClassModel, Policy, PolicyModel, Scores};

    let mut raised = 0;
    for (index, case) in golden("policy").iter().enumerate() {
        let rule: ClassModel = serde_json::from_value(case["policy"].clone()).unwrap();
        let rate = case["rate_hz"].as_f64().unwrap();
        let mut policy = Policy::new(&PolicyModel { fall: rule, climb: rule }, rate, &PolicyConfig::default());
        let (mut tick, mut first) = (0, None);
        let climbs = case["class"] == "climb";
        let expected = if climbs { EventType::Climb } else { EventType::Fall };
        let scores = case["scores"].as_array().unwrap().iter().zip(case["bridged"].as_array().unwrap());
        for (at, (score, bridged)) in scores.enumerate() {
            let bridged = bridged.as_u64().unwrap();
            tick += 1 + bridged;
            let (score, places) = (score.as_f64().unwrap() as f32, case["places"][at].as_u64().unwrap());
            let scores =
                Scores { fall: if climbs { 0.0 } else { score }.into(), climb: score.into(), upright: None, places };
            let now = Duration::from_secs_f64(tick as f64 / rate);
            let told = policy.observe(now, bridged as u32, scores);
            if first.is_none() && told.is_some_and(|told| told.event == expected) {
                first = Some(at as u64);
            }
        }
        raised += usize::from(first.is_some());
        assert_eq!(first, case["first_alert"].as_u64(), "case {index}");
    }
    assert!(raised > 10, "{raised} cases raise an alarm: too few to say anything");
}

#[cfg(feature = "opencv")]
#[test]
fn pictures_are_fitted_as_the_recipe_fits_them() {
    use falld::camera::Grab;
    use falld::camera::opencv::open_file;
    use falld::frame::{Frame, Size};
    use opencv::core::{Mat, MatTrait, Vec3b};
    use opencv::imgcodecs::imwrite_def;

    let folder = tempfile::tempdir().unwrap();
    for (index, case) in golden("letterbox").iter().enumerate() {
        let source = case["source"].as_array().unwrap();
        let rows: Vec<_> = source.iter().map(|row| row.as_array().unwrap()).collect();
        let (height, width) = (rows.len() as i32, rows[0].len() as i32);
        let mut picture = Mat::new_rows_cols_with_default(height, width, opencv::core::CV_8UC3, 0.into()).unwrap();
        for (y, row) in rows.iter().enumerate() {
            for (x, pixel) in row.iter().enumerate() {
                let [red, green, blue] = [0, 1, 2].map(|channel| number(&pixel[channel]) as u8);
                *picture.at_2d_mut::<Vec3b>(y as i32, x as i32).unwrap() = [blue, green, red].into();
            }
        }
        let path = folder.path().join(format!("{index}.png"));
        assert!(imwrite_def(path.to_str().unwrap(), &picture).unwrap());
        let size = Size { width: number(&case["width"]), height: number(&case["height"]) };
        let mut stream = open_file(&path, size, number(&case["pad"]) as u8, &[]).unwrap();
        assert!(matches!(stream.grab().unwrap(), Grab::Picture { .. }));
        let mut frame = Frame::new(size);
        stream.retrieve(&mut frame).unwrap();
        let wanted = case["fitted"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
        let wanted: Vec<_> = wanted.flat_map(|pixel| pixel.as_array().unwrap()).map(number).collect();
        assert_eq!(frame.pixels.len(), wanted.len());
        let furthest = frame.pixels.iter().zip(&wanted).map(|(got, want)| usize::from(*got).abs_diff(*want)).max();
        assert!(furthest.unwrap() <= number(&case["tolerance"]), "case {index}: {:?}\n{wanted:?}", frame.pixels);
    }
}

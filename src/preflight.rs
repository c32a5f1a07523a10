//! What can be said before the start by looking beside the configuration: at the broker's files and at the model's
//! manifest. Nothing is connected or loaded; that is for `falld doctor` and for the start itself.
//!
//! Each text names key, value and mend.

use crate::classifier::bundle::Bundle;
use crate::config::load::Loaded;
use crate::config::problem::Problem;
use crate::config::{Climbs, Falls};
use crate::event::policy::{ClassModel, PolicyModel};
use crate::mqtt::{self, MqttError};
use crate::zone::{self, Zones};

/// The share of the picture from which on a place to rest is taken for a slip. A bed that a camera was hung to watch takes half of it.
const WIDE: f32 = 0.6;

/// The score from which on a threshold is taken for a slip: there falld-pose 0.12.0 would tell none of 8 filmed falls and 4 of 46 rendered
/// ones (8 and 41 at its own 0.85), and by one look 1 of 49 rendered climbs (27 at 0.9).
const CERTAIN: f32 = 0.99;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlook {
    /// What keeps falld from starting.
    pub problem: Option<String>,
    /// What is wrong with the files of the connection to the broker. falld watches and stores all the same: after a power cut nobody is there
    /// to mend one.
    pub faults: Vec<String>,
    /// What works and is unwise.
    pub warnings: Vec<String>,
    /// What could not be looked at.
    pub notes: Vec<String>,
}

/// Looks at what the configuration names.
pub fn look(loaded: &Loaded) -> Outlook {
    let config = &loaded.config;
    let faults = loaded.faults.iter().map(ToString::to_string).collect();
    let mut outlook = Outlook { faults, ..Outlook::default() };
    match mqtt::check(&config.mqtt, &config.device.id) {
        Ok(warnings) => outlook.warnings = warnings,
        // Told already, with its line.
        Err(MqttError::File { .. }) if !outlook.faults.is_empty() => {}
        Err(error @ MqttError::File { .. }) => outlook.faults.push(error.to_string()),
        Err(error) => outlook.problem = Some(error.to_string()),
    }
    outlook.warnings.extend(wide(loaded).iter().chain(&idle(loaded)).chain(&late(loaded)).map(ToString::to_string));
    match Bundle::read(&config.model.path) {
        Ok(bundle) => {
            let unfit = config.camera.values().find_map(|camera| Zones::new(camera).unfit(&bundle.spec));
            outlook.problem = outlook.problem.or(unfit);
            let odd = thresholds(loaded, &bundle.spec.policy);
            outlook.warnings.extend(odd.iter().map(ToString::to_string));
        }
        Err(error) => outlook.notes.push(format!("{error} The thresholds were not compared with the model's.")),
    }
    outlook
}

/// Places to rest that leave little of the picture for falls.
fn wide(loaded: &Loaded) -> Vec<Problem> {
    let places = loaded.config.camera.iter().flat_map(|(id, camera)| {
        camera.rest.iter().map(move |(name, outline)| (format!("camera.{id}.rest.{name}"), zone::area(outline)))
    });
    let odd = |(key, area): (String, f32)| Problem {
        origin: loaded.origin(&key),
        key,
        value: None,
        what: format!("no fall is seen in {:.0} % of the picture", area * 100.0),
        mend: "draw around the bed's or sofa's top alone".into(),
    };
    places.filter(|(_, area)| *area > WIDE).map(odd).collect()
}

/// Places that change no alert, since the camera tells of nothing there.
fn idle(loaded: &Loaded) -> Vec<Problem> {
    let cameras = loaded.config.camera.iter().flat_map(|(id, camera)| {
        let falls = (camera.falls == Falls::Never && !camera.rest.is_empty()).then_some(("falls", "rest"));
        let climbs = (camera.climbs == Climbs::Never && !camera.climb.is_empty()).then_some(("climbs", "climb"));
        falls.into_iter().chain(climbs).map(move |(key, places)| (format!("camera.{id}.{key}"), places))
    });
    let odd = |(key, places): (String, &str)| Problem {
        origin: loaded.origin(&key),
        key,
        value: Some("\"never\"".into()),
        what: format!("the places that `{places}` marks change no alert and are only drawn"),
        mend: format!("remove `{places}`, or this key"),
    };
    cameras.map(odd).collect()
}

/// A long lie that waits for the cooldown, which silences everything of a camera's class.
fn late(loaded: &Loaded) -> Option<Problem> {
    let (key, policy) = ("policy.long_lie_s".to_owned(), &loaded.config.policy);
    (policy.long_lie_s < policy.cooldown_s).then(|| Problem {
        origin: loaded.origin(&key),
        key,
        value: Some(policy.long_lie_s.to_string()),
        what: format!("the long lie is told after {} s, when policy.cooldown_s is over", policy.cooldown_s),
        mend: format!("lower policy.cooldown_s to {} or less, or give as much here", policy.long_lie_s),
    })
}

/// The site's thresholds against the model's own numbers. One at or under `exit` works, since `exit` goes down with it,
/// and still makes an alarm of scores at which the model calls a person recovered. One at `CERTAIN` or above is seldom reached.
fn thresholds(loaded: &Loaded, model: &PolicyModel) -> Vec<Problem> {
    let policy = &loaded.config.policy;
    let sites = [
        ("policy.fall_threshold", policy.fall_threshold, model.fall),
        ("policy.climb_threshold", policy.climb_threshold, model.climb),
    ];
    let odd = |(key, site, own): (&str, Option<f32>, ClassModel)| {
        let enter = site?;
        let (what, than) = if enter >= CERTAIN {
            (
                format!("few scores reach {CERTAIN}: most falls and climbs would be missed"),
                format!("less than {CERTAIN}"),
            )
        } else {
            ClassModel { enter, ..own }.check().err()?;
            let what = format!("at {} and below the model calls a person recovered: expect false alarms", own.exit);
            (what, format!("more than {}", own.exit))
        };
        Some(Problem {
            origin: loaded.origin(key),
            key: key.to_owned(),
            value: Some(enter.to_string()),
            what,
            mend: format!("give {than}, or remove the key: the model's own is {}", own.enter),
        })
    };
    sites.into_iter().filter_map(odd).collect()
}

#[cfg(test)]
mod tests {
    use super::{look, thresholds};
    use crate::config::load::from_bytes;
    use crate::event::policy::{ClassModel, PolicyModel};
    use std::path::Path;

    fn loaded(text: &str) -> crate::config::load::Loaded {
        from_bytes(Path::new("falld.toml"), text.as_bytes()).expect("loaded")
    }

    #[test]
    fn a_threshold_at_which_people_are_recovered_is_named() {
        let class = ClassModel { enter: 0.6, exit: 0.3, k: 5, n: 7 };
        let model = PolicyModel { fall: class, climb: class };
        let odd = thresholds(&loaded("[policy]\nfall_threshold = 0.3\nclimb_threshold = 0.31"), &model);
        assert_eq!(odd.len(), 1);
        let text = odd[0].to_string();
        assert!(text.starts_with("falld.toml:2: policy.fall_threshold = 0.3: at 0.3 and below"), "{text}");
        assert!(text.contains("give more than 0.3") && text.ends_with("the model's own is 0.6"), "{text}");
        assert_eq!(thresholds(&loaded(""), &model), []);
    }

    #[test]
    fn a_threshold_that_few_scores_reach_is_named() {
        let class = ClassModel { enter: 0.6, exit: 0.3, k: 5, n: 7 };
        let odd = thresholds(&loaded("[policy]\nfall_threshold = 1.0"), &PolicyModel { fall: class, climb: class });
        let text = odd[0].to_string();
        assert!(text.contains("would be missed; give less than 0.99"), "{text}");
    }

    #[test]
    fn a_long_lie_that_waits_for_the_cooldown_is_named() {
        let warned = |text: &str| look(&loaded(text)).warnings.into_iter().find(|warning| warning.contains("long lie"));
        assert_eq!(warned(""), None);
        let (short, long) = (warned("[policy]\nlong_lie_s = 10"), warned("[policy]\ncooldown_s = 600"));
        assert!(short.is_some_and(|text| {
            text.starts_with("falld.toml:2: policy.long_lie_s = 10: the long lie is told after 30 s")
        }));
        assert!(long.is_some_and(|text| text.contains("after 600 s")));
    }

    #[test]
    fn a_bed_as_large_as_the_room_is_named() {
        let text = "[camera.a]\nsource = \"x\"\nrest.bed = [[0, 0], [1, 0], [1, 0.7], [0, 0.7]]\nrest.sofa = [[0, 0], [0.5, 0], [0, 0.5]]";
        let warnings = look(&loaded(text)).warnings;
        let named: Vec<_> = warnings.iter().filter(|warning| warning.contains("camera.a.rest")).collect();
        assert_eq!(named.len(), 1, "{warnings:?}");
        assert!(named[0].starts_with("falld.toml:3: camera.a.rest.bed: no fall is seen in 70 %"), "{named:?}");
    }

    #[test]
    fn places_where_nothing_is_told_of_are_named() {
        let places = "rest.bed = [[0, 0], [0.5, 0], [0.5, 0.5]]\nclimb.sill = [[0, 0], [0.5, 0], [0.5, 0.5]]";
        let warned = |more: &str| {
            let warnings = look(&loaded(&format!("[camera.a]\nsource = \"x\"\n{places}\n{more}"))).warnings;
            warnings.into_iter().filter(|warning| warning.contains("change no alert")).collect::<Vec<_>>()
        };
        assert_eq!(warned("climbs = \"places\""), [""; 0]);
        let (falls, climbs) = (warned("falls = \"never\""), warned("climbs = \"never\""));
        assert!(falls.len() == 1 && falls[0].starts_with("falld.toml:5: camera.a.falls = \"never\""), "{falls:?}");
        assert!(climbs.len() == 1 && climbs[0].contains("the places that `climb` marks"), "{climbs:?}");
    }

    #[test]
    fn a_password_in_the_open_is_a_warning_and_an_absent_model_a_note() {
        let text = "[mqtt]\nhost = \"broker.lan\"\nusername = \"falld\"\n[model]\npath = \"/absent\"";
        let outlook = look(&loaded(text));
        assert_eq!(outlook.problem, None);
        assert!(outlook.warnings.iter().any(|warning| warning.contains("mqtt.host = broker.lan")), "{outlook:?}");
        assert!(outlook.notes.iter().any(|note| note.contains("/absent/manifest.json")), "{outlook:?}");
    }
}

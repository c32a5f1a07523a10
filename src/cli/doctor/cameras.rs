//! Looks through a camera for two seconds, as the daemon would.

use super::{Duration, Engine, Finding, Frame, Path, Verdict, picture};
use crate::camera::{Grab, Opener as _, opencv};
use crate::capture::health::Judge;
use crate::classifier::bundle::Spec;
use crate::config::{CameraConfig, Climbs, Falls, PolicyConfig};
use crate::frame::Clock;
use crate::health::CameraHealth;
use std::sync::mpsc;

/// Pictures are watched for so long.
const WATCH: Duration = Duration::from_secs(2);

/// Looks through one camera for a model that wants its pictures as `spec` says, on a thread of its own that may hang in a driver. Gives
/// its last picture too.
pub(super) fn look(id: &str, config: &CameraConfig, spec: &Spec) -> (Finding, Option<Frame>) {
    let part = format!("camera {id}");
    let (report, reports) = mpsc::channel();
    let (config, spec) = (config.clone(), spec.clone());
    let limit = Duration::from_secs_f64(config.open_timeout_s + config.read_timeout_s) + WATCH;
    let _detached = std::thread::spawn(move || report.send(watch(&config, &spec)));
    match reports.recv_timeout(limit + Duration::from_secs(2)) {
        Ok(Ok((verdict, text, frame))) => (Finding::new(part, verdict, text), Some(frame)),
        Ok(Err(text)) => (Finding::new(part, Verdict::Fail, text), None),
        Err(_) => {
            let text = format!("no answer within {:.0} s: check its power, cable and address", limit.as_secs_f64());
            (Finding::new(part, Verdict::Fail, text), None)
        }
    }
}

fn watch(config: &CameraConfig, spec: &Spec) -> Result<(Verdict, String, Frame), String> {
    let size = spec.frame;
    let mut opener = opencv::Opener::new(config, size, spec.pad);
    let source = opener.describe();
    let clock = Clock::start();
    let mut stream = opener.open().map_err(|error| error.to_string())?;
    let opened = clock.now();
    let mut frame = Frame::new(size);
    let (mut pictures, mut live) = (0u32, false);
    // From the first picture on: until then a stream may wait for its key frame.
    let (mut first, mut last) = (None, opened);
    // As in the daemon, without the time that a state must last there.
    let mut judge = Judge::new(size, &config.mask, WATCH / 2, Duration::ZERO);
    let mut health = CameraHealth::Connecting;
    while first.is_none_or(|first| last - first < WATCH) {
        match stream.grab().map_err(|error| error.to_string())? {
            Grab::End => break,
            Grab::Picture { media } => {
                last = clock.now();
                first.get_or_insert(last);
                stream.retrieve(&mut frame).map_err(|error| error.to_string())?;
                pictures += 1;
                live = media.is_none();
                health = judge.look(&frame.pixels, frame.view, last);
            }
        }
    }
    let Some(first) = first else {
        return Err(format!("{source} opened and ended without a picture: see whether it plays elsewhere"));
    };
    let rate = rate(stream.rate(), live, pictures, last - first);
    let light = frame.pixels.iter().map(|value| f64::from(*value)).sum::<f64>() / frame.pixels.len() as f64;
    let text = format!(
        "{source} opened in {:.1} s, {rate:.0} pictures/s, brightness {light:.0}/255, {}",
        opened.as_secs_f64(),
        health.as_str()
    );
    let text = format!("{text}{}", purpose(config));
    let (verdict, mend) = verdict(rate, health, spec.bridge());
    Ok((verdict, if mend.is_empty() { text } else { format!("{text}: {mend}") }, frame))
}

/// What a camera is there for, where that is not everything.
fn purpose(config: &CameraConfig) -> &'static str {
    match (config.falls, config.climbs) {
        (Falls::Anywhere, Climbs::Anywhere) => "",
        (Falls::Anywhere, Climbs::Places) => ", tells of falls, and of climbs at marked places",
        (Falls::Anywhere, Climbs::Never) => ", tells of falls alone",
        (Falls::Never, Climbs::Anywhere) => ", tells of climbs alone",
        (Falls::Never, Climbs::Places) => ", tells of climbs at marked places alone",
        (Falls::Never, Climbs::Never) => ", tells of nothing",
    }
}

/// What pictures of this rate and health are worth to clips that bridge so much, and the mend.
fn verdict(rate: f64, health: CameraHealth, bridge: Duration) -> (Verdict, &'static str) {
    if rate * bridge.as_secs_f64() < 1.0 {
        (Verdict::Fail, CameraHealth::Slow.mend())
    } else if health != CameraHealth::Ok {
        (Verdict::Warn, health.mend())
    } else if rate < 7.5 {
        (Verdict::Warn, "slow — set the camera to 15 and its exposure short, for alerts in time")
    } else {
        (Verdict::Pass, "")
    }
}

/// Asks the model who is in a camera's last picture, and draws it.
pub(super) fn draw(path: &Path, id: &str, camera: &CameraConfig, frame: Frame, engine: &mut Engine) -> Finding {
    let part = format!("picture {id}");
    engine.reset(0, &PolicyConfig::default());
    let (mut frames, now) = (vec![(0, frame.clone())], frame.captured);
    if let Err(error) = engine.step(&mut frames, &mut || now, &mut Vec::new(), &mut |_, _| {}) {
        return Finding::new(part, Verdict::Fail, error.to_string());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let drawn = std::fs::create_dir_all(folder)
        .map_err(|error| error.to_string())
        .and_then(|()| picture::write(path, &frame, camera, engine.people(), engine.spec()));
    match drawn {
        Ok(people) => Finding::new(part, Verdict::Pass, format!("{}: {people} seen in it", path.display())),
        Err(error) => {
            // falld sees all the same.
            Finding::new(part, Verdict::Warn, format!("{}: {error}; choose another --pictures", path.display()))
        }
    }
}

/// Pictures a second, of so many in the `span` from the first to the last. A live source claims what it was set to,
/// also where a long exposure or the network gives less; a file's claim is how it will be played, however fast it
/// is read.
fn rate(claimed: Option<f64>, live: bool, pictures: u32, span: Duration) -> f64 {
    let measured = f64::from(pictures.saturating_sub(1)) / span.as_secs_f64().max(1e-3);
    match claimed {
        Some(claimed) if live => claimed.min(measured),
        Some(claimed) => claimed,
        None => measured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webcam_that_claims_thirty_pictures_and_gives_three_gives_three() {
        assert_eq!(rate(Some(30.0), true, 7, WATCH), 3.0);
        assert_eq!(rate(None, true, 7, WATCH), 3.0);
        // Those that were waiting when it was opened come at once.
        assert_eq!(rate(Some(15.0), true, 41, WATCH), 15.0);
    }

    #[test]
    fn a_camera_of_which_nothing_would_be_judged_fails_in_the_dark_too() {
        let bridge = Duration::from_secs_f64(4.0 / 15.0);
        for health in [CameraHealth::Ok, CameraHealth::Dark] {
            let (worth, mend) = verdict(3.0, health, bridge);
            assert_eq!((worth, mend), (Verdict::Fail, CameraHealth::Slow.mend()), "{health:?}");
        }
        assert_eq!(verdict(5.0, CameraHealth::Ok, bridge).0, Verdict::Warn);
        assert_eq!(verdict(15.0, CameraHealth::Dark, bridge), (Verdict::Warn, CameraHealth::Dark.mend()));
        assert_eq!(verdict(15.0, CameraHealth::Ok, bridge), (Verdict::Pass, ""));
    }

    #[test]
    fn a_film_has_the_rate_that_it_is_played_at() {
        assert_eq!(rate(Some(25.0), false, 901, WATCH), 25.0);
    }
}

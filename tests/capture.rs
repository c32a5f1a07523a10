//! What a camera can do to us, as stories. The cameras are scripted; threads, deadlines and backoff are the real ones.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "each test file uses its part of the support")]
#[path = "support/camera.rs"]
mod support;

use falld::camera::CameraError;
use falld::camera::scripted::{Gate, Scene, Script, Step};
use falld::capture::MAX_ABANDONED;
use falld::config::CameraConfig;
use falld::frame::Moment;
use falld::health::CameraHealth::{Connecting, Covered, Dark, Ended, Frozen, Lost, Ok};
use std::time::Duration;
use support::{PATIENCE, Rig};

fn show(scene: Scene, count: u64) -> Step {
    Step::Show { scene, count, every: Duration::from_millis(4) }
}

/// For longer than any test lasts.
fn for_ever(scene: Scene) -> Step {
    show(scene, u64::MAX)
}

fn quick() -> CameraConfig {
    CameraConfig {
        open_timeout_s: 0.3,
        read_timeout_s: 0.3,
        frozen_after_s: 0.2,
        blind_after_s: 0.2,
        ..CameraConfig::default()
    }
}

#[test]
fn pictures_arrive_in_order_with_growing_ticks() {
    let script = Script::new().session([for_ever(Scene::Room)]);
    let mut rig = Rig::scripted(&script, quick());
    let mut last = rig.frame();
    for _ in 0..20 {
        let frame = rig.frame();
        assert!(frame.tick > last.tick && frame.captured > last.captured);
        rig.slot.recycle(std::mem::replace(&mut last, frame));
    }
    assert!(last.pixels.contains(&250), "the person in the room");
    rig.stop();
    assert!(rig.slot.is_closed());
    assert_eq!(rig.witness.healths(), [Connecting, Ok]);
}

#[test]
fn a_hung_read_is_abandoned_and_the_camera_comes_back() {
    let gate = Gate::new();
    let script =
        Script::new().session([show(Scene::Room, 5), Step::Hang(gate.clone())]).session([for_ever(Scene::Room)]);
    let mut rig = Rig::scripted(&script, quick());
    rig.witness.wait(2, Ok);
    assert!(gate.reached(PATIENCE));
    let hung = rig.clock.now();
    let lost = rig.witness.wait(3, Lost);
    assert!(lost.detail.contains("no answer to read within 0.3 s"), "{}", lost.detail);
    assert!(lost.at.saturating_sub(hung) < Duration::from_secs(5));
    assert_eq!(rig.capture().abandoned(), 1);

    rig.witness.wait(4, Ok);
    while rig.frame().captured < lost.at {}
    assert_eq!(rig.number("falld_capture_reconnects_total"), 1.0);

    // The abandoned thread returns at last, and changes nothing.
    gate.release();
    assert!(gate.passed(PATIENCE));
    let until = rig.clock.now() + PATIENCE;
    while rig.capture().abandoned() > 0 {
        assert!(rig.clock.now() < until, "the abandoned thread did not end");
        rig.frame();
    }
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Ok, Lost, Ok]);
}

#[test]
fn a_hung_open_is_abandoned_as_well() {
    let gate = Gate::new();
    let script = Script::new().hang_open(&gate).session([for_ever(Scene::Room)]);
    let mut rig = Rig::scripted(&script, quick());
    let lost = rig.witness.wait(2, Lost);
    assert!(lost.detail.contains("no answer to open"), "{}", lost.detail);
    rig.witness.wait(3, Ok);
    gate.release();
    rig.stop();
}

#[test]
fn a_driver_that_never_returns_costs_a_bounded_number_of_threads() {
    let gate = Gate::new();
    let mut script = Script::new();
    for _ in 0..MAX_ABANDONED + 1 {
        script = script.hang_open(&gate);
    }
    let config = CameraConfig { open_timeout_s: 0.01, ..quick() };
    let mut rig = Rig::scripted(&script, config);
    let until = rig.clock.now() + 3 * PATIENCE;
    while rig.capture().abandoned() < MAX_ABANDONED {
        assert!(rig.clock.now() < until);
        rig.bell.wait(Duration::from_millis(20));
    }
    assert_eq!(script.opened(), MAX_ABANDONED as u64);
    let beat = rig.capture().heartbeat();
    let now = rig.clock.now();
    while beat.last() < Some(now) {
        rig.bell.wait(Duration::from_millis(20));
    }
    assert_eq!(script.opened(), MAX_ABANDONED as u64, "no further thread is risked");
    let lost = rig.witness.wait(3, Lost);
    assert!(lost.detail.contains("restart falld"), "what mends it now is another thing: {}", lost.detail);
    gate.release();
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Lost, Lost], "each reason once");
}

#[test]
fn a_camera_that_is_absent_is_retried_until_it_appears() {
    let script = Script::new()
        .refuse("unplugged")
        .refuse("unplugged")
        .refuse("wrong password")
        .refuse("unplugged")
        .refuse("wrong password")
        .refuse("wrong password")
        .session([for_ever(Scene::Room)]);
    let mut rig = Rig::scripted(&script, quick());
    let lost = rig.witness.wait(2, Lost);
    assert_eq!(lost.detail, "unplugged");
    assert_eq!(rig.number("falld_camera_blind"), 1.0);
    assert_eq!(rig.witness.wait(3, Lost).detail, "wrong password", "told once it has come twice in a row");
    rig.witness.wait(4, Ok);
    assert_eq!(rig.number("falld_camera_blind"), 0.0);
    assert_eq!(script.opened(), 7);
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Lost, Lost, Ok], "six failures, two reasons, two reports");
}

#[test]
fn waiting_for_an_absent_camera_is_a_sign_of_life() {
    let mut rig = Rig::scripted(&Script::new(), quick());
    rig.witness.wait(2, Lost);
    let heartbeat = rig.capture().heartbeat();
    for _ in 0..2 {
        let seen = heartbeat.last();
        let until = rig.clock.now() + Duration::from_secs(5);
        while heartbeat.last() == seen {
            assert!(rig.clock.now() < until, "no beat in 5 s");
            rig.bell.wait(Duration::from_millis(20));
        }
    }
    rig.stop();
    assert_eq!(heartbeat.last(), None, "a stopped camera owes no sign of life");
}

#[test]
fn a_covered_lens_is_said_once() {
    let script = Script::new().session([
        show(Scene::Room, 10),
        show(Scene::Covered, 200),
        show(Scene::Room, 10),
        for_ever(Scene::Dark),
    ]);
    let mut rig = Rig::scripted(&script, quick());
    let covered = rig.witness.wait(3, Covered);
    assert!(covered.detail.contains("before the lens"));
    rig.witness.wait(4, Ok);
    rig.witness.wait(5, Dark);
    assert_eq!(rig.number("falld_camera_blind"), 1.0, "it stays dark");
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Ok, Covered, Ok, Dark]);
    assert!(rig.number("falld_frames_dropped_total{camera=\"room\",reason=\"blind\"}") > 1.0);
}

#[test]
fn a_frozen_picture_never_reaches_the_detector() {
    let script = Script::new()
        .session([for_ever(Scene::Still)])
        .session([for_ever(Scene::Still)])
        .session([for_ever(Scene::Still)]);
    let mut rig = Rig::scripted(&script, quick());
    let frozen = rig.witness.wait(3, Frozen);
    while let Some(frame) = rig.slot.take() {
        assert!(frame.captured < frozen.at, "taken at {:?}, frozen at {:?}", frame.captured, frozen.at);
    }
    // It is opened anew, and shows the same again: still frozen, and said once.
    while script.opened() < 3 {
        assert_eq!(rig.slot.take(), None);
        rig.bell.wait(Duration::from_millis(10));
    }
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Ok, Frozen]);
}

#[test]
fn a_frozen_camera_that_moves_again_is_well() {
    let script = Script::new().session([for_ever(Scene::Still)]).session([for_ever(Scene::Room)]);
    let mut rig = Rig::scripted(&script, quick());
    let frozen = rig.witness.wait(3, Frozen);
    rig.witness.wait(4, Ok);
    while rig.frame().captured < frozen.at {}
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Ok, Frozen, Ok]);
}

#[test]
fn a_detector_that_is_late_gets_the_newest_frame_and_the_rest_is_counted() {
    let script = Script::new()
        .session([Step::Play { scene: Scene::Room, count: 100, every: Duration::from_millis(5) }, Step::End]);
    let mut rig = Rig::scripted(&script, quick());
    rig.witness.wait(3, Ended);
    let frame = rig.frame();
    assert!(rig.slot.take().is_none());
    assert_eq!(rig.number("falld_frames_total"), 100.0);
    assert_eq!(rig.number("falld_frames_dropped_total{camera=\"room\",reason=\"displaced\"}"), 99.0);
    assert_eq!(frame.tick, 99 * 5);
    rig.stop();
}

#[test]
fn a_file_plays_at_its_own_rate_and_ends() {
    let script = Script::new()
        .session([Step::Play { scene: Scene::Room, count: 26, every: Duration::from_millis(20) }, Step::End]);
    let rig = Rig::scripted(&script, quick());
    let ok = rig.witness.wait(2, Ok);
    let ended = rig.witness.wait(3, Ended);
    let took = ended.at - ok.at;
    // The first picture is told of after it was due, on a busy machine some time after; unpaced they would take no time.
    assert!(took >= Duration::from_millis(400), "25 intervals of 20 ms took {took:?}");
    let mut rig = rig;
    rig.capture.take().unwrap().join();
    assert!(rig.slot.is_closed(), "the detector learns that nothing more comes");
}

#[test]
fn a_file_that_repeats_starts_again_and_time_goes_on() {
    let clip = [Step::Play { scene: Scene::Room, count: 10, every: Duration::from_millis(10) }, Step::End];
    let script = Script::new().session(clip.clone()).session(clip.clone()).session(clip);
    let mut rig = Rig::scripted(&script, CameraConfig { repeat: true, ..quick() });
    let mut last = Moment::ZERO;
    let mut ticks = Vec::new();
    while script.opened() < 3 {
        let frame = rig.frame();
        assert!(frame.captured > last);
        last = frame.captured;
        ticks.push(frame.tick);
        rig.slot.recycle(frame);
    }
    assert!(ticks.is_sorted());
    rig.stop();
    assert_eq!(rig.witness.healths()[..2], [Connecting, Ok], "a repeated file was never lost");
    assert_eq!(rig.number("falld_capture_reconnects_total"), 0.0);
}

#[test]
fn a_film_of_one_picture_is_not_opened_without_a_pause() {
    let clip = [Step::Play { scene: Scene::Room, count: 1, every: Duration::from_millis(10) }, Step::End];
    let script = (0..50).fold(Script::new(), |script, _| script.session(clip.clone()));
    let mut rig = Rig::scripted(&script, CameraConfig { repeat: true, ..quick() });
    rig.witness.wait(2, Ok);
    let begun = rig.clock.now();
    while script.opened() < 4 {
        std::thread::sleep(Duration::from_millis(5));
        assert!(rig.clock.now() - begun < PATIENCE);
    }
    assert!(rig.clock.now() - begun >= Duration::from_millis(900), "three openings");
    assert!(rig.stop() < Duration::from_millis(400), "a stop does not wait for it");
}

#[test]
fn a_stream_that_changes_its_size_is_reopened_without_being_lost() {
    let script = Script::new()
        .session([show(Scene::Room, 5), Step::Fail(CameraError::Changed("now 1280×720".into()))])
        .session([for_ever(Scene::Room)]);
    let mut rig = Rig::scripted(&script, quick());
    rig.witness.wait(2, Ok);
    while script.opened() < 2 {
        rig.frame();
    }
    rig.frame();
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Ok]);
}

#[test]
fn a_camera_that_changed_and_does_not_come_back_is_lost() {
    let gate = Gate::new();
    let script = Script::new()
        .session([show(Scene::Room, 3), Step::Fail(CameraError::Changed("another size".into()))])
        .session([Step::Hang(gate.clone())])
        .session([show(Scene::Room, 30)]);
    let mut rig = Rig::scripted(&script, CameraConfig { open_timeout_s: 20.0, ..quick() });
    rig.witness.wait(2, Ok);
    let lost = rig.witness.wait(3, Lost);
    assert!(lost.detail.contains("no picture since it was opened anew"), "{}", lost.detail);
    gate.release();
    rig.witness.wait_for(Ok);
    rig.stop();
}

#[test]
fn a_camera_that_keeps_breaking_is_not_hammered() {
    let mut script = Script::new();
    for _ in 0..20 {
        script = script.session([show(Scene::Room, 1), Step::Fail(CameraError::Lost("again".into()))]);
    }
    let mut rig = Rig::scripted(&script, quick());
    rig.witness.wait(7, Lost);
    // Three losses: waits of at least 0.25 and 0.5 s lie between them.
    let reports = rig.witness.reports();
    assert!(reports[6].at - reports[2].at >= Duration::from_millis(750), "{reports:#?}");
    rig.stop();
}

#[test]
fn stopping_does_not_wait_for_a_backoff() {
    let mut script = Script::new();
    for _ in 0..3 {
        script = script.refuse("absent");
    }
    let mut rig = Rig::scripted(&script, quick());
    rig.witness.wait(2, Lost);
    assert!(rig.stop() < Duration::from_millis(400));
}

#[test]
fn stopping_does_not_wait_for_a_read_that_hangs() {
    let gate = Gate::new();
    let script = Script::new().session([show(Scene::Room, 2), Step::Hang(gate.clone())]);
    let mut rig = Rig::scripted(&script, CameraConfig { read_timeout_s: 60.0, ..quick() });
    assert!(gate.reached(PATIENCE));
    assert!(rig.stop() < Duration::from_secs(3));
    assert!(rig.slot.is_closed());
    gate.release();
}

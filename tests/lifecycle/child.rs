//! The parts that a child plays.

use falld::frame::Clock;
use falld::lifecycle::heartbeat::Heartbeats;
use falld::lifecycle::notify::{Notifier, feed};
use falld::lifecycle::{Signals, listen};
use std::time::Duration;

/// Names the part; absent in the parent, for which this is no test.
pub(crate) const PART: &str = "TEST_PART";

#[test]
fn plays_its_part() {
    match std::env::var(PART).as_deref() {
        Ok("drain") => drain(),
        Ok("hang") => hang(),
        Ok("notify") => notify(),
        Ok("watchdog") => watchdog(),
        Ok("log") => log(),
        _ => {}
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Waits for the token and drains well.
fn drain() {
    let signals = listen().expect("listening");
    println!("listening");
    runtime().block_on(async {
        loop {
            tokio::select! {
                () = signals.shutdown.cancelled() => break,
                () = signals.reload.notified() => println!("reloading"),
            }
        }
    });
    println!("drained");
}

/// Never notices that it should end: no runtime turns, the main thread sleeps.
fn hang() {
    let Signals { shutdown, .. } = listen().expect("listening");
    println!("listening");
    while !shutdown.is_cancelled() {
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("draining");
    std::thread::sleep(Duration::from_secs(600));
}

fn notify() {
    let notifier = Notifier::new();
    notifier.extend_timeout(Duration::from_secs(90), "building the engine");
    notifier.ready("watching 1 camera");
    notifier.status("watching 1 camera");
    notifier.status("bed: lost\nREADY=0");
    notifier.reloading();
    notifier.ready("watching 1 camera");
    notifier.stopping();
}

/// Two loops move; then one hangs.
fn watchdog() {
    let (clock, notifier, loops) = (Clock::start(), Notifier::new(), Heartbeats::new());
    let allowed = Duration::from_millis(300);
    let detector = loops.register("detector", allowed, clock.now());
    let mqtt = loops.register("mqtt", allowed, clock.now());
    runtime().block_on(async {
        let beats = async {
            loop {
                mqtt.beat(clock.now());
                if clock.now() < Duration::from_millis(600) {
                    detector.beat(clock.now());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let shutdown = tokio_util::sync::CancellationToken::new();
        tokio::select! {
            () = beats => {}
            () = feed(&loops, clock, &notifier, &shutdown) => println!("no watchdog"),
        }
    });
}

fn log() {
    let handle = falld::log::init("info,ort=error").expect("a log");
    tracing::debug!("unheard");
    tracing::info!(camera = "bed", reason = "timeout", "camera lost");
    assert!(handle.set_level("inof").is_err());
    tracing::warn!("still there");
    handle.set_level("debug").expect("a level");
    tracing::debug!("heard now");
    assert!(falld::log::init("info").is_err(), "a second log is refused");
}

//! A camera under test: its capture, its slot, and a witness that waits for what it reports.

use falld::camera::Opener;
use falld::camera::scripted::Script;
use falld::capture::{Capture, Openers, Outlets, Plan};
use falld::config::CameraConfig;
use falld::frame::{Clock, Frame, Size};
use falld::health::{CameraHealth, Report};
use falld::metrics::Metrics;
use falld::slot::{Bell, Slot};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Small pictures: the scripts paint each pixel by hand.
pub(crate) const SIZE: Size = Size { width: 64, height: 48 };

/// No wait in these tests is longer: far above what a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Collects reports.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    reports: Mutex<Vec<Report>>,
    changed: Condvar,
}

impl Witness {
    fn note(&self, report: Report) {
        self.reports.lock().unwrap().push(report);
        self.changed.notify_all();
    }

    pub(crate) fn reports(&self) -> Vec<Report> {
        self.reports.lock().unwrap().clone()
    }

    pub(crate) fn healths(&self) -> Vec<CameraHealth> {
        self.reports.lock().unwrap().iter().map(|report| report.health).collect()
    }

    /// Waits until `count` reports have come, the last of which says `health`.
    pub(crate) fn wait(&self, count: usize, health: CameraHealth) -> Report {
        let reports = self.reports.lock().unwrap();
        let (reports, waited) =
            self.changed.wait_timeout_while(reports, PATIENCE, |reports| reports.len() < count).unwrap();
        assert!(!waited.timed_out(), "waited for report {count} ({health:?}), got {reports:#?}");
        let report = reports[count - 1].clone();
        assert_eq!(report.health, health, "{reports:#?}");
        report
    }

    /// Waits until the newest report says `health`.
    pub(crate) fn wait_for(&self, health: CameraHealth) {
        let newest = |reports: &Vec<Report>| reports.last().map(|report| report.health);
        let reports = self.reports.lock().unwrap();
        let (reports, waited) =
            self.changed.wait_timeout_while(reports, PATIENCE, |reports| newest(reports) != Some(health)).unwrap();
        assert!(!waited.timed_out(), "waited for {health:?}, got {reports:#?}");
    }
}

/// One camera at work.
pub(crate) struct Rig {
    pub(crate) capture: Option<Capture>,
    pub(crate) slot: Arc<Slot<Frame>>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

impl Rig {
    pub(crate) fn of(config: CameraConfig, rate_hz: f64, size: Size, openers: Openers) -> Self {
        let bell = Bell::new();
        let slot = Slot::new(Arc::clone(&bell));
        let witness = Arc::new(Witness::default());
        let metrics = Metrics::new();
        let clock = Clock::start();
        let plan = Plan { camera: "room".into(), config, rate_hz, size };
        let note = Arc::clone(&witness);
        let outlets = Outlets {
            slot: Arc::clone(&slot),
            metrics: metrics.camera("room"),
            clock,
            report: Arc::new(move |report| note.note(report)),
        };
        let capture = Some(Capture::spawn(plan, openers, outlets).unwrap());
        Self { capture, slot, bell, witness, metrics, clock }
    }

    /// A scripted camera at 1000 Hz: the cadence keeps nearly all.
    pub(crate) fn scripted(script: &Script, config: CameraConfig) -> Self {
        let script = script.clone();
        let openers: Openers = Box::new(move || -> Box<dyn Opener> { script.opener(SIZE) });
        Self::of(config, 1000.0, SIZE, openers)
    }

    pub(crate) fn capture(&self) -> &Capture {
        self.capture.as_ref().unwrap()
    }

    /// The next frame of the slot.
    pub(crate) fn frame(&self) -> Frame {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(frame) = self.slot.take() {
                return frame;
            }
            assert!(Instant::now() < until, "no frame came; reports: {:#?}", self.witness.reports());
            self.bell.wait(Duration::from_millis(100));
        }
    }

    /// A number that Prometheus would read, by the beginning of its line.
    pub(crate) fn number(&self, name: &str) -> f64 {
        let text = self.metrics.render().unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Stops the camera and says how long that took.
    pub(crate) fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        let capture = self.capture.take().unwrap();
        capture.stop();
        capture.join();
        begun.elapsed()
    }
}

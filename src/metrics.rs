//! Every number that falld shows to Prometheus, in one place.
//!
//! Stages take their handles once and count with atomics: nothing here allocates or locks on a frame's road. Names
//! carry the prefix `falld_` and base units; label values are bounded (configured cameras, fixed reasons).

pub mod serve;

use crate::event::{Class, EventType};
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// A gauge of real numbers.
pub type FloatGauge = Gauge<f64, AtomicU64>;

/// Why a frame was not classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The camera is faster than the model's rate.
    Cadence,
    /// A newer frame came before the detector took this one: the detector is late.
    Displaced,
    /// The picture could not be decoded.
    Decode,
    /// The camera is frozen, dark or covered.
    Blind,
    /// The inference of its batch failed.
    Inference,
}

impl DropReason {
    const ALL: [Self; 5] = [Self::Cadence, Self::Displaced, Self::Decode, Self::Blind, Self::Inference];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Cadence => "cadence",
            Self::Displaced => "displaced",
            Self::Decode => "decode",
            Self::Blind => "blind",
            Self::Inference => "inference",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CameraLabel {
    camera: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabel {
    camera: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabel {
    camera: String,
    class: &'static str,
    r#type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabel {
    camera: String,
    class: &'static str,
}

/// One camera's handles.
#[derive(Debug, Clone)]
pub struct CameraMetrics {
    /// Frames handed to the detector.
    pub frames: Counter,
    drops: [Counter; DropReason::ALL.len()],
    /// Sessions opened after the first.
    pub reconnects: Counter,
    /// 1 while the camera gives nothing that can be judged (lost, frozen, dark, covered).
    pub blind: Gauge,
    /// 1 while pictures come too seldom to be judged.
    pub slow: Gauge,
    /// 0 while the camera is disarmed and decides nothing.
    pub armed: Gauge,
    /// From the capture of a frame to its score.
    pub frame_age: Histogram,
}

impl CameraMetrics {
    /// Counts one frame that was not classified.
    pub fn dropped(&self, reason: DropReason) {
        self.drops[reason as usize].inc();
    }

    /// Frames that were not classified for `reason`.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize].get()
    }
}

/// The daemon's numbers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    frames: Family<CameraLabel, Counter>,
    drops: Family<DropLabel, Counter>,
    reconnects: Family<CameraLabel, Counter>,
    blind: Family<CameraLabel, Gauge>,
    slow: Family<CameraLabel, Gauge>,
    armed: Family<CameraLabel, Gauge>,
    watches: Family<WatchLabel, Gauge>,
    frame_age: Family<CameraLabel, Histogram, fn() -> Histogram>,
    events: Family<EventLabel, Counter>,
    /// One batch through encoder and head.
    pub inference: Histogram,
    /// From the decision to the hand-over to the broker's socket.
    pub decision_to_publish: Histogram,
    /// From the hand-over to the broker's acknowledgement.
    pub publish_to_ack: Histogram,
    /// Events that the broker has not acknowledged.
    pub outbox_depth: Gauge,
    /// Age of the oldest of them.
    pub outbox_oldest_age: FloatGauge,
    /// 1 while the broker is connected.
    pub broker_connected: Gauge,
    /// 1 while the store cannot be written and events live in memory alone.
    pub store_degraded: Gauge,
    /// Events given up: the store stayed unwritable until memory was full, or until the end. Anything but zero is a
    /// broken promise.
    pub events_lost: Counter,
    /// Events that the broker has and nobody subscribed to for as long as falld waits: no one was told.
    pub events_unheard: Counter,
}

fn latency() -> Histogram {
    // Half a millisecond to eight seconds: a commit on one side, a reconnect on the other.
    Histogram::new([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All numbers at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("falld");
        let frames = Family::<CameraLabel, Counter>::default();
        registry.register("frames", "Frames handed to the detector", frames.clone());
        let drops = Family::<DropLabel, Counter>::default();
        registry.register("frames_dropped", "Frames not classified, by reason", drops.clone());
        let reconnects = Family::<CameraLabel, Counter>::default();
        registry.register("capture_reconnects", "Camera sessions opened after the first", reconnects.clone());
        let blind = Family::<CameraLabel, Gauge>::default();
        registry.register("camera_blind", "1 while a camera gives nothing that can be judged", blind.clone());
        let slow = Family::<CameraLabel, Gauge>::default();
        registry.register("camera_slow", "1 while pictures come too seldom to be judged", slow.clone());
        let armed = Family::<CameraLabel, Gauge>::default();
        registry.register("camera_armed", "0 while a camera is disarmed and decides nothing", armed.clone());
        let watches = Family::<WatchLabel, Gauge>::default();
        registry.register("camera_watches", "1 if a camera is there for dangers of this class", watches.clone());
        let frame_age = Family::<CameraLabel, Histogram, fn() -> Histogram>::new_with_constructor(latency);
        let seconds = Unit::Seconds;
        registry.register_with_unit("frame_age", "From capture to score", seconds.clone(), frame_age.clone());
        let events = Family::<EventLabel, Counter>::default();
        registry.register("events", "Events decided", events.clone());
        let mut histogram = |name: &str, help: &str| {
            let histogram = latency();
            registry.register_with_unit(name, help, seconds.clone(), histogram.clone());
            histogram
        };
        let inference = histogram("inference", "One batch through encoder and head");
        let decision_to_publish = histogram("decision_to_publish", "From the decision to the broker's socket");
        let publish_to_ack = histogram("publish_to_ack", "From the broker's socket to its acknowledgement");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let outbox_depth = gauge("outbox_depth", "Events not yet acknowledged by the broker");
        let broker_connected = gauge("broker_connected", "1 while the broker is connected");
        let store_degraded = gauge("store_degraded", "1 while the store cannot be written");
        let events_lost = Counter::default();
        registry.register("events_lost", "Events given up: the store could not be written", events_lost.clone());
        let events_unheard = Counter::default();
        registry.register("events_unheard", "Events that nobody subscribed to", events_unheard.clone());
        let outbox_oldest_age = FloatGauge::default();
        registry.register_with_unit(
            "outbox_oldest_age",
            "Age of the oldest unacknowledged event",
            Unit::Seconds,
            outbox_oldest_age.clone(),
        );
        Self {
            registry,
            frames,
            drops,
            reconnects,
            blind,
            slow,
            armed,
            watches,
            frame_age,
            events,
            inference,
            decision_to_publish,
            publish_to_ack,
            outbox_depth,
            outbox_oldest_age,
            broker_connected,
            store_degraded,
            events_lost,
            events_unheard,
        }
    }

    /// One camera's handles; taken once, before its first frame.
    pub fn camera(&self, camera: &str) -> CameraMetrics {
        let label = CameraLabel { camera: camera.to_owned() };
        let drops = DropReason::ALL.map(|reason| {
            self.drops.get_or_create_owned(&DropLabel { camera: camera.to_owned(), reason: reason.as_str() })
        });
        CameraMetrics {
            frames: self.frames.get_or_create_owned(&label),
            drops,
            reconnects: self.reconnects.get_or_create_owned(&label),
            blind: self.blind.get_or_create_owned(&label),
            slow: self.slow.get_or_create_owned(&label),
            armed: self.armed.get_or_create_owned(&label),
            frame_age: self.frame_age.get_or_create_owned(&label),
        }
    }

    /// Says once what a camera watches for.
    pub fn set_watches(&self, camera: &str, classes: &[Class]) {
        for class in Class::ALL {
            let label = WatchLabel { camera: camera.to_owned(), class: class.as_str() };
            self.watches.get_or_create_owned(&label).set(classes.contains(&class).into());
        }
    }

    /// Counts one event.
    pub fn event(&self, camera: &str, class: Class, event: EventType) {
        let label = EventLabel { camera: camera.to_owned(), class: class.as_str(), r#type: event.as_str() };
        self.events.get_or_create_owned(&label).inc();
    }

    /// Says once which model runs where.
    pub fn set_model(&mut self, sha256: &str, precision: &str, provider: &str) {
        let facts =
            vec![("sha256", sha256.to_owned()), ("precision", precision.to_owned()), ("provider", provider.to_owned())];
        self.registry.register("model", "The loaded model", Info::new(facts));
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

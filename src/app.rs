//! The daemon's wiring page: the only file that names concrete adapters and joins them.
//!
//! ```text
//! captures ──slots──▶ detector ──recorder──▶ store ──outbox──▶ delivery ──▶ broker
//!     └─reports─▶ board ◀─shown─┘└─movements─▶ evidence ──gif───▶┘      commands ─▶ orders ─▶ detector
//! ```
//!
//! Ends when a signal asks for it, when every camera's file has ended, or when the detector fails. Shutdown walks the
//! road of a frame: captures stop and close their slots, the detector judges what lies in them, delivery drains.

mod board;
mod outlet;
mod supervise;

use crate::capture::{self, Capture, Outlets, Plan};
use crate::classifier::ClassifierError;
use crate::config::{CameraConfig, Config, EvidenceStyle};
use crate::detector::{Detector, Failed, Input, Order};
use crate::evidence;
use crate::frame::{Clock, Size};
use crate::health::Report;
use crate::journal;
use crate::lifecycle::heartbeat::Heartbeats;
use crate::lifecycle::notify::{self, Notifier};
use crate::lifecycle::{self, Signals};
use crate::log::LogHandle;
use crate::metrics::{Metrics, serve};
use crate::model;
use crate::mqtt::{self, Command, Delivery, Facts, Telemetry};
use crate::slot::{Bell, Slot};
use crate::store::{Context, Store};
use crate::zone::Zones;
use board::Board;
use outlet::AppOutlet;
use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Why the daemon could not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration, the model or the store must be mended first.
    #[error("{0}")]
    Setup(String),
    /// It failed while running; a restart may help.
    #[error("{0}")]
    Failed(String),
}

impl From<ClassifierError> for AppError {
    fn from(error: ClassifierError) -> Self {
        if error.may_pass() { failed(error) } else { setup(error) }
    }
}

fn setup(error: impl std::fmt::Display) -> AppError {
    AppError::Setup(error.to_string())
}

fn failed(error: impl std::fmt::Display) -> AppError {
    AppError::Failed(error.to_string())
}

/// Reads the configuration again, for a reload.
pub type Reread = Box<dyn Fn() -> Result<Config, String> + Send>;

/// Commands that wait for the detector; a person gives a few a day.
const COMMANDS: usize = 16;
/// Between two tries to open the metrics' port. Prometheus looks every 15 to 60 s.
const LISTEN_EVERY: Duration = Duration::from_secs(10);
/// Outbox and goodbye at shutdown; systemd waits longer.
const DRAIN: Duration = Duration::from_secs(8);

/// Everything that runs.
struct App {
    config: Config,
    log: LogHandle,
    signals: Signals,
    clock: Clock,
    notifier: Arc<Notifier>,
    heartbeats: Arc<Heartbeats>,
    board: Board,
    store: Store,
    captures: Vec<Capture>,
    orders: std_mpsc::SyncSender<Order>,
    /// Orders for which the detector had no room yet.
    owed: VecDeque<Order>,
    bell: Arc<Bell>,
    detector_beat: Arc<AtomicU64>,
}

/// What the supervisor listens to.
struct Ears {
    reports: mpsc::UnboundedReceiver<Report>,
    commands: mpsc::Receiver<Command>,
    detector: oneshot::Receiver<Result<(), Failed>>,
    firsts: mpsc::UnboundedReceiver<String>,
}

/// Runs the daemon until it is told to stop.
pub fn run(config: Config, log: LogHandle, reread: Reread) -> Result<(), AppError> {
    if config.camera.is_empty() {
        return Err(setup(
            "no camera is configured: add a section [camera.<id>] with a source, and see `falld doctor`",
        ));
    }
    let (version, cameras) = (env!("CARGO_PKG_VERSION"), config.camera.len());
    tracing::info!(MESSAGE_ID = journal::STARTED, version, commit = crate::cli::COMMIT, cameras, "started");
    let signals = lifecycle::listen().map_err(failed)?;
    let clock = Clock::start();
    let notifier = Arc::new(Notifier::new());
    // TensorRT builds its engines for minutes; nobody should think that falld hangs.
    notifier.extend_timeout(Duration::from_secs(900), "loading the model");
    let loaded = model::for_cameras(&config)?;
    let spec = loaded.engine.spec().clone();
    tracing::info!(
        model = spec.name,
        version = spec.version,
        MODEL_SHA = spec.sha256,
        provider = loaded.provider,
        batch = loaded.engine.batch(),
        "model loaded"
    );
    if loaded.refused {
        // On a board with a GPU this is the difference between one camera and eight.
        tracing::warn!(provider = loaded.provider, "a wished execution provider refused");
    }
    let mut metrics = Metrics::new();
    metrics.set_model(&spec.sha256, &spec.precision, &loaded.active);
    let metrics = Arc::new(metrics);
    let telemetry = Telemetry::new(&config.device.id, clock);
    let context = Context {
        device: config.device.id.clone(),
        model: crate::event::payload::ModelRef {
            name: spec.name.clone(),
            version: spec.version.clone(),
            sha256: spec.sha256.clone(),
        },
    };
    telemetry.set_facts(Facts { model: context.model.clone(), provider: loaded.active.clone() });

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("io")
        .enable_all()
        .build()
        .map_err(failed)?;
    let mut store = Store::open(&config.store, clock, Arc::clone(&metrics))
        .map_err(|error| if error.may_pass() { failed(error) } else { setup(error) })?;
    let outbox = store.outbox().ok_or_else(|| failed("the store has no outbox"))?;
    let (sender, commands) = mpsc::channel(COMMANDS);
    let goodbye = CancellationToken::new();
    let watches = config.camera.iter().map(|(id, camera)| (id.clone(), Zones::new(camera).watches()));
    let board = Board::new(telemetry.clone(), watches.inspect(|(id, classes)| metrics.set_watches(id, classes)));
    let (evidence, drawing) = {
        let telemetry = telemetry.clone();
        evidence::spawn(move |drawn| telemetry.set_evidence(&drawn.camera, drawn.event, drawn.gif)).map_err(failed)?
    };
    let shown = config.camera.iter().filter(|(_, camera)| camera.evidence != EvidenceStyle::None);
    let parts = mqtt::Parts {
        config: config.mqtt.clone(),
        device: config.device.id.clone(),
        outbox,
        telemetry,
        evidence: shown.map(|(id, _)| id.clone()).collect(),
        commands: sender,
        metrics: Arc::clone(&metrics),
        clock,
        shutdown: goodbye.clone(),
        tuning: mqtt::Tuning::default(),
    };
    let bell = Bell::new();
    let (report, reports) = mpsc::unbounded_channel();
    let (captures, inputs) = captures(&config, &spec, spec.frame, clock, &metrics, &bell, report)?;
    let (first, firsts) = mpsc::unbounded_channel();
    let outlet = AppOutlet::new(store.recorder(), context, board.clone(), evidence, first);
    let detector_beat = Arc::new(AtomicU64::new(0));
    let mut detector =
        Detector::new(loaded.engine, inputs, outlet, clock, Arc::clone(&metrics), Arc::clone(&detector_beat));
    // Before anybody is connected, who would be told that all is clear.
    detector.resume(store.unfinished());
    let delivery = {
        let _entered = runtime.enter();
        mqtt::spawn(parts)
    };
    let (orders, inbox) = std_mpsc::sync_channel(COMMANDS);
    let (thread, detector) = detect(detector, Arc::clone(&bell), inbox)?;
    if !config.metrics.listen.is_empty() {
        let (listen, board) = (config.metrics.listen.clone(), board.clone());
        runtime.spawn(serve::keep(listen, LISTEN_EVERY, metrics, move || board.health(), signals.shutdown.clone()));
    }

    let heartbeats = Arc::new(Heartbeats::new());
    {
        let (heartbeats, notifier, stop) = (Arc::clone(&heartbeats), Arc::clone(&notifier), signals.shutdown.clone());
        runtime.spawn(async move { notify::feed(&heartbeats, clock, &notifier, &stop).await });
    }
    let mut app = App {
        config,
        log,
        signals,
        clock,
        notifier,
        heartbeats,
        board,
        store,
        captures,
        orders,
        owed: VecDeque::new(),
        bell,
        detector_beat,
    };
    let ears = Ears { reports, commands, detector, firsts };
    let outcome = runtime.block_on(app.supervise(ears, &delivery, reread));
    app.stop(thread, drawing, &goodbye, delivery, &runtime);
    // A name that is still being looked up must not hold up the end; nothing durable is left to do.
    runtime.shutdown_background();
    outcome
}

/// One capture and one detector input for each camera.
fn captures(
    config: &Config,
    spec: &crate::classifier::Spec,
    size: Size,
    clock: Clock,
    metrics: &Metrics,
    bell: &Arc<Bell>,
    report: mpsc::UnboundedSender<Report>,
) -> Result<(Vec<Capture>, Vec<Input>), AppError> {
    let (mut captures, mut inputs) = (Vec::new(), Vec::new());
    for (id, camera) in &config.camera {
        let slot = Slot::new(Arc::clone(bell));
        let numbers = metrics.camera(id);
        let patience = capture::patience(camera);
        let (slot_of_detector, evidence) = (Arc::clone(&slot), camera.evidence);
        inputs.push(Input { id: id.clone(), slot: slot_of_detector, metrics: numbers.clone(), patience, evidence });
        let plan = Plan { camera: id.as_str().into(), config: camera.clone(), rate_hz: spec.rate_hz, size };
        let report = report.clone();
        let outlets = Outlets {
            slot,
            metrics: numbers,
            clock,
            // Nobody listens any more once the daemon ends.
            report: Arc::new(move |change| drop(report.send(change))),
        };
        let openers = openers(camera, size, spec.pad)?;
        captures.push(Capture::spawn(plan, openers, outlets).map_err(failed)?);
    }
    Ok((captures, inputs))
}

#[cfg(feature = "opencv")]
fn openers(camera: &CameraConfig, size: Size, pad: u8) -> Result<crate::capture::Openers, AppError> {
    let opener = crate::camera::opencv::Opener::new(camera, size, pad);
    // Clones share what was learned about the camera.
    Ok(Box::new(move || Box::new(opener.clone())))
}

#[cfg(not(feature = "opencv"))]
fn openers(_camera: &CameraConfig, _size: Size, _pad: u8) -> Result<crate::capture::Openers, AppError> {
    Err(setup("this falld was built without cameras. Build it with the feature `opencv` (it is on by default)."))
}

type DetectorThread = (JoinHandle<()>, oneshot::Receiver<Result<(), Failed>>);

fn detect(
    detector: Detector<AppOutlet>,
    bell: Arc<Bell>,
    orders: std_mpsc::Receiver<Order>,
) -> Result<DetectorThread, AppError> {
    let (done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("detector".into())
        // The receiver is gone only when the daemon is already ending.
        .spawn(move || drop(done.send(detector.run(&bell, &orders))))
        .map_err(failed)?;
    Ok((thread, outcome))
}

impl App {
    /// Stops every stage in the order of a frame's road.
    fn stop(
        self,
        detector: JoinHandle<()>,
        drawing: JoinHandle<()>,
        goodbye: &CancellationToken,
        delivery: Delivery,
        runtime: &tokio::runtime::Runtime,
    ) {
        self.notifier.stopping();
        for capture in &self.captures {
            capture.stop();
        }
        for capture in self.captures {
            capture.join();
        }
        self.bell.ring();
        if detector.join().is_err() {
            tracing::error!("the detector panicked");
        }
        // It ends with the detector, which alone asks it.
        if drawing.join().is_err() {
            tracing::error!("the drawing of evidence panicked");
        }
        goodbye.cancel();
        let drained = runtime.block_on(async { tokio::time::timeout(DRAIN, delivery.task).await });
        if drained.is_err() {
            tracing::warn!("the broker did not take everything in time; what is left waits in the store");
        }
        drop(self.store);
        tracing::info!(MESSAGE_ID = journal::STOPPED, "stopped");
    }
}

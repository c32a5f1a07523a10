//! Capture: one camera from its source to its slot, for ever.
//!
//! Two threads a camera. The *session* thread (`capture-<camera>`) opens the camera, reads, chooses by the cadence,
//! judges and puts into the slot: it may be stuck in a driver or a library for as long as those like. The *supervisor*
//! (`watch-<camera>`) never touches the camera: it holds the deadlines, abandons a session that is overdue, waits out
//! the backoff and starts the next one. An abandoned thread cannot be killed; it is detached, whatever it delivers late
//! is refused, and it ends itself when its call returns. At most [`MAX_ABANDONED`] of them hang at a time.
//!
//! Promises: no read blocks longer than its deadline plus [`GRACE`] unnoticed; each change of health is reported once;
//! while the camera is not [`CameraHealth::Ok`] no frame reaches the slot; each frame that does not is counted by
//! reason; nothing here allocates per frame.

pub mod backoff;
mod control;
pub mod health;
mod session;

use crate::camera::{CameraError, Opener};
use crate::config::CameraConfig;
use crate::frame::{Clock, Frame, Moment, Size};
use crate::health::{CameraHealth, Report};
use crate::metrics::CameraMetrics;
use crate::slot::Slot;
use control::{Control, Verdict};
use health::Judge;
use session::{Deadlines, End, Session, Watch};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Added to each deadline before a session is abandoned: OpenCV's own timeouts fire up to 40 ms late, and a session
/// that gives up by itself costs no thread.
pub const GRACE: Duration = Duration::from_millis(500);

/// Abandoned threads that may hang at a time. Each holds a decoder (tens of MB): a driver that never returns must not
/// eat the memory. At the limit the camera stays lost until one of them returns.
pub const MAX_ABANDONED: usize = 4;

/// Frames made before the first picture: one being written, one in the slot, two with the reader (it compares
/// neighbours). More are made only for a reader that keeps more.
const FRAMES: usize = 4;

/// The supervisor shows that it is alive at least this often.
const BEAT: Duration = Duration::from_secs(1);

/// How long a session may take to notice that it should stop. Longer only if it is stuck, and then it is abandoned.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Whoever waits so long for other cameras to be opened says so.
const QUEUE: Duration = Duration::from_secs(60);

/// A session that gave pictures for this long was a good one: the next wait starts from the shortest again.
const STEADY: Duration = Duration::from_secs(10);

/// Makes a fresh opener for each session; must not block.
pub type Openers = Box<dyn FnMut() -> Box<dyn Opener> + Send>;

/// Takes each change of health. Called with a lock held: it must not block and not call back into [`Capture`]; an
/// unbounded channel's `send` is right, for the changes are few.
pub type Reporter = Arc<dyn Fn(Report) + Send + Sync>;

/// What a capture needs to know.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The camera's id.
    pub camera: Arc<str>,
    /// Its section of the configuration.
    pub config: CameraConfig,
    /// The model's rate.
    pub rate_hz: f64,
    /// The model's picture.
    pub size: Size,
}

/// Where a capture's results go.
#[derive(Clone)]
pub struct Outlets {
    /// Frames.
    pub slot: Arc<Slot<Frame>>,
    /// Counts.
    pub metrics: CameraMetrics,
    /// What frames and reports are stamped with.
    pub clock: Clock,
    /// Changes of health.
    pub report: Reporter,
}

/// The sign of life of one camera's supervisor.
#[derive(Debug, Clone)]
pub struct Heartbeat(Arc<Control>);

impl Heartbeat {
    /// When the supervisor last went round its loop. It does so at least each second, also while it waits for an
    /// absent camera; an older value means that the supervisor itself is stuck. None once the camera has stopped or its
    /// file has ended: then nothing is owed.
    pub fn last(&self) -> Option<Moment> {
        self.0.last_beat()
    }
}

/// A camera at work. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Capture {
    control: Arc<Control>,
    supervisor: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts the camera's threads. Fails only if the system gives no thread.
    pub fn spawn(plan: Plan, openers: Openers, outlets: Outlets) -> io::Result<Self> {
        for _ in 0..FRAMES {
            outlets.slot.recycle(Frame::new(plan.size));
        }
        let control = Arc::new(Control::new(&plan, outlets));
        let seed = backoff::seed(&plan.camera);
        let name = format!("watch-{}", plan.camera);
        let supervisor = Supervisor { control: Arc::clone(&control), plan: Arc::new(plan), openers, seed };
        let supervisor = std::thread::Builder::new().name(name).spawn(move || supervisor.run())?;
        Ok(Self { control, supervisor: Some(supervisor) })
    }

    /// Asks the camera to stop; its slot closes as soon as the read under way returns, at the latest after a second.
    pub fn stop(&self) {
        self.control.stop();
    }

    /// Waits until the camera has stopped or its file has ended.
    pub fn join(mut self) {
        if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            tracing::error!("a camera's supervisor panicked");
        }
    }

    /// True once the camera has stopped or its file has ended.
    pub fn is_finished(&self) -> bool {
        self.supervisor.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The supervisor's sign of life.
    pub fn heartbeat(&self) -> Heartbeat {
        Heartbeat(Arc::clone(&self.control))
    }

    /// What the camera is now.
    pub fn health(&self) -> CameraHealth {
        self.control.health()
    }

    /// Threads that hang in a call of the camera and were given up.
    pub fn abandoned(&self) -> usize {
        self.control.abandoned()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.control.stop();
    }
}

struct Supervisor {
    control: Arc<Control>,
    plan: Arc<Plan>,
    openers: Openers,
    seed: u64,
}

impl Supervisor {
    /// Retry and shutdown, and nothing else.
    fn run(mut self) {
        let mut attempt = 0;
        let mut reconnect = false;
        while !self.control.is_stopped() {
            let begun = self.control.now();
            let end = self.run_once(reconnect);
            let lasted = self.control.now().saturating_sub(begun);
            // Neither the time in which nothing was opened counts, nor that in which one picture stood still.
            let still =
                if matches!(end, End::Frozen) { seconds(self.plan.config.frozen_after_s) } else { Duration::ZERO };
            if self.control.lasted() >= STEADY + still {
                attempt = 0;
            }
            match end {
                End::Stopped => break,
                End::Finished { pictures } if !self.plan.config.repeat || pictures == 0 => {
                    self.control.announce(CameraHealth::Ended, "");
                    break;
                }
                // Said already. A session that starts anew cures most frozen streams, and the one whose size changed
                // unnoticed by OpenCV (see `camera::opencv`).
                End::Frozen => {
                    if !self.control.pause(backoff::delay(attempt, self.seed)) {
                        break;
                    }
                }
                // The file starts again: neither a loss nor a reconnect. One of a single picture takes its time, or
                // it would be opened without a pause.
                End::Finished { .. } => {
                    self.control.pause(backoff::FIRST.saturating_sub(lasted));
                    continue;
                }
                End::Failed { error: CameraError::Changed(detail), pictures } if pictures > 0 && attempt == 0 => {
                    tracing::info!(camera = %self.plan.camera, detail, "camera changed, reopening");
                }
                End::Failed { error, .. } => {
                    self.control.announce(CameraHealth::Lost, &error.to_string());
                    if !self.control.pause(backoff::delay(attempt, self.seed)) {
                        break;
                    }
                }
            }
            reconnect = true;
            attempt = attempt.saturating_add(1);
        }
        self.control.close();
    }

    fn judge(&self) -> Judge {
        let config = &self.plan.config;
        Judge::new(self.plan.size, &config.mask, seconds(config.frozen_after_s), seconds(config.blind_after_s))
    }

    /// One session, from opening the camera to its end, watched from outside.
    fn run_once(&mut self, reconnect: bool) -> End {
        let hanging = self.control.abandoned();
        if hanging >= MAX_ABANDONED {
            let detail = format!(
                "{hanging} reads hang in the camera's driver and do not return; restart falld if they never do"
            );
            return End::failed(CameraError::Lost(detail));
        }
        let opener = (self.openers)();
        let source = opener.describe();
        let watch = Arc::new(Watch::new(self.control.now()));
        let (generation, judge) = self.control.begin();
        let mut judge = judge.unwrap_or_else(|| self.judge());
        judge.restart();
        let session = Session::new(generation, Arc::clone(&self.control), Arc::clone(&watch), judge, reconnect);
        // The opener moves to the thread that may hang in it.
        let started = std::thread::Builder::new()
            .name(format!("capture-{}", self.plan.camera))
            .spawn(move || session.play(opener));
        if let Err(error) = started {
            return End::failed(CameraError::Lost(format!("no thread for {source}: {error}")));
        }
        let deadlines = Deadlines::new(&self.plan.config);
        let begun = self.control.now();
        loop {
            let now = self.control.now();
            // One that changed may be back at once, and is said to be lost when it is not.
            if watch.is_opening()
                && self.control.health() == CameraHealth::Ok
                && now.saturating_sub(begun) >= patience(&self.plan.config)
            {
                self.control.announce(CameraHealth::Lost, &format!("{source}: no picture since it was opened anew"));
            }
            if watch.queued(now).is_some_and(|waited| waited >= QUEUE) {
                self.control.announce(
                    CameraHealth::Lost,
                    &format!(
                        "{source}: has waited a minute for other cameras to be opened; see which of them are lost"
                    ),
                );
            }
            let due = watch.due(&deadlines);
            match self.control.watch(generation, due.saturating_sub(now).min(BEAT), STOP_GRACE) {
                Verdict::Ended(end) => return end,
                Verdict::Running => {}
            }
            if let Some(call) = watch.overdue(&deadlines, self.control.now())
                && self.control.abandon(generation)
            {
                let detail = format!("{source}: no answer to {call} within {:.1} s", deadlines.of(call).as_secs_f64());
                return End::failed(CameraError::Lost(detail));
            }
        }
    }
}

/// The longest silence of a camera at work that is not yet a loss.
pub fn patience(config: &CameraConfig) -> Duration {
    seconds(config.read_timeout_s) + GRACE
}

/// A configured number of seconds; nonsense counts as none (the configuration's check refuses it long before).
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

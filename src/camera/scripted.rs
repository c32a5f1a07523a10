//! A camera made of a script: pictures, delays, errors and hangs on command. For tests, and for a build without
//! OpenCV.
//!
//! A [`Script`] lists sessions; each `open` plays the next one. When none is left the camera is absent.

use super::{CameraError, Grab, Opener, Stream};
use crate::frame::{Frame, Moment, Size, View};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Holds whoever waits at it until it is released.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Debug, Default)]
struct GateState {
    waiting: usize,
    passed: usize,
    released: bool,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until the gate is released, however long that takes: this is the camera that hangs.
    pub fn wait(&self) {
        let mut state = lock(&self.0.0);
        state.waiting += 1;
        self.0.1.notify_all();
        let mut state = self.0.1.wait_while(state, |state| !state.released).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.passed += 1;
        self.0.1.notify_all();
    }

    /// Lets everybody through, now and later.
    pub fn release(&self) {
        lock(&self.0.0).released = true;
        self.0.1.notify_all();
    }

    /// Waits until somebody hangs at the gate. False if nobody came within `limit`.
    pub fn reached(&self, limit: Duration) -> bool {
        self.until(limit, |state| state.waiting > 0)
    }

    /// Waits until somebody has been let through. False if nobody was within `limit`.
    pub fn passed(&self, limit: Duration) -> bool {
        self.until(limit, |state| state.passed > 0)
    }

    fn until(&self, limit: Duration, met: impl Fn(&GateState) -> bool) -> bool {
        let state = lock(&self.0.0);
        let (state, _) =
            self.0.1.wait_timeout_while(state, limit, |state| !met(state)).unwrap_or_else(PoisonError::into_inner);
        met(&state)
    }
}

/// What a scripted picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// A room with something that moves: fine in every respect, and no two pictures are the same.
    Room,
    /// The same room without any change: a frozen camera.
    Still,
    /// Darkness with a sensor's noise.
    Dark,
    /// Something grey before the lens.
    Covered,
}

/// One step of a session.
#[derive(Debug, Clone)]
pub enum Step {
    /// `count` pictures of a scene, one each `every`.
    Show {
        /// What they show.
        scene: Scene,
        /// How many there are.
        count: u64,
        /// Time between them; zero for as fast as they are taken.
        every: Duration,
    },
    /// As `Show`, with times of their own from zero on: a file.
    Play {
        /// What the pictures show.
        scene: Scene,
        /// How many there are.
        count: u64,
        /// Media time between them.
        every: Duration,
    },
    /// The read hangs until the gate is released; then the session is lost.
    Hang(Gate),
    /// The read fails.
    Fail(CameraError),
    /// A finite source ends.
    End,
}

#[derive(Debug, Clone)]
enum Session {
    Refuse(CameraError),
    HangOpen(Gate),
    Steps(Vec<Step>),
}

/// The sessions of one scripted camera. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Script {
    sessions: Arc<Mutex<VecDeque<Session>>>,
    opened: Arc<Mutex<u64>>,
}

impl Script {
    /// A camera that is absent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a session that plays `steps`; after them the camera is lost.
    pub fn session(self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.add(Session::Steps(steps.into_iter().collect()))
    }

    /// Adds an attempt to open that fails.
    pub fn refuse(self, why: &str) -> Self {
        self.add(Session::Refuse(CameraError::Open(why.to_owned())))
    }

    /// Adds an attempt to open that hangs until `gate` is released, and then fails.
    pub fn hang_open(self, gate: &Gate) -> Self {
        self.add(Session::HangOpen(gate.clone()))
    }

    fn add(self, session: Session) -> Self {
        lock(&self.sessions).push_back(session);
        self
    }

    /// How often the camera was asked to open.
    pub fn opened(&self) -> u64 {
        *lock(&self.opened)
    }

    /// An opener of this camera for pictures of `size`.
    pub fn opener(&self, size: Size) -> Box<dyn Opener> {
        Box::new(ScriptedOpener { script: self.clone(), size })
    }
}

struct ScriptedOpener {
    script: Script,
    size: Size,
}

impl Opener for ScriptedOpener {
    fn open(&mut self) -> Result<Box<dyn Stream>, CameraError> {
        *lock(&self.script.opened) += 1;
        let session = lock(&self.script.sessions).pop_front();
        match session {
            None => Err(CameraError::Open("the scripted camera is absent".into())),
            Some(Session::Refuse(error)) => Err(error),
            Some(Session::HangOpen(gate)) => {
                gate.wait();
                Err(CameraError::Open("the scripted camera hung".into()))
            }
            Some(Session::Steps(steps)) => Ok(Box::new(ScriptedStream {
                size: self.size,
                steps: steps.into(),
                shown: 0,
                painted: 0,
                media: Moment::ZERO,
                scene: Scene::Room,
            })),
        }
    }

    fn describe(&self) -> String {
        "scripted".into()
    }
}

struct ScriptedStream {
    size: Size,
    steps: VecDeque<Step>,
    /// Pictures of the current step so far.
    shown: u64,
    painted: u64,
    media: Moment,
    scene: Scene,
}

impl Stream for ScriptedStream {
    fn grab(&mut self) -> Result<Grab, CameraError> {
        loop {
            match self.steps.front() {
                None => return Err(CameraError::Lost("the script is at its end".into())),
                Some(&Step::Show { scene, count, every }) if self.shown < count => {
                    self.scene = scene;
                    self.shown += 1;
                    if !every.is_zero() {
                        std::thread::sleep(every);
                    }
                    return Ok(Grab::Picture { media: None });
                }
                Some(&Step::Play { scene, count, every }) if self.shown < count => {
                    self.scene = scene;
                    self.shown += 1;
                    let media = Some(self.media);
                    self.media += every;
                    return Ok(Grab::Picture { media });
                }
                Some(Step::Hang(gate)) => {
                    gate.wait();
                    return Err(CameraError::Lost("the scripted camera hung".into()));
                }
                Some(Step::Fail(error)) => return Err(error.clone()),
                Some(Step::End) => return Ok(Grab::End),
                Some(Step::Show { .. } | Step::Play { .. }) => {
                    self.steps.pop_front();
                    self.shown = 0;
                }
            }
        }
    }

    fn retrieve(&mut self, into: &mut Frame) -> Result<(), CameraError> {
        self.painted += 1;
        into.view = View::whole(self.size);
        paint(self.scene, self.painted, self.size, &mut into.pixels);
        Ok(())
    }

    fn rate(&self) -> Option<f64> {
        None
    }
}

/// Paints the `n`th picture of a scene.
pub fn paint(scene: Scene, n: u64, size: Size, pixels: &mut [u8]) {
    let person = (n as usize).wrapping_mul(3) % size.width.max(1);
    for (i, value) in pixels.iter_mut().enumerate() {
        let (x, noise) = (i / 3 % size.width, (i as u64 ^ n.wrapping_mul(7)) as u8);
        let wall = if x < size.width / 2 { 170 } else { 60 };
        *value = match scene {
            Scene::Room if x.abs_diff(person) < 3 => 250,
            Scene::Room => wall + noise % 8,
            Scene::Still => wall,
            Scene::Dark => 3 + noise % 4,
            Scene::Covered => 90 + noise % 4,
        };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

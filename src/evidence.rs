//! What the caregiver sees of an alert: how everybody in the picture moved in the last seconds, as stick figures.
//!
//! * Drawn from the clip alone, beside the alert's road: [`spawn`]'s thread draws, and nobody ever waits for it. An alert
//!   that comes while it is behind is shown without figures, and a line in the log says so.
//! * Figures show neither faces nor the room, but for the outlines of what the site marked in it (a bed, a window sill). The picture behind
//!   them is the site's choice (`camera.<id>.evidence`), with its masks.
//! * A GIF, for every phone and browser shows one: first all poses at once, oldest faintest, which tells it where
//!   nothing moves (a notification); then the movement at its own pace.
//!
//! Deterministic: the same movements give the same bytes.

mod canvas;
mod figure;

use crate::clip::Movements;
use canvas::Canvas;
use gif::{Encoder, EncodingError, Frame, Repeat};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use uuid::Uuid;

/// Poses a second in the animation.
const POSES_HZ: f64 = 5.0;
/// Poses shown at once at the beginning.
const OVERVIEW: usize = 6;
/// How strongly the oldest of them is drawn.
const FAINTEST: f32 = 0.3;
/// How long the overview and the last pose stay, in hundredths of a second.
const STAY_CS: u16 = 150;
/// Somebody who is missed for so long, in seconds, is drawn where they were: whoever lies is missed more often.
const HELD_S: f64 = 1.0;
/// Alerts that may wait to be drawn, 60 kB each, 200 with a picture. The policy's cooldown keeps them rare.
const QUEUE: usize = 16;

/// One event to be shown.
#[derive(Debug)]
pub struct Request {
    /// The camera's id.
    pub camera: String,
    /// The event's id.
    pub event: Uuid,
    /// What its clip holds.
    pub movements: Movements,
}

/// One event as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The camera's id.
    pub camera: String,
    /// The event's id.
    pub event: Uuid,
    /// An animated GIF.
    pub gif: Vec<u8>,
}

/// Where requests are left. Once every clone is gone, the thread ends.
#[derive(Debug, Clone)]
pub struct Requests(SyncSender<Request>);

impl Requests {
    /// Leaves a request. Never waits.
    pub fn leave(&self, request: Request) {
        let (camera, event_id, reason) = match self.0.try_send(request) {
            Ok(()) => return,
            Err(TrySendError::Full(request)) => (request.camera, request.event, "too many at once"),
            Err(TrySendError::Disconnected(request)) => (request.camera, request.event, "its thread has ended"),
        };
        tracing::warn!(camera, %event_id, reason, "no evidence of this event");
    }
}

/// Starts the thread that draws; each result goes to `show`.
pub fn spawn(show: impl Fn(Evidence) + Send + 'static) -> std::io::Result<(Requests, JoinHandle<()>)> {
    let (sender, requests) = sync_channel::<Request>(QUEUE);
    let draw = move || {
        for Request { camera, event, movements } in requests {
            match gif(&movements) {
                Ok(gif) => show(Evidence { camera, event, gif }),
                Err(error) => tracing::warn!(camera, event_id = %event, %error, "no evidence of this event"),
            }
        }
    };
    let thread = std::thread::Builder::new().name("evidence".into()).spawn(draw)?;
    Ok((Requests(sender), thread))
}

/// The movements as an animated GIF that repeats for ever, twice as wide and high as the fitted picture.
pub fn gif(movements: &Movements) -> Result<Vec<u8>, EncodingError> {
    let mut empty = Canvas::new(movements.size, movements.picture.as_deref());
    let (width, height) = empty.extent();
    for place in &movements.places {
        let corners: Vec<[f32; 2]> = place.iter().map(|[y, x]| [x * width, y * height]).collect();
        empty.outline(&corners);
    }
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, empty.width(), empty.height(), &canvas::palette())?;
    encoder.set_repeat(Repeat::Infinite)?;
    let mut shown = None;
    let mut show = |canvas: Canvas, delay: u16| {
        let frame = match &shown {
            None => canvas.whole(),
            Some(before) => canvas.changes(before),
        };
        shown = Some(canvas);
        encoder.write_frame(&Frame { delay, ..frame })
    };
    show(overview(&empty, movements), STAY_CS)?;
    let step = ((movements.rate_hz / POSES_HZ).round() as usize).max(1);
    let pace = (step as f64 / movements.rate_hz * 100.0).round() as u16;
    // Counted from the last tick, which is the one that decided.
    let first = (movements.ticks + step - 1) % step;
    for tick in (first..movements.ticks).step_by(step) {
        let mut canvas = empty.clone();
        pose(&mut canvas, movements, tick, 1.0);
        canvas.progress(tick + 1, movements.ticks);
        show(canvas, if tick + 1 == movements.ticks { STAY_CS } else { pace })?;
    }
    encoder.into_inner()?;
    Ok(out)
}

/// Several poses at once, the newest strongest and on top.
fn overview(empty: &Canvas, movements: &Movements) -> Canvas {
    let mut canvas = empty.clone();
    let poses = OVERVIEW.min(movements.ticks);
    for nth in 1..=poses {
        let age = (nth as f32) / (poses as f32);
        pose(&mut canvas, movements, movements.ticks * nth / poses - 1, FAINTEST + (1.0 - FAINTEST) * age * age);
    }
    canvas
}

fn pose(canvas: &mut Canvas, movements: &Movements, tick: usize, strength: f32) {
    let patience = (movements.rate_hz * HELD_S) as usize;
    for (person, movement) in movements.people.iter().enumerate() {
        if let Some(row) = movement.at(tick, patience) {
            figure::draw(canvas, row, person, strength);
        }
    }
}

#[cfg(test)]
mod tests;

//! One session of one camera, on its own thread: open, then grab, choose, retrieve, judge, hand over, until it ends.
//!
//! It may block in the camera's calls; it says in its [`Watch`] which call it is in and since when, and the supervisor
//! draws the conclusions.

use super::control::{Admission, Control};
use super::health::Judge;
use super::{GRACE, seconds};
use crate::camera::{CameraError, Grab, Opener, Stream};
use crate::config::CameraConfig;
use crate::frame::Moment;
use crate::health::CameraHealth;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Waiting for other cameras to open is nobody's own failure, however long it takes.
const LONGEST_QUEUE: Duration = Duration::from_secs(24 * 3600);

/// A file's picture is waited for at most this long; a longer hole in its times is skipped.
const LONGEST_HOLE: Duration = Duration::from_secs(2);

/// A file that is decoded so much later than it should be shown is given a new start, or it would never catch up.
const LATEST: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// Because it should.
    Stopped,
    /// A finite source is at its end.
    Finished { pictures: u64 },
    /// The camera repeats one picture: only opening it anew can help.
    Frozen,
    /// The camera failed.
    Failed { error: CameraError, pictures: u64 },
}

impl End {
    /// A failure before the first picture.
    pub(super) fn failed(error: CameraError) -> Self {
        Self::Failed { error, pictures: 0 }
    }
}

/// The call a session is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Waiting to be let open.
    Turn,
    Open,
    /// The first read also waits for the stream's first key frame and for the pipeline to start.
    FirstRead,
    Read,
    /// Our own work between two calls.
    Own,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Turn => "the wait for its turn",
            Self::Open => "open",
            Self::FirstRead => "the first read",
            Self::Read => "read",
            Self::Own => "the hand-over",
        })
    }
}

/// How long each call may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    open: Duration,
    read: Duration,
}

impl Deadlines {
    pub(super) fn new(config: &CameraConfig) -> Self {
        Self { open: seconds(config.open_timeout_s), read: seconds(config.read_timeout_s) }
    }

    pub(super) fn of(&self, call: Call) -> Duration {
        match call {
            Call::Turn => LONGEST_QUEUE,
            Call::Open => self.open,
            Call::FirstRead => self.open + self.read,
            Call::Read => self.read,
            Call::Own => self.read.max(2 * LONGEST_HOLE),
        }
    }
}

/// Which call a session is in, and since when; written by the session, read by the supervisor, without a lock.
#[derive(Debug)]
pub(super) struct Watch(AtomicU64);

impl Watch {
    pub(super) fn new(now: Moment) -> Self {
        let watch = Self(AtomicU64::new(0));
        watch.enter(Call::Own, now);
        watch
    }

    fn enter(&self, call: Call, now: Moment) {
        self.0.store((now.as_micros() as u64) << 3 | call as u64, Ordering::Release);
    }

    fn read(&self) -> (Call, Moment) {
        let word = self.0.load(Ordering::Acquire);
        let calls = [Call::Turn, Call::Open, Call::FirstRead, Call::Read, Call::Own];
        let call = calls.get((word & 7) as usize).copied().unwrap_or(Call::Own);
        (call, Moment::from_micros(word >> 3))
    }

    /// How long the session has waited to be let open, if it waits.
    pub(super) fn queued(&self, now: Moment) -> Option<Duration> {
        let (call, since) = self.read();
        (call == Call::Turn).then(|| now.saturating_sub(since))
    }

    /// Whether the session has yet to see its first picture.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.read().0, Call::Turn | Call::Open | Call::FirstRead)
    }

    /// When the call that the session is in will be overdue.
    pub(super) fn due(&self, deadlines: &Deadlines) -> Moment {
        let (call, since) = self.read();
        since + deadlines.of(call) + GRACE
    }

    /// The call that is overdue at `now`, if it is.
    pub(super) fn overdue(&self, deadlines: &Deadlines, now: Moment) -> Option<Call> {
        let (call, since) = self.read();
        (now >= since + deadlines.of(call) + GRACE).then_some(call)
    }
}

/// When a file's pictures are due on our clock: it plays at its own rate, as a camera would.
#[derive(Debug, Default)]
struct Pace {
    anchor: Option<(Moment, Moment)>,
}

impl Pace {
    fn due(&mut self, media: Moment, now: Moment) -> Moment {
        if let Some((ours, theirs)) = self.anchor
            && let Some(since) = media.checked_sub(theirs)
            && ours + since <= now + LONGEST_HOLE
            && ours + since + LATEST >= now
        {
            return ours + since;
        }
        self.anchor = Some((now, media));
        now
    }
}

/// One session, made by the supervisor, played on its own thread.
pub(super) struct Session {
    generation: u64,
    control: Arc<Control>,
    watch: Arc<Watch>,
    reconnect: bool,
    pictures: u64,
    judge: Judge,
}

impl Session {
    pub(super) fn new(
        generation: u64,
        control: Arc<Control>,
        watch: Arc<Watch>,
        judge: Judge,
        reconnect: bool,
    ) -> Self {
        Self { generation, control, watch, reconnect, pictures: 0, judge }
    }

    /// Plays the session to its end and says how it ended, even if it panics.
    pub(super) fn play(mut self, mut opener: Box<dyn Opener>) {
        let mut last_word = LastWord { control: Arc::clone(&self.control), generation: self.generation, word: None };
        let end = match self.drive(&mut *opener) {
            Ok(end) => end,
            Err(error) => End::Failed { error, pictures: self.pictures },
        };
        last_word.word = Some((end, self.judge));
    }

    fn enter(&self, call: Call) -> Moment {
        let now = self.control.now();
        self.watch.enter(call, now);
        now
    }

    fn drive(&mut self, opener: &mut dyn Opener) -> Result<End, CameraError> {
        self.enter(Call::Turn);
        let Some(turn) = opener.turn(&|| !self.control.wants(self.generation)) else { return Ok(End::Stopped) };
        self.enter(Call::Open);
        let opened = opener.open();
        drop(turn);
        let mut stream = opened?;
        self.enter(Call::Own);
        if !self.control.opened(self.generation, self.reconnect) {
            return Ok(End::Stopped);
        }
        let mut pace = Pace::default();
        let mut frame = self.control.frame();
        loop {
            let Some((captured, live)) = self.next_picture(&mut *stream, &mut pace)? else {
                return Ok(End::Finished { pictures: self.pictures });
            };
            let tick = match self.control.admit(self.generation, captured) {
                Admission::Tick(tick) => tick,
                Admission::Refused => continue,
                Admission::Over => return Ok(End::Stopped),
            };
            self.enter(Call::Read);
            stream.retrieve(&mut frame).inspect_err(|_| self.control.undecodable())?;
            self.enter(Call::Own);
            (frame.tick, frame.captured) = (tick, captured);
            let health = self.judge.look(&frame.pixels, frame.view, captured);
            frame = match self.control.deliver(self.generation, frame, health, health.mend()) {
                Some(frame) => frame,
                None => return Ok(End::Stopped),
            };
            if live && health == CameraHealth::Frozen {
                return Ok(End::Frozen);
            }
        }
    }

    /// When the next picture was taken (for a file: once it is due), and whether the source is live. None at the end
    /// of a finite source.
    fn next_picture(
        &mut self,
        stream: &mut dyn Stream,
        pace: &mut Pace,
    ) -> Result<Option<(Moment, bool)>, CameraError> {
        self.enter(if self.pictures == 0 { Call::FirstRead } else { Call::Read });
        let grab = stream.grab()?;
        let now = self.enter(Call::Own);
        let Grab::Picture { media } = grab else { return Ok(None) };
        self.pictures += 1;
        let Some(media) = media else { return Ok(Some((now, true))) };
        let due = pace.due(media, now);
        // A stop ends the sleep early; `admit` sees it.
        self.control.sleep_until(self.generation, due);
        Ok(Some((due, false)))
    }
}

/// Makes sure that the supervisor hears of the end.
struct LastWord {
    control: Arc<Control>,
    generation: u64,
    word: Option<(End, Judge)>,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        let (end, judge) = match self.word.take() {
            Some((end, judge)) => (end, Some(judge)),
            None => (End::failed(CameraError::Lost("the capture thread panicked".into())), None),
        };
        self.control.finish(self.generation, end, judge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Moment {
        Moment::from_millis(n)
    }

    #[test]
    fn a_file_plays_at_its_own_rate_and_holes_are_skipped() {
        let mut pace = Pace::default();
        assert_eq!(pace.due(ms(500), ms(10_000)), ms(10_000));
        assert_eq!(pace.due(ms(540), ms(10_001)), ms(10_040));
        // Late, but not much: it catches up.
        assert_eq!(pace.due(ms(580), ms(10_300)), ms(10_080));
        // A hole of an hour.
        assert_eq!(pace.due(ms(3_600_000), ms(10_310)), ms(10_310));
        assert_eq!(pace.due(ms(3_600_040), ms(10_311)), ms(10_350));
        // Time goes back.
        assert_eq!(pace.due(ms(0), ms(10_400)), ms(10_400));
        // Much too slow.
        assert_eq!(pace.due(ms(40), ms(12_000)), ms(12_000));
    }

    #[test]
    fn a_call_is_overdue_after_its_deadline_and_the_grace() {
        let deadlines = Deadlines { open: ms(3000), read: ms(1000) };
        let watch = Watch::new(ms(0));
        watch.enter(Call::Read, ms(100));
        assert_eq!(watch.overdue(&deadlines, ms(1599)), None);
        assert_eq!(watch.overdue(&deadlines, ms(1600)), Some(Call::Read));
        assert_eq!(watch.due(&deadlines), ms(1600));
        watch.enter(Call::FirstRead, ms(100));
        assert_eq!(watch.due(&deadlines), ms(4600));
        // Whoever waits for others is not overdue.
        watch.enter(Call::Turn, ms(100));
        assert_eq!((watch.overdue(&deadlines, ms(100_000)), watch.queued(ms(60_100))), (None, Some(ms(60_000))));
    }
}

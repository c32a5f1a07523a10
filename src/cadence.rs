//! From the camera's rate to the model's: which frame is kept, and on which tick of the model's grid it lies.
//!
//! Pure: time goes in, a tick number comes out. The promise: at most one frame a tick, ticks only ever grow, and a
//! frame that should have been there and was not shows as a skipped number. A source at the model's own rate (within
//! two per cent) drives the grid, so that a camera that runs a hair fast or slow loses nothing; any other source is
//! sampled by the grid.

use crate::frame::Moment;

/// A frame may be early by this part of a period and still take the next tick. A quarter leaves as much room for the
/// jitter of a source at the model's rate (early) as for one at twice the rate (its in-between frame, late).
const EARLY: f64 = 0.25;

/// A source whose mean interval is this near to the model's period drives the grid. Crystal errors are below 0.01 %
/// and nominal rates differ by up to 0.4 % (29.97/2 for 15, 15.05 measured on a USB camera); with [`PULL`] of a tenth,
/// 2 % keeps the grid's lag within [`EARLY`].
const LOCK: f64 = 0.02;

/// How much of a frame's distance from its tick a driving source takes off at once: jitter is averaged over ten frames.
const PULL: f64 = 0.1;

/// Weight of the newest interval in the mean: one second at 15 Hz.
const MEAN: f64 = 1.0 / 16.0;

/// Ticks skipped when time went backwards: more than any model's clip or hold, so that every ring empties.
pub const RESTART_GAP: u64 = 1024;

#[derive(Debug, Clone, Copy)]
struct Grid {
    /// Nominal time of the last tick given out, in periods since `origin`.
    at: f64,
    tick: u64,
    /// The last frame's time, in periods since `origin`, kept or not.
    seen: f64,
    /// Mean interval between frames, in periods; unknown before the second frame.
    interval: Option<f64>,
    origin: Moment,
}

/// Chooses frames by their time.
#[derive(Debug, Clone)]
pub struct Cadence {
    rate_hz: f64,
    grid: Option<Grid>,
}

impl Cadence {
    /// A cadence of `rate_hz` ticks a second; the first frame lies on tick 0.
    pub fn new(rate_hz: f64) -> Self {
        debug_assert!(rate_hz.is_finite() && rate_hz > 0.0);
        Self { rate_hz, grid: None }
    }

    /// The tick of the frame taken at `at`, or `None` if the cadence does not want it.
    ///
    /// A time more than a period before the last one starts the grid anew at that frame, [`RESTART_GAP`] ticks on; a
    /// smaller step back is jitter, and the frame is refused.
    pub fn admit(&mut self, at: Moment) -> Option<u64> {
        let Some(grid) = &mut self.grid else {
            self.grid = Some(Grid { at: 0.0, tick: 0, seen: 0.0, interval: None, origin: at });
            return Some(0);
        };
        let time = if at >= grid.origin {
            (at - grid.origin).as_secs_f64() * self.rate_hz
        } else {
            -((grid.origin - at).as_secs_f64() * self.rate_hz)
        };
        let interval = time - grid.seen;
        if interval < -1.0 {
            let tick = grid.tick + RESTART_GAP;
            *grid = Grid { at: 0.0, tick, seen: 0.0, interval: None, origin: at };
            return Some(tick);
        }
        if interval <= 0.0 {
            return None;
        }
        grid.seen = time;
        let mean = grid.interval.map_or(interval, |mean| mean + MEAN * (interval - mean));
        grid.interval = Some(mean);

        let steps = (time - grid.at + EARLY).floor();
        if steps < 1.0 {
            return None;
        }
        grid.at += steps;
        grid.tick += steps as u64;
        if (mean - 1.0).abs() < LOCK {
            grid.at += PULL * (time - grid.at);
        }
        Some(grid.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn ticks(rate_hz: f64, times: impl IntoIterator<Item = f64>) -> Vec<Option<u64>> {
        let mut cadence = Cadence::new(rate_hz);
        times.into_iter().map(|seconds| cadence.admit(Duration::from_secs_f64(seconds))).collect()
    }

    fn steady(fps: f64, frames: u32) -> impl Iterator<Item = f64> {
        (0..frames).map(move |n| 100.0 + f64::from(n) / fps)
    }

    #[test]
    fn thirty_frames_a_second_give_every_second_one() {
        let kept = ticks(15.0, steady(30.0, 3000));
        for (n, tick) in kept.iter().enumerate() {
            assert_eq!(*tick, n.is_multiple_of(2).then_some(n as u64 / 2), "frame {n}");
        }
    }

    #[test]
    fn twenty_five_give_fifteen_as_evenly_as_they_can() {
        let kept = ticks(15.0, steady(25.0, 2500));
        let chosen: Vec<usize> = (0..kept.len()).filter(|&n| kept[n].is_some()).collect();
        assert!((1499..=1501).contains(&chosen.len()), "{}", chosen.len());
        assert!(chosen.windows(2).all(|pair| (1..=2).contains(&(pair[1] - pair[0]))));
        assert!(chosen.windows(3).all(|run| run[2] - run[0] >= 3), "never two neighbours in a row");
    }

    #[test]
    fn a_camera_a_hair_fast_or_slow_loses_nothing() {
        for fps in [14.9, 14.985, 15.0, 15.05, 15.2] {
            let kept = ticks(15.0, steady(fps, 20_000));
            for (n, tick) in kept.iter().enumerate() {
                assert_eq!(*tick, Some(n as u64), "{fps} fps, frame {n}");
            }
        }
    }

    #[test]
    fn jitter_at_the_models_rate_loses_nothing() {
        // ±10 ms in a fixed pattern that visits early and late neighbours.
        let jitter = [0.0, 0.010, -0.010, 0.004, -0.007, 0.009, -0.002, 0.0];
        let times = steady(15.0, 9000).enumerate().map(|(n, t)| t + jitter[n % jitter.len()]);
        let kept = ticks(15.0, times);
        assert!(kept.iter().enumerate().all(|(n, tick)| *tick == Some(n as u64)));
    }

    #[test]
    fn eight_frames_a_second_are_all_kept_and_the_missed_ticks_show() {
        let kept: Vec<u64> = ticks(15.0, steady(8.0, 800)).into_iter().flatten().collect();
        assert_eq!(kept.len(), 800);
        assert!(kept.windows(2).all(|pair| (1..=2).contains(&(pair[1] - pair[0]))));
        assert!(kept[799].abs_diff(1498) <= 1, "ticks keep step with the clock: {}", kept[799]);
    }

    #[test]
    fn a_pause_shows_as_skipped_ticks() {
        assert_eq!(ticks(10.0, [0.0, 0.1, 0.2, 1.2, 1.3]), [Some(0), Some(1), Some(2), Some(12), Some(13)]);
    }

    #[test]
    fn time_that_goes_back_starts_anew_beyond_every_clip() {
        let kept = ticks(10.0, [5.0, 5.1, 5.2, 0.0, 0.1, 0.2]);
        let anew = 2 + RESTART_GAP;
        assert_eq!(kept, [Some(0), Some(1), Some(2), Some(anew), Some(anew + 1), Some(anew + 2)]);
    }

    #[test]
    fn the_same_time_twice_is_one_frame() {
        assert_eq!(ticks(10.0, [1.0, 1.0, 1.05, 1.04, 1.1]), [Some(0), None, None, None, Some(1)]);
    }

    #[test]
    fn a_clip_of_frames_by_table() {
        // 20 fps to 15 Hz: three of four.
        let kept = ticks(15.0, steady(20.0, 400));
        assert!((299..=301).contains(&kept.iter().flatten().count()));
        // 60 fps: one of four.
        let kept = ticks(15.0, steady(60.0, 6000));
        assert_eq!(kept.iter().flatten().count(), 1500);
    }

    proptest! {
        #[test]
        fn ticks_only_grow_and_none_is_given_twice(
            rate in 1.0..60.0f64,
            times in proptest::collection::vec(0.0..1e6f64, 1..300),
        ) {
            let kept: Vec<u64> = ticks(rate, times).into_iter().flatten().collect();
            prop_assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn never_more_frames_than_the_rate_allows(
            rate in 1.0..60.0f64,
            gaps in proptest::collection::vec(0.0..0.2f64, 1..500),
        ) {
            let mut now = 0.0;
            let times: Vec<f64> = gaps.iter().map(|gap| { now += gap; now }).collect();
            let kept = ticks(rate, times.iter().copied()).into_iter().flatten().count() as f64;
            let span = times[times.len() - 1] - times[0];
            // A driving source may run ahead of the grid by LOCK, an early frame by a quarter of a period.
            prop_assert!(kept <= span * rate * (1.0 + 2.0 * LOCK) + 2.0, "{kept} in {span} s at {rate} Hz");
        }

        #[test]
        fn a_slow_source_loses_nothing(
            rate in 5.0..60.0f64,
            slowness in 1.05..10.0f64,
            jitter in proptest::collection::vec(-0.024..0.024f64, 100),
        ) {
            // Each interval is at least one period: nothing may be refused.
            let period = 1.0 / rate;
            let times = jitter.iter().enumerate().map(|(n, j)| 10.0 + period * (n as f64 * slowness + j));
            prop_assert!(ticks(rate, times).iter().all(Option::is_some));
        }

        #[test]
        fn a_tick_is_never_far_from_its_frame(
            rate in 5.0..60.0f64,
            fps in 1.0..120.0f64,
        ) {
            prop_assume!((fps / rate - 1.0).abs() > 2.0 * LOCK);
            let times: Vec<f64> = steady(fps, 400).collect();
            for (time, tick) in times.iter().zip(ticks(rate, times.iter().copied())) {
                if let Some(tick) = tick {
                    let off = (time - times[0]) * rate - tick as f64;
                    prop_assert!((-0.26..=0.76).contains(&off), "{off} periods");
                }
            }
        }
    }
}

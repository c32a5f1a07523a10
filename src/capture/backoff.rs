//! How long to wait before the next attempt to open a camera: a pure function of the attempt and a seed.

use std::time::Duration;

/// The first wait: long enough for a USB device to come back after a reset, short enough not to miss much.
pub const FIRST: Duration = Duration::from_millis(500);

/// The longest wait: a camera that returns after hours is seen again within half a minute.
pub const LONGEST: Duration = Duration::from_secs(30);

/// The wait before attempt `attempt` (0 is the first retry): doubles from [`FIRST`] up to [`LONGEST`], shortened by up
/// to a half by `seed`, so that cameras lost together (a switch that restarts) do not all return in the same instant.
pub fn delay(attempt: u32, seed: u64) -> Duration {
    let full = FIRST.saturating_mul(1 << attempt.min(16)).min(LONGEST);
    let part = (mix(seed ^ (u64::from(attempt) << 32)) >> 32) as u32;
    full - full.mul_f64(f64::from(part) / f64::from(u32::MAX) / 2.0)
}

/// A seed that differs from camera to camera (FNV-1a of its id).
pub fn seed(camera: &str) -> u64 {
    camera.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// SplitMix64's finaliser: every bit of the input reaches every bit of the output.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_doubles_and_stops_at_half_a_minute() {
        let ceilings = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
        for (attempt, ceiling) in ceilings.into_iter().enumerate() {
            let wait = delay(attempt as u32, 7).as_millis();
            assert!((ceiling / 2..=ceiling).contains(&wait), "attempt {attempt}: {wait} ms");
        }
    }

    #[test]
    fn two_cameras_lost_together_do_not_return_together() {
        assert_ne!(delay(3, seed("kitchen")), delay(3, seed("hall")));
    }

    proptest! {
        #[test]
        fn it_is_never_zero_and_never_above_the_cap(attempt: u32, seed: u64) {
            let wait = delay(attempt, seed);
            prop_assert!(wait >= FIRST / 2 && wait <= LONGEST);
        }
    }
}

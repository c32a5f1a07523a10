//! Quantiles with their uncertainty, free of any assumption on how the samples are distributed.

/// A quantile of some samples, and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The sample's own quantile.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// True if the interval holds the quantile with 95 % confidence. False if there are too few samples for that: then
    /// the ends are the least and the greatest sample.
    pub confident: bool,
    /// Samples.
    pub count: usize,
}

/// Chance that the interval misses the quantile on either side.
const TAIL: f64 = 0.025;

/// The `share` quantile (0 to 1) of `samples`, with the order statistics that enclose it with 95 % confidence
/// (Clopper–Pearson on the ranks). None without samples. Samples that are not numbers are left out.
pub fn estimate(samples: impl IntoIterator<Item = f64>, share: f64) -> Option<Estimate> {
    let mut sorted: Vec<f64> = samples.into_iter().filter(|sample| !sample.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let (least, greatest) = (*sorted.first()?, *sorted.last()?);
    let count = sorted.len();
    let share = share.clamp(0.0, 1.0);
    let value = sorted[((count - 1) as f64 * share).round() as usize];
    let below = cumulative(count, share);
    // X(rank) with ranks from 1: P(X(low) > quantile) = P(fewer than `low` samples lie below it).
    let low = below.iter().rposition(|&chance| chance <= TAIL).map(|failures| failures + 1);
    let high = below.iter().position(|&chance| chance >= 1.0 - TAIL).map(|failures| failures + 1);
    let enclosed = low.zip(high).filter(|(_, high)| *high <= count);
    let (low, high, confident) = match enclosed {
        Some((low, high)) => (sorted[low - 1], sorted[high - 1], true),
        None => (least, greatest, false),
    };
    Some(Estimate { value, low, high, confident, count })
}

/// P(at most k of `count` samples lie below the `share` quantile), for k = 0 … `count`: the binomial distribution, summed
/// in logarithms because its first terms are smaller than any `f64`.
fn cumulative(count: usize, share: f64) -> Vec<f64> {
    let odds = (share / (1.0 - share)).ln();
    let mut term = count as f64 * (1.0 - share).ln();
    let mut sum = 0.0;
    (0..=count)
        .map(|k| {
            if k > 0 {
                term += ((count - k + 1) as f64 / k as f64).ln() + odds;
            }
            sum += term.exp();
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(count: usize, share: f64) -> Estimate {
        estimate((1..=count).map(|n| n as f64), share).expect("there are samples")
    }

    #[test]
    fn the_median_of_a_hundred_lies_between_the_known_ranks() {
        // Tables of the sign test give the ranks 40 and 61 for n = 100.
        let median = ranks(100, 0.5);
        assert_eq!((median.low, median.high, median.confident), (40.0, 61.0, true));
        assert!((50.0..=51.0).contains(&median.value));
    }

    #[test]
    fn a_p99_needs_some_hundred_samples() {
        // 1 - 0.99^n reaches 97.5 % at n = 368.
        assert!(!ranks(367, 0.99).confident);
        let p99 = ranks(368, 0.99);
        assert_eq!((p99.high, p99.confident), (368.0, true));
        let p99 = ranks(2000, 0.99);
        assert!(p99.confident && p99.low > 1960.0 && p99.high < 1996.0, "{p99:?}");
    }

    #[test]
    fn few_samples_show_their_range() {
        let median = ranks(5, 0.5);
        assert_eq!((median.value, median.low, median.high, median.confident), (3.0, 1.0, 5.0, false));
        assert!(ranks(6, 0.5).confident);
    }

    #[test]
    fn no_sample_has_no_quantile() {
        assert_eq!(estimate([], 0.5), None);
        assert_eq!(estimate([f64::NAN], 0.5), None);
        let one = estimate([7.0], 0.99).expect("a sample");
        assert_eq!((one.value, one.confident), (7.0, false));
    }

    #[test]
    fn the_interval_holds_its_promise() {
        // Uniform samples whose median is known; a generator that always gives the same numbers.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let trials = 2000;
        let held = (0..trials)
            .filter(|_| {
                let samples: Vec<f64> = (0..200).map(|_| uniform()).collect();
                let median = estimate(samples, 0.5).expect("there are samples");
                (median.low..=median.high).contains(&0.5)
            })
            .count();
        assert!(held as f64 >= 0.94 * f64::from(trials), "{held} of {trials}");
    }
}

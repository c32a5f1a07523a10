//! Suspects that a live stream became smaller without OpenCV noticing.
//!
//! FFmpeg's backend keeps the first size: a lower picture then fills only the upper part, and the lower edge keeps its
//! last pixels for ever. An edge that stands still to the bit while the middle moves is reason to open the camera anew.
//! It may be innocent (a black bar, a very still floor), so each size is suspected once: if it is the same after
//! opening, it is left in peace. A file that became larger repeats its last picture to the end; that is only counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rows compared at the edge and in the middle: more than a codec's deblocking moves across.
const ROWS: usize = 8;

/// The size that was suspected last; shared by the sessions of a camera.
pub(super) type Learned = Arc<Mutex<Option<(usize, usize)>>>;

pub(super) struct Edge {
    learned: Learned,
    after: Duration,
    edge: Vec<u8>,
    middle: Vec<u8>,
    still_since: Option<Instant>,
    moved: bool,
    /// Pictures in a row in which neither moved.
    same: u64,
}

impl Edge {
    pub(super) fn new(learned: Learned, after: Duration) -> Self {
        Self { learned, after, edge: Vec::new(), middle: Vec::new(), still_since: None, moved: false, same: 0 }
    }

    /// Looks at a picture of `height` rows; true once if it is suspect.
    pub(super) fn suspects(&mut self, picture: &[u8], height: usize, now: Instant) -> bool {
        let stride = picture.len() / height.max(1);
        let band = stride * ROWS.min(height);
        let (Some(edge), Some(middle)) =
            (picture.get(stride * height - band..stride * height), picture.get(stride * (height / 2)..))
        else {
            return false;
        };
        let middle = &middle[..band.min(middle.len())];
        let moves = *middle != *self.middle;
        self.same = if moves || *edge != *self.edge { 0 } else { self.same + 1 };
        self.moved |= moves;
        replace(&mut self.middle, middle);
        match self.still_since {
            Some(since) if *edge == *self.edge => {
                let suspect = self.moved && now.saturating_duration_since(since) >= self.after;
                suspect && self.is_new((stride, height))
            }
            _ => {
                replace(&mut self.edge, edge);
                self.still_since = Some(now);
                self.moved = false;
                false
            }
        }
    }

    /// How many pictures in a row were the same as the one before, up to now.
    pub(super) const fn same(&self) -> u64 {
        self.same
    }

    /// True if this size was not suspected before.
    fn is_new(&self, size: (usize, usize)) -> bool {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.replace(size) != Some(size)
    }
}

/// Copies without allocating once the size is known.
fn replace(into: &mut Vec<u8>, from: &[u8]) {
    into.clear();
    into.extend_from_slice(from);
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRIDE: usize = 30;
    const HEIGHT: usize = 40;

    /// A picture whose middle and lower edge have these values.
    fn picture(middle: u8, edge: u8) -> Vec<u8> {
        let mut picture = vec![0; STRIDE * HEIGHT];
        picture[STRIDE * HEIGHT / 2..][..STRIDE].fill(middle);
        picture[STRIDE * (HEIGHT - 1)..].fill(edge);
        picture
    }

    /// The seconds at which a stream of one picture a second was suspected.
    fn suspected(learned: &Learned, pictures: impl IntoIterator<Item = Vec<u8>>) -> Vec<u64> {
        let mut edge = Edge::new(Arc::clone(learned), Duration::from_secs(30));
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut pictures = (0_u64..).zip(pictures);
        std::iter::from_fn(|| pictures.by_ref().find(|(n, picture)| edge.suspects(picture, HEIGHT, at(*n))))
            .map(|(n, _)| n)
            .collect()
    }

    #[test]
    fn an_edge_that_stands_still_below_a_moving_middle_is_suspected_once() {
        let learned = Learned::default();
        let shrunk = || (0..100).map(|n| picture(n, if n < 10 { n } else { 9 }));
        assert_eq!(suspected(&learned, shrunk()), [39]);
        assert_eq!(suspected(&learned, shrunk()), [0; 0], "the same size after opening anew: it is innocent");
    }

    #[test]
    fn a_moving_edge_and_a_wholly_still_picture_are_not_suspected() {
        let learned = Learned::default();
        assert_eq!(suspected(&learned, (0..100).map(|n| picture(n, n))), [0; 0]);
        let mut edge = Edge::new(learned.clone(), Duration::MAX);
        for n in 0..50_u8 {
            assert!(!edge.suspects(&picture(n.min(20), 5), HEIGHT, Instant::now()));
        }
        assert_eq!(edge.same(), 29);
        // Still as a whole is frozen, and that is judged elsewhere.
        assert_eq!(suspected(&learned, (0..100).map(|_| picture(5, 5))), [0; 0]);
    }
}

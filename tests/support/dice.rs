//! Choices for the stories of random kills: repeatable by their seed.

/// Xorshift: all that is needed to spread some choices.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number under `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

//! A small generator with a fixed seed: training gives the same bytes every time and everywhere.

/// Xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        (self.next() >> 32) % 100 < percent
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from((self.next() >> 32) % bound as u64).unwrap_or(0)
    }

    /// One of the items, or nothing of an empty list.
    pub(crate) fn pick(&mut self, items: &[String]) -> String {
        if items.is_empty() { String::new() } else { items[self.below(items.len())].clone() }
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// e^x from basic operations only, which are the same on every machine; 0 below -87.
pub(crate) fn exp(x: f32) -> f32 {
    if x < -87.0 {
        return 0.0;
    }
    let n = (x * std::f32::consts::LOG2_E).round();
    let r = x - n * std::f32::consts::LN_2;
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0)))));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "n is between -126 and 127")]
    let power = f32::from_bits(((n.min(127.0) as i32 + 127) as u32) << 23);
    series * power
}

//! Chance that can be repeated. Pure.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose what fails, and when.
#[derive(Debug, Clone, Copy)]
pub struct Seeded(u64);

impl Seeded {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Of one purpose of a seed: different purposes do not follow each other.
    pub fn of(seed: u64, purpose: u64) -> Self {
        let mut mixed = Self(seed ^ purpose.wrapping_mul(0xD1B5_4A32_D192_ED03));
        Self(mixed.next_u64())
    }

    /// From a seed and whatever tells this draw from others: so a draw does not move when others are left out.
    pub fn of_all(parts: &[u64]) -> Self {
        let mut seeded = Self(0x9E37_79B9_7F4A_7C15);
        for part in parts {
            seeded.0 ^= part;
            seeded.0 = seeded.next_u64();
        }
        seeded
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without it; 0 where there is nothing to choose from.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next_u64() % end }
    }

    /// From `from` to `to`, both among them.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// The index of one of `count` things.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or(0)
    }

    /// True so many times in a thousand.
    pub fn per_mille(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_gives_others() {
        let numbers = |mut seeded: Seeded| (0..5).map(|_| seeded.next_u64()).collect::<Vec<_>>();
        assert_eq!(numbers(Seeded::new(7)), numbers(Seeded::new(7)));
        assert_ne!(numbers(Seeded::new(7)), numbers(Seeded::new(8)));
        assert_ne!(numbers(Seeded::of(7, 1)), numbers(Seeded::of(7, 2)));
    }
}

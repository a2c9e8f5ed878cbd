//! Rounds, medians, quantiles and spreads.

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Rounds of every figure.
    pub rounds: usize,
    divisor: u64,
}

impl Scale {
    /// What counts. The median of fewer rounds says little on a machine that others use too.
    pub const WHOLE: Self = Self { rounds: 5, divisor: 1 };
    /// To see that all of it works; its figures say nothing.
    pub const QUICK: Self = Self { rounds: 1, divisor: 40 };

    /// Whether its figures count.
    pub fn counts(self) -> bool {
        self == Self::WHOLE
    }

    /// So many, of what a whole measurement has.
    pub fn of(self, whole: u64) -> u64 {
        (whole / self.divisor).max(1)
    }
}

/// A figure over several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one: this is quoted.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of `values`; all zero when there are none.
    pub fn of(values: &[f64]) -> Self {
        let sorted = sorted(values.to_vec());
        Self {
            min: sorted.first().copied().unwrap_or_default(),
            median: quantile(&sorted, 0.5),
            max: sorted.last().copied().unwrap_or_default(),
        }
    }
}

/// From the smallest to the largest.
pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The value below which the share `q` of `sorted` lies (nearest rank).
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "a rank in a list of measurements"
)]
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

/// So many a second.
#[allow(clippy::cast_precision_loss, clippy::float_arithmetic, reason = "a rate of things that were counted")]
pub fn per_second(count: u64, took: std::time::Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_five_is_the_third() {
        let spread = Spread::of(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread, Spread { min: 1.0, median: 3.0, max: 5.0 });
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.99), 99.0);
        assert_eq!(quantile(&sorted, 1.0), 100.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}

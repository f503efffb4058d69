//! A few numbers that summarize many. Pure.

/// The summary of a series of times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Half of the runs were faster.
    pub median: f64,
    /// The fastest.
    pub min: f64,
    /// Nine of ten were at least as fast.
    pub p90: f64,
}

impl Figures {
    /// The figures of `samples`; `None` when there are none.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, last) = (*sorted.first()?, sorted.len() - 1);
        let median = (sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0;
        Some(Self { median, min, p90: sorted[(sorted.len() * 9).div_ceil(10) - 1] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: &[f64], expected: [f64; 3]) {
        let [median, min, p90] = expected;
        assert_eq!(Figures::of(samples), Some(Figures { median, min, p90 }), "{samples:?}");
    }

    #[test]
    fn median_min_and_p90() {
        check(&[3.0], [3.0, 3.0, 3.0]);
        check(&[4.0, 1.0], [2.5, 1.0, 4.0]);
        check(&[9.0, 1.0, 2.0], [2.0, 1.0, 9.0]);
        let tenths: Vec<f64> = (1..=10).map(f64::from).collect();
        check(&tenths, [5.5, 1.0, 9.0]);
        assert_eq!(Figures::of(&[]), None);
    }
}

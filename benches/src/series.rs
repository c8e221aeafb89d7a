//! Medians and percentiles.

use std::time::Duration;

/// The value that `share` (0 to 1) of `values` do not exceed; 0 where there are none.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let rank = Duration::from_secs(last as u64)
        .mul_f64(share)
        .as_secs_f64()
        .round();
    // The rank is one of the indices counted up to, so that no float is turned into an index.
    (0_u32..)
        .zip(&sorted)
        .find(|(index, _)| f64::from(*index) >= rank)
        .map_or(0.0, |(_, value)| *value)
}

/// The middle one; 0 where there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// Between what, in 95 of 100 cases, the median lies of which `values` are a sample: no distribution is taken for granted, only that a value is as
/// likely to be above it as below (sign test).
pub(crate) fn between(values: &[f64]) -> (f64, f64) {
    let count = u32::try_from(values.len()).map_or(f64::NAN, f64::from);
    // Of n tosses 95 of 100 come out within 1.96 standard deviations, √n / 2 each, of n / 2.
    let outside = ((count - 1.96 * count.sqrt()) / 2.0).floor().max(0.0);
    let share = outside / (count - 1.0).max(1.0);
    (percentile(values, share), percentile(values, 1.0 - share))
}

/// How often `count` goes into the time.
pub(crate) fn rate(count: usize, time: Duration) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from) / time.as_secs_f64()
}

/// In milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let found = [0.0, 0.99, 1.0].map(|share| percentile(&values, share).to_string());
        assert_eq!(found, ["1", "99", "100"]);
        assert_eq!(
            [median(&[3.0, 1.0, 2.0]), median(&[])].map(|median| median.to_string()),
            ["2", "0"]
        );
    }

    #[test]
    fn a_median_lies_between_values_that_come_closer_the_more_there_are() {
        let values = |count: u32| (1..=count).map(f64::from).collect::<Vec<_>>();
        let found = [1, 3, 30, 100].map(|count| between(&values(count)));
        // Of 30 the 10th and the 21st, of 100 the 41st and the 60th: tables of the sign test.
        let known = [(1.0, 1.0), (1.0, 3.0), (10.0, 21.0), (41.0, 60.0)];
        assert_eq!(format!("{found:?}"), format!("{known:?}"));
    }

    #[test]
    fn a_rate_is_a_count_over_seconds() {
        assert_eq!(rate(500, Duration::from_millis(250)).to_string(), "2000");
    }
}

//! How long to wait after failures: 1 s, doubling to 5 min, less a fifth by chance so that many keys do not come back together. It never gives up.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);

/// The delay after so many failures in a row (at least one). `random` is uniform in 0 to 1; the delay is the more the less of it.
pub fn delay(failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let full = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    full.mul_f64(1.0 - 0.2 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_one_second_to_five_minutes() {
        let seconds: Vec<u64> = (0..12)
            .map(|failures| delay(failures, 0.0).as_secs())
            .collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(delay(u32::MAX, 0.0), LONGEST);
    }

    #[test]
    fn chance_takes_away_a_fifth_at_most() {
        assert_eq!(delay(1, 1.0), Duration::from_millis(800));
        assert_eq!(delay(1, 0.5), Duration::from_millis(900));
        assert_eq!(delay(99, 1.0), Duration::from_mins(4));
        assert_eq!(delay(1, 7.0), Duration::from_millis(800));
    }
}

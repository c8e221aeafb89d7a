//! Delays that double, with jitter, so that many clients of one server do not come back in step.

use std::time::Duration;

use tokio::time::Instant;

/// A series of delays.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
    /// No more delays after this.
    end: Option<Instant>,
}

// === impl Backoff ===

impl Backoff {
    /// From `first`, doubling up to `max`, without end.
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            next: first,
            end: None,
        }
    }

    /// For a server that asks for patience: 100 ms to 5 s, for `patience` in all.
    pub(super) fn patient(patience: Duration) -> Self {
        let mut backoff = Self::new(Duration::from_millis(100), Duration::from_secs(5));
        backoff.end = Some(Instant::now() + patience);
        backoff
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// Three quarters to all of the next delay.
    pub(super) fn next(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.max);
        delay.mul_f64(0.75 + fastrand::f64() / 4.0)
    }

    /// As [`Self::next`]; `None` where that would go past the end.
    pub(super) fn next_in_time(&mut self) -> Option<Duration> {
        let delay = self.next();
        let is_late = self.end.is_some_and(|end| Instant::now() + delay > end);
        (!is_late).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for want in [100, 200, 400, 800, 1600, 2000, 2000] {
            let got = backoff.next();
            let want = Duration::from_millis(want);
            assert!(
                got <= want && got >= want.mul_f64(0.75),
                "{got:?} for {want:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let start = Instant::now();
        let mut backoff = Backoff::patient(Duration::from_secs(30));
        while let Some(delay) = backoff.next_in_time() {
            tokio::time::sleep(delay).await;
        }
        let took = start.elapsed();
        assert!(
            took > Duration::from_secs(20) && took <= Duration::from_secs(30),
            "{took:?}"
        );
    }
}

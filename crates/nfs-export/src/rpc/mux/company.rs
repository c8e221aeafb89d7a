//! When a call waits for company before it is sent.
//!
//! Sending is most of what a call costs, and costs a few calls at once hardly more than one. Where many calls are in flight and their replies come
//! thick and fast, each reply brings its caller's next call: that one waits until a few are together, for two milliseconds at most. A call alone, and
//! one to a server that takes its time, is sent at once.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Calls that go together at most.
const TOGETHER: usize = 8;
/// Of so many calls in flight, one goes together with others.
const SHARE: usize = 2;
/// A call waits no longer than that.
const PATIENCE: Duration = Duration::from_millis(2);

/// Whether replies come fast, and since when a call waits.
#[derive(Debug)]
pub(super) struct Company {
    /// Time between two reads that found something, a moving mean.
    gap: Duration,
    waits: bool,
    timer: Pin<Box<Sleep>>,
}

// === impl Company ===

impl Company {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            gap: PATIENCE,
            waits: false,
            timer: Box::pin(sleep_until(now)),
        }
    }

    /// Something was read, so long after what came before.
    pub(super) fn heard(&mut self, gap: Duration) {
        self.gap = (self.gap * 7 + gap.min(PATIENCE)) / 8;
    }

    /// Whether `held` calls are to wait for more while `sent` ones are unanswered. The task is woken when they have waited enough.
    pub(super) fn is_awaited(
        &mut self,
        held: usize,
        sent: usize,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> bool {
        let enough = ((sent + held) / SHARE).min(TOGETHER);
        let missing = u32::try_from(enough.saturating_sub(held)).unwrap_or(u32::MAX);
        if held == 0 || missing == 0 || self.gap.saturating_mul(missing) > PATIENCE / 2 {
            self.waits = false;
            return false;
        }
        if !self.waits {
            self.waits = true;
            self.timer.as_mut().reset(now + PATIENCE);
        }
        if self.timer.as_mut().poll(cx) == Poll::Pending {
            return true;
        }
        self.waits = false;
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn waits(company: &mut Company, held: usize, sent: usize) -> bool {
        poll_fn(|cx| Poll::Ready(company.is_awaited(held, sent, Instant::now(), cx))).await
    }

    fn mk_company(gap: Duration) -> Company {
        let mut company = Company::new(Instant::now());
        for _ in 0..100 {
            company.heard(gap);
        }
        company
    }

    #[tokio::test(start_paused = true)]
    async fn few_calls_are_sent_at_once_and_many_in_company() {
        let mut company = mk_company(Duration::from_micros(20));
        for (held, sent, expected) in [
            (0, 100, false),
            (1, 0, false),
            (1, 2, false),
            (1, 3, true),
            (2, 3, false),
            (3, 5, true),
            (4, 4, false),
            (1, 31, true),
            (7, 25, true),
            (8, 24, false),
            (8, 120, false),
        ] {
            assert_eq!(
                waits(&mut company, held, sent).await,
                expected,
                "{held} beside {sent}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_its_time_is_not_made_to_wait() {
        let mut company = mk_company(Duration::from_millis(5));
        assert!(!waits(&mut company, 1, 100).await);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_its_patience() {
        let mut company = mk_company(Duration::from_micros(20));
        let begin = Instant::now();
        poll_fn(|cx| {
            let now = Instant::now();
            if company.is_awaited(1, 100, now, cx) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        assert_eq!(begin.elapsed(), PATIENCE);
        assert!(
            waits(&mut company, 1, 100).await,
            "the next one may wait again"
        );
    }
}

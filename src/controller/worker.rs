//! The loop that takes keys from a queue and works on a bounded number of them at once in each lane.

use std::hash::Hash;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug};

use super::lanes::Lanes;
use super::queue::{Done, Queue};
use crate::telemetry::health::Heart;

/// The work on one queue.
pub(super) struct Work<'a, K, S, I> {
    /// Where keys come from and go back to.
    pub(super) queue: &'a Queue<K>,
    /// Attempts at once at most, in each lane.
    pub(super) limit: usize,
    /// The lane of a key: what hangs in one keeps nobody waiting in another.
    pub(super) lane: I,
    /// Beats while the loop turns.
    pub(super) heart: &'a Heart,
    /// What the log lines of a key's attempts have in common.
    pub(super) span: S,
}

// === impl Work ===

impl<K, S, L, I> Work<'_, K, S, I>
where
    K: Clone + Eq + Hash,
    S: Fn(&K) -> Span,
    L: Clone + Eq + Hash,
    I: Fn(&K) -> L,
{
    /// Works on the keys of the queue. Once `drain` is cancelled no key is taken any more and the attempts under way are finished. Dropping the
    /// future cuts them off where they are; every attempt can be repeated, so the next leader finishes them.
    pub(super) async fn run<F>(self, drain: &CancellationToken, attempt: impl Fn(K) -> F)
    where
        F: Future<Output = Done>,
    {
        let mut lanes = Lanes::new(self.limit);
        let mut running = FuturesUnordered::new();
        let mut beats = self.heart.beats();
        let start = |lane: L, key: K| {
            let span = (self.span)(&key);
            let attempt = attempt(key.clone()).instrument(span.clone());
            async move { (lane, key, span, attempt.await) }
        };
        while !drain.is_cancelled() || !running.is_empty() {
            tokio::select! {
                key = self.queue.next(), if !drain.is_cancelled() => {
                    let lane = (self.lane)(&key);
                    match lanes.enter(lane.clone(), key.clone()) {
                        Some(key) => running.push(start(lane, key)),
                        None => self.queue.put_off(&key),
                    }
                }
                Some((lane, key, span, how)) = running.next() => {
                    if let Some(delay) = self.queue.done(&key, how) && delay > Duration::ZERO {
                        span.in_scope(|| debug!(?delay, "again later"));
                    }
                    if !drain.is_cancelled() && let Some(next) = lanes.leave(&lane) {
                        self.queue.resume(&next);
                        running.push(start(lane, next));
                    }
                }
                () = beats.next() => {}
                () = drain.cancelled(), if !drain.is_cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::telemetry::health::{Health, PATIENCE};

    fn mk_heart() -> Heart {
        Health::default().heart("workers", PATIENCE)
    }

    fn mk_work<'a, K>(
        queue: &'a Queue<K>,
        limit: usize,
        heart: &'a Heart,
    ) -> Work<'a, K, impl Fn(&K) -> Span, impl Fn(&K)> {
        Work {
            queue,
            limit,
            lane: |_: &K| (),
            heart,
            span: |_: &K| Span::none(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn workers_without_work_and_those_with_a_long_one_are_alive() {
        let queue = Queue::new(|_| Duration::from_secs(1));
        queue.open();
        queue.add("takes hours");
        let (health, drain) = (Health::default(), CancellationToken::new());
        for limit in [1, 2] {
            let heart = health.heart("workers", PATIENCE);
            let work = mk_work(&queue, limit, &heart);
            let run = work.run(&drain, |_| std::future::pending());
            let look = async {
                for _ in 0..3600 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    assert!(health.alive().is_well());
                }
            };
            tokio::select! {
                () = run => panic!("nobody asked it to end"),
                () = look => {}
            }
        }
    }

    #[test]
    fn workers_that_are_blocked_are_dead_until_they_turn_again() {
        let threads = || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).enable_all().build().unwrap()
        };
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (health, runtime, drain) = (Health::default(), threads(), CancellationToken::new());
        let heart = health.heart("workers", Duration::from_millis(200));
        let ended = drain.clone();
        let blocked = std::sync::Mutex::new(blocked);
        let workers = runtime.spawn(async move {
            let queue = Queue::new(|_| Duration::from_secs(1));
            queue.open();
            queue.add("blocks its thread");
            let attempt = |_| async {
                let _ = blocked.lock().unwrap().recv();
                Done::Settled
            };
            mk_work(&queue, 1, &heart).run(&ended, attempt).await;
        });
        let until = |is_well: bool| {
            let begin = std::time::Instant::now();
            while health.alive().is_well() != is_well {
                assert!(
                    begin.elapsed() < Duration::from_secs(20),
                    "still {}",
                    !is_well
                );
                std::thread::yield_now();
            }
        };
        until(false);
        release.send(()).unwrap();
        until(true);
        drain.cancel();
        runtime.block_on(workers).unwrap();
        assert!(health.alive().0.is_empty(), "ended in order");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_run_at_once_and_draining_finishes_them() {
        let queue = Queue::new(|_| Duration::from_secs(1));
        queue.open();
        for key in 0..10 {
            queue.add(key);
        }
        let (gate, drain) = (Semaphore::new(0), CancellationToken::new());
        let (now, most, finished) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let attempt = |_| async {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            let _permit = gate.acquire().await;
            now.set(now.get() - 1);
            finished.set(finished.get() + 1);
            Done::Settled
        };
        let drive = async {
            while now.get() < 3 {
                tokio::task::yield_now().await;
            }
            drain.cancel();
            gate.add_permits(10);
        };
        let heart = mk_heart();
        let work = mk_work(&queue, 3, &heart);
        tokio::join!(work.run(&drain, attempt), drive);
        assert_eq!((most.get(), finished.get()), (3, 3));
        assert_eq!(queue.depth().ready, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_key_comes_back() {
        let queue = Queue::new(|_| Duration::from_secs(1));
        queue.open();
        queue.add("a");
        let drain = CancellationToken::new();
        let tries = Cell::new(0);
        let heart = mk_heart();
        let work = mk_work(&queue, 4, &heart);
        work.run(&drain, |_| {
            tries.set(tries.get() + 1);
            let how = if tries.get() < 3 {
                Done::Failed
            } else {
                Done::Settled
            };
            if how == Done::Settled {
                drain.cancel();
            }
            std::future::ready(how)
        })
        .await;
        assert_eq!(tries.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_in_one_lane_keeps_nobody_waiting_in_another() {
        let queue = Queue::new(|_| Duration::from_secs(1));
        queue.open();
        for key in 0..10 {
            queue.add(("hangs", key));
        }
        queue.add(("works", 0));
        let drain = CancellationToken::new();
        let attempt = |(lane, _)| {
            let drain = &drain;
            async move {
                if lane == "hangs" {
                    drain.cancelled().await;
                } else {
                    drain.cancel();
                }
                Done::Settled
            }
        };
        let heart = mk_heart();
        let work = Work {
            queue: &queue,
            limit: 3,
            lane: |(lane, _): &(&'static str, i32)| *lane,
            heart: &heart,
            span: |_: &_| Span::none(),
        };
        work.run(&drain, attempt).await;
        assert_eq!(queue.depth().ready, 7, "those that waited for their lane");
    }
}

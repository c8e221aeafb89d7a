//! The loop that takes keys from a queue and works on a bounded number of them at once.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::queue::{Done, Queue};

/// Works on the keys of `queue`, at most `limit` at once.
///
/// Once `drain` is cancelled no key is taken any more and the attempts under way are finished. Dropping the future cuts them off
/// where they are; every attempt can be repeated, so the next leader finishes them.
pub(super) async fn work<K, F>(
    queue: &Queue<K>,
    limit: usize,
    drain: &CancellationToken,
    attempt: impl Fn(K) -> F,
) where
    K: Clone + Debug + Eq + Hash,
    F: Future<Output = Done>,
{
    let mut running = FuturesUnordered::new();
    loop {
        let takes = running.len() < limit && !drain.is_cancelled();
        tokio::select! {
            key = queue.next(), if takes => {
                let attempt = attempt(key.clone());
                running.push(async move { (key, attempt.await) });
            }
            Some((key, how)) = running.next() => {
                if let Some(delay) = queue.done(&key, how) && delay > Duration::ZERO {
                    debug!(?key, ?delay, "again later");
                }
            }
            () = drain.cancelled(), if takes => {}
            else => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Semaphore;

    use super::*;

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
        tokio::join!(work(&queue, 3, &drain, attempt), drive);
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
        work(&queue, 4, &drain, |_| {
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
}

//! What the leader before did last: seen before the first directory is taken away, once a term.
//!
//! A standby's stores are kept by watches, and a watch may be behind without knowing it: then a directory that the leader before has handed out again
//! looks like nobody's. One list of all volumes, begun in this term, shows everything that earlier terms have made. It is not made before
//! a deletion needs it, so taking over costs no list, and provisioning never waits for it.
//!
//! So it is with a volume of this term whose creation got no answer, where others may have a part in its directory: one more list shows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::stores::Stores;

/// Between the end of one list and the beginning of the next: tens of thousands of volumes take the API server a while, above all one in trouble.
const FLOOR: Duration = Duration::from_secs(5);

/// Whether the volumes were seen afresh since the last time that any may have been made unseen.
#[derive(Debug)]
pub struct Hindsight {
    /// How often any may have been made unseen.
    forgotten: AtomicU64,
    /// How many of those times the last list came after.
    cleared: AtomicU64,
    /// When the last list ended; who holds it lists.
    listed: Mutex<Option<Instant>>,
}

// === impl Hindsight ===

impl Default for Hindsight {
    fn default() -> Self {
        Self {
            forgotten: AtomicU64::new(1),
            cleared: AtomicU64::new(0),
            listed: Mutex::default(),
        }
    }
}

impl Hindsight {
    /// Whether nothing that was made unseen can be missing any more.
    pub fn is_clear(&self) -> bool {
        self.cleared.load(Ordering::SeqCst) >= self.forgotten.load(Ordering::SeqCst)
    }

    /// Lists the volumes if any may be missing, whoever asks first; the others wait for the same list. One list at a time, and not one right after the other.
    pub async fn clear_up(&self, stores: &Stores) {
        self.clear_up_by(|| stores.see_volumes_afresh()).await;
    }

    async fn clear_up_by<F: Future<Output = ()>>(&self, list: impl FnOnce() -> F) {
        if self.is_clear() {
            return; // even while others list
        }
        let needed = self.forgotten.load(Ordering::SeqCst);
        let mut listed = self.listed.lock().await;
        if self.cleared.load(Ordering::SeqCst) >= needed {
            return;
        }
        if let Some(at) = *listed {
            sleep_until(at + FLOOR).await;
        }
        let covered = self.forgotten.load(Ordering::SeqCst);
        list().await;
        self.cleared.fetch_max(covered, Ordering::SeqCst);
        *listed = Some(Instant::now());
    }

    /// As in a term that has seen all volumes.
    #[cfg(test)]
    pub(super) fn cleared() -> Self {
        let hindsight = Self::default();
        hindsight.cleared.store(1, Ordering::SeqCst);
        hindsight
    }

    /// A term begins, or a volume may have been made that the store does not show.
    pub(super) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_share_a_list_and_lists_keep_a_distance() {
        let (hindsight, lists) = (Hindsight::default(), Cell::new(0));
        let begin = Instant::now();
        let ask = || {
            hindsight.clear_up_by(|| async {
                lists.set(lists.get() + 1);
                tokio::time::sleep(Duration::from_millis(100)).await;
            })
        };
        join_all((0..50).map(|_| ask())).await;
        assert_eq!(
            (lists.get(), begin.elapsed()),
            (1, Duration::from_millis(100))
        );
        assert!(hindsight.is_clear());
        // Many doubts at once are one list, and that one waits.
        let asked = (0..50).map(|_| {
            hindsight.forget();
            ask()
        });
        join_all(asked).await;
        assert_eq!(lists.get(), 2);
        assert!(hindsight.is_clear());
        assert!(begin.elapsed() >= FLOOR);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_during_a_list_needs_another() {
        let hindsight = Hindsight::default();
        hindsight.clear_up_by(|| async { hindsight.forget() }).await;
        assert!(!hindsight.is_clear());
        hindsight.clear_up_by(|| async {}).await;
        assert!(hindsight.is_clear());
    }
}

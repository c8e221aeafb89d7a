//! Keyed work: each key at most once at a time, a failure count and a delay for each, and a way to end many delays at once.
//!
//! ```text
//! add ──> ready ──next──> working ──done──> (forgotten)
//!           ^                │ add meanwhile: ready again when done
//!           └── delayed <────┘ retry
//! ```
//! A key that has no lane free is put off by the worker, and counts as ready until it is resumed.
//! Refuses to know what the keys mean or what the work is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How one attempt at a key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing left to do: the failure count starts anew.
    Settled,
    /// Look again after the delay; not a failure.
    Later(Duration),
    /// Failed: look again after a delay that the queue computes from the failure count.
    Failed,
}

/// Work waiting, by key. All methods take `&self`; one task calls [`Queue::next`].
#[derive(Debug)]
pub struct Queue<K> {
    inner: Mutex<Inner<K>>,
    changed: Notify,
    backoff: fn(u32) -> Duration,
}

/// What the queue holds now; for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Keys that could be worked on at once.
    pub ready: usize,
    /// Keys that wait for their delay.
    pub delayed: usize,
    /// Keys being worked on.
    pub working: usize,
    /// Attempts after a failure since the start.
    pub retries: u64,
}

#[derive(Debug)]
struct Inner<K> {
    open: bool,
    entries: HashMap<K, Entry>,
    ready: VecDeque<K>,
    delayed: BTreeMap<(Instant, u64), K>,
    sequence: u64,
    working: usize,
    put_off: usize,
    retries: u64,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ready,
    Delayed((Instant, u64)),
    Working { again: bool },
}

// === impl Queue ===

impl<K: Clone + Eq + Hash> Queue<K> {
    /// An empty queue, closed; `backoff` turns a failure count (1 and up) into a delay.
    pub fn new(backoff: fn(u32) -> Duration) -> Self {
        Self {
            inner: Mutex::new(Inner::new()),
            changed: Notify::new(),
            backoff,
        }
    }

    /// Something about the key changed: it is ready now, or again once the attempt under way ends.
    pub fn add(&self, key: K) {
        self.lock().add(key);
        self.changed.notify_one();
    }

    /// The next key that is ready; it counts as being worked on until [`Queue::done`]. Dropping the future takes nothing.
    pub async fn next(&self) -> K {
        loop {
            let wake = match self.lock().take(Instant::now()) {
                Ok(key) => return key,
                Err(wake) => wake,
            };
            match wake {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, self.changed.notified()).await;
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Ends an attempt; returns the delay until the next, if there is to be one.
    pub fn done(&self, key: &K, how: Done) -> Option<Duration> {
        let delay = self.lock().done(key, how, self.backoff);
        self.changed.notify_one();
        delay
    }

    /// A key that [`Queue::next`] gave is not worked on yet: it counts as ready, and whoever has it begins with [`Queue::resume`].
    pub fn put_off(&self, key: &K) {
        let mut inner = self.lock();
        if inner.set_place(key, Place::Ready) {
            inner.working -= 1;
            inner.put_off += 1;
        }
    }

    /// Begins the work on a key that was put off.
    pub fn resume(&self, key: &K) {
        let mut inner = self.lock();
        if inner.set_place(key, Place::Working { again: false }) {
            inner.put_off -= 1;
            inner.working += 1;
        }
    }

    /// Ends every delay, and starts every failure count anew: what held the work up is gone.
    pub fn wake_all(&self) {
        self.lock().wake_all();
        self.changed.notify_one();
    }

    /// Takes keys from here on; until then, and after [`Queue::close`], they are dropped.
    pub fn open(&self) {
        self.lock().open = true;
    }

    /// Forgets everything, attempts under way included, and takes no keys: a process that does not lead has no work, and must not gather any.
    pub fn close(&self) {
        let mut inner = self.lock();
        let retries = inner.retries;
        *inner = Inner::new();
        inner.retries = retries;
    }

    /// What the queue holds now.
    pub fn depth(&self) -> Depth {
        let inner = self.lock();
        Depth {
            ready: inner.ready.len() + inner.put_off,
            delayed: inner.delayed.len(),
            working: inner.working,
            retries: inner.retries,
        }
    }

    /// A poisoned lock means that a panic cut an update short; the maps are still maps, so the work goes on.
    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl<K: Clone + Eq + Hash> Inner<K> {
    fn new() -> Self {
        Self {
            open: false,
            entries: HashMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            sequence: 0,
            working: 0,
            put_off: 0,
            retries: 0,
        }
    }

    fn add(&mut self, key: K) {
        if !self.open {
            return;
        }
        match self.entries.get_mut(&key) {
            None => {
                self.entries.insert(
                    key.clone(),
                    Entry {
                        place: Place::Ready,
                        failures: 0,
                    },
                );
                self.ready.push_back(key);
            }
            Some(entry) => match entry.place {
                Place::Ready => {}
                Place::Working { .. } => entry.place = Place::Working { again: true },
                Place::Delayed(slot) => {
                    entry.place = Place::Ready;
                    self.delayed.remove(&slot);
                    self.ready.push_back(key);
                }
            },
        }
    }

    /// A ready key, or else the time at which the first delayed one becomes ready.
    fn take(&mut self, now: Instant) -> Result<K, Option<Instant>> {
        while let Some(slot) = self.delayed.first_entry() {
            if slot.key().0 > now {
                break;
            }
            let key = slot.remove();
            self.set_place(&key, Place::Ready);
            self.ready.push_back(key);
        }
        let Some(key) = self.ready.pop_front() else {
            return Err(self.delayed.keys().next().map(|(at, _)| *at));
        };
        self.set_place(&key, Place::Working { again: false });
        self.working += 1;
        Ok(key)
    }

    /// Whether the key is known.
    fn set_place(&mut self, key: &K, place: Place) -> bool {
        let entry = self.entries.get_mut(key);
        entry.map(|entry| entry.place = place).is_some()
    }

    fn done(&mut self, key: &K, how: Done, backoff: fn(u32) -> Duration) -> Option<Duration> {
        self.working = self.working.saturating_sub(1);
        let entry = self.entries.get_mut(key)?;
        let again = entry.place == Place::Working { again: true };
        let delay = match how {
            Done::Settled => {
                entry.failures = 0;
                None
            }
            Done::Later(delay) => Some(delay),
            Done::Failed => {
                entry.failures = entry.failures.saturating_add(1);
                self.retries += 1;
                Some(backoff(entry.failures))
            }
        };
        match (again, delay) {
            (true, _) => {
                entry.place = Place::Ready;
                self.ready.push_back(key.clone());
                Some(Duration::ZERO)
            }
            (false, None) => {
                self.entries.remove(key);
                None
            }
            (false, Some(delay)) => {
                self.sequence += 1;
                let slot = (Instant::now() + delay, self.sequence);
                entry.place = Place::Delayed(slot);
                self.delayed.insert(slot, key.clone());
                Some(delay)
            }
        }
    }

    fn wake_all(&mut self) {
        for (_, key) in std::mem::take(&mut self.delayed) {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.place = Place::Ready;
                entry.failures = 0;
            }
            self.ready.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_queue() -> Queue<&'static str> {
        let queue = Queue::new(|failures| Duration::from_secs(1 << (failures - 1)));
        queue.open();
        queue
    }

    async fn next_within(queue: &Queue<&'static str>, limit: Duration) -> Option<&'static str> {
        tokio::time::timeout(limit, queue.next()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_twice_is_worked_on_once() {
        let queue = mk_queue();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        assert_eq!(next_within(&queue, Duration::from_secs(60)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_during_the_work_brings_the_key_back_at_once() {
        let queue = mk_queue();
        queue.add("a");
        queue.next().await;
        queue.add("a");
        assert_eq!(queue.done(&"a", Done::Settled), Some(Duration::ZERO));
        assert_eq!(next_within(&queue, Duration::ZERO).await, Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_double_the_delay_and_success_forgets_them() {
        let queue = mk_queue();
        queue.add("a");
        for expected in [1, 2, 4] {
            queue.next().await;
            assert_eq!(
                queue.done(&"a", Done::Failed),
                Some(Duration::from_secs(expected))
            );
        }
        queue.next().await;
        assert_eq!(queue.done(&"a", Done::Settled), None);
        queue.add("a");
        queue.next().await;
        assert_eq!(queue.done(&"a", Done::Failed), Some(Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn waking_ends_delays_and_forgets_failures() {
        let queue = mk_queue();
        queue.add("a");
        queue.next().await;
        queue.done(&"a", Done::Later(Duration::from_secs(3600)));
        assert_eq!(next_within(&queue, Duration::from_secs(60)).await, None);
        queue.wake_all();
        assert_eq!(next_within(&queue, Duration::ZERO).await, Some("a"));
        assert_eq!(queue.done(&"a", Done::Failed), Some(Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_a_delayed_key_does_not_wait_for_the_delay() {
        let queue = mk_queue();
        queue.add("a");
        queue.next().await;
        queue.done(&"a", Done::Failed);
        queue.add("a");
        assert_eq!(next_within(&queue, Duration::ZERO).await, Some("a"));
        assert_eq!(
            queue.depth(),
            Depth {
                working: 1,
                retries: 1,
                ..Depth::default()
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_queue_gathers_nothing_and_forgets_work_that_was_cut_off() {
        let queue = mk_queue();
        queue.add("cut off");
        queue.next().await;
        queue.close();
        queue.add("dropped");
        queue.open();
        queue.add("cut off");
        assert_eq!(next_within(&queue, Duration::ZERO).await, Some("cut off"));
        assert_eq!(next_within(&queue, Duration::from_secs(60)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_addition_wakes_the_waiter() {
        let queue = std::sync::Arc::new(mk_queue());
        let waiter = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.add("b");
        assert_eq!(waiter.await.expect("the waiter ends"), "b");
    }
}

//! Waits that are a matter of moments: where one lasts, somebody is told, and told again for whoever comes later.
//!
//! Refuses to know what is waited for, and to end a wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a wait may last before anybody is told.
const LONG: Duration = Duration::from_mins(1);

/// How soon to say again why something is refused, or waits. The API server forgets an event after an hour, and its reader may come later.
pub const RETELL: Duration = Duration::from_mins(30);

/// Keys kept at most. Where more wait at a time, it is for the same thing.
const KEYS_MAX: usize = 4096;

/// By key, when to tell of its wait.
#[derive(Debug)]
pub struct Waits<K>(Mutex<HashMap<K, Instant>>);

// === impl Waits ===

impl<K> Default for Waits<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> Waits<K> {
    /// What a look at the key has found: `None` ends its wait, `Some` goes on with it, and is given back when it is time to tell.
    pub fn due(&self, key: &K, message: Option<String>) -> Option<String> {
        let Some(message) = message else {
            self.over(key);
            return None;
        };
        let now = Instant::now();
        let mut keys = self.lock();
        if keys.len() >= KEYS_MAX && !keys.contains_key(key) {
            return None;
        }
        let at = keys.entry(key.clone()).or_insert(now + LONG);
        if *at > now {
            return None;
        }
        *at = now + RETELL;
        Some(message)
    }

    /// Nothing waits under this key any more.
    pub fn over(&self, key: &K) {
        self.lock().remove(key);
    }

    /// Nobody has looked for a while: whatever waits begins anew.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at a wait once a second; returns the seconds at which it was to be told of.
    async fn told(waits: &Waits<&str>, seconds: u64) -> Vec<u64> {
        let mut told = Vec::new();
        for second in 0..seconds {
            told.extend(waits.due(&"a", Some(String::new())).map(|_| second));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        told
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_told_of_after_a_minute_and_every_half_hour() {
        assert_eq!(told(&Waits::default(), 3700).await, [60, 1860, 3660]);
    }

    #[tokio::test(start_paused = true)]
    async fn short_waits_are_not_added_up() {
        let waits = Waits::default();
        for end in [
            |waits: &Waits<_>| waits.over(&"a"),
            |waits: &Waits<_>| waits.clear(),
            |waits: &Waits<_>| assert_eq!(waits.due(&"a", None), None),
        ] {
            assert_eq!(told(&waits, 59).await, [0; 0]);
            end(&waits);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_that_not_all_are_kept_do_not_begin_each_other_anew() {
        let waits = Waits::default();
        let due = |waits: &Waits<usize>| {
            let keys = 0..=KEYS_MAX;
            keys.filter_map(|key| waits.due(&key, Some(String::new())))
                .count()
        };
        assert_eq!(due(&waits), 0);
        tokio::time::advance(LONG).await;
        assert_eq!(due(&waits), KEYS_MAX);
    }
}

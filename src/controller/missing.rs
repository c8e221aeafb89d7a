//! Since when something has been missing, for what may only be late: objects of different kinds come by different watches.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Keys kept at most; more at once are no accident, and waiting anew costs them a moment.
const KEYS_MAX: usize = 4096;

/// By key, when something was first missed.
#[derive(Debug)]
pub struct Missing<K>(Mutex<HashMap<K, Instant>>);

// === impl Missing ===

impl<K: Eq + Hash> Default for Missing<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> Missing<K> {
    /// It is missing now: since when.
    pub fn since(&self, key: &K) -> Duration {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX && !keys.contains_key(key) {
            keys.clear();
        }
        keys.entry(key.clone())
            .or_insert_with(Instant::now)
            .elapsed()
    }

    /// It is there, or nobody looks for it any more.
    pub fn over(&self, key: &K) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_counts_from_the_first_miss_until_it_is_found() {
        let missing = Missing::default();
        assert_eq!(missing.since(&"a"), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(missing.since(&"a"), Duration::from_secs(2));
        missing.over(&"a");
        assert_eq!(missing.since(&"a"), Duration::ZERO);
    }
}

//! The same trouble is said once a minute, with how often it came meanwhile.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Troubles kept in mind at most; when there are more, the one silent the longest is forgotten.
const KNOWN: usize = 1024;

/// Who has been told what, and when.
///
/// ```
/// # use nfs_subdir_external_provisioner::telemetry::log::Repeats;
/// let repeats = Repeats::default();
/// let said = |_repeated: u64| { /* warn!(repeated, "share down") */ };
/// if let Some(repeated) = repeats.say(&"share down") {
///     said(repeated);
/// }
/// assert_eq!(repeats.say(&"share down"), None);
/// ```
#[derive(Debug)]
pub struct Repeats<K> {
    every: Duration,
    known: Mutex<HashMap<K, Said>>,
}

#[derive(Debug, Clone, Copy)]
struct Said {
    at: Instant,
    kept_back: u64,
}

// === impl Repeats ===

impl<K: Eq + Hash + Clone> Repeats<K> {
    /// One line every `every` for each cause.
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            known: Mutex::default(),
        }
    }

    /// Whether to say it now: `Some` with how often it was kept back since it was last said.
    pub fn say(&self, cause: &K) -> Option<u64> {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = known.get_mut(cause) {
            if now.saturating_duration_since(said.at) < self.every {
                said.kept_back += 1;
                return None;
            }
            let kept_back = said.kept_back;
            *said = Said {
                at: now,
                kept_back: 0,
            };
            return Some(kept_back);
        }
        if known.len() >= KNOWN
            && let Some(oldest) = known
                .iter()
                .min_by_key(|(_, said)| said.at)
                .map(|(cause, _)| cause.clone())
        {
            known.remove(&oldest);
        }
        known.insert(
            cause.clone(),
            Said {
                at: now,
                kept_back: 0,
            },
        );
        Some(0)
    }

    /// The trouble is over: the next one is said at once. Returns how often it was kept back since it was last said, or `None`
    /// when nothing had been said.
    pub fn over(&self, cause: &K) -> Option<u64> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(cause)
            .map(|said| said.kept_back)
    }
}

impl<K: Eq + Hash + Clone> Default for Repeats<K> {
    fn default() -> Self {
        Self::new(Duration::from_mins(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cause_is_said_once_a_minute_with_a_count() {
        let repeats = Repeats::default();
        let mut said = Vec::new();
        for second in 0..=125 {
            said.extend(repeats.say(&"down").map(|kept_back| (second, kept_back)));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(said, [(0, 0), (60, 59), (120, 59)]);
    }

    #[tokio::test(start_paused = true)]
    async fn causes_do_not_hide_each_other_and_one_that_is_over_starts_anew() {
        let repeats = Repeats::default();
        assert_eq!(
            (repeats.say(&"a"), repeats.say(&"b"), repeats.say(&"a")),
            (Some(0), Some(0), None)
        );
        assert_eq!((repeats.over(&"a"), repeats.over(&"a")), (Some(1), None));
        assert_eq!((repeats.say(&"a"), repeats.say(&"b")), (Some(0), None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_cause_silent_the_longest_is_forgotten_first() {
        let repeats = Repeats::default();
        for cause in 0..=KNOWN {
            repeats.say(&cause);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!((repeats.say(&0), repeats.say(&KNOWN)), (Some(0), None));
    }
}

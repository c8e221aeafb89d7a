//! Labels whose values others choose, kept to a bound.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// What a value beyond the bound becomes.
const OTHER: &str = "other";

/// The first so many different values are kept, all later ones are `other`, for the life of the process: a series never changes its
/// meaning.
#[derive(Debug)]
pub(super) struct Bounded {
    most: usize,
    seen: Mutex<HashSet<Box<str>>>,
}

// === impl Bounded ===

impl Bounded {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            seen: Mutex::default(),
        })
    }

    /// `value`, or `other` when there have been too many.
    pub(super) fn of<'a>(&self, value: &'a str) -> &'a str {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(value) {
            return value;
        }
        if seen.len() >= self.most {
            return OTHER;
        }
        seen.insert(value.into());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_bound_are_other_and_the_first_ones_stay() {
        let label = Bounded::new(2);
        let said = ["a", "b", "c", "a", "b", "d"].map(|value| label.of(value));
        assert_eq!(said, ["a", "b", OTHER, "a", "b", OTHER]);
    }
}

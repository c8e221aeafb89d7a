//! Values by the place they are at: what is at, above or below a directory is found without a walk over all of them.
//!
//! ```text
//! "SERVER NUL /data/nfs/a" -> [value, value]
//! ```
//! Asking costs a few look-ups: above a directory there are as many places as its path has components, and all below it stand side by side.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::plan::place::{Place, Relation};

/// Values by place; several may be at one.
#[derive(Debug)]
pub struct Places<T>(BTreeMap<Arc<str>, Vec<T>>);

// === impl Places ===

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Places<T> {
    /// Adds `value`, or has it take the place of the one there that is the `same`.
    pub fn put(&mut self, place: &Place, value: T, same: impl Fn(&T) -> bool) {
        let there = self.0.entry(place.key().clone()).or_default();
        if let Some(known) = there.iter_mut().find(|known| same(known)) {
            *known = value;
        } else {
            // Nearly every directory has one, and there are very many.
            there.reserve_exact(1);
            there.push(value);
        }
    }

    /// Removes what is at `place` and is the `same`.
    pub fn remove(&mut self, place: &Place, same: impl Fn(&T) -> bool) {
        let Some(there) = self.0.get_mut(place.key()) else {
            return;
        };
        there.retain(|known| !same(known));
        if there.is_empty() {
            self.0.remove(place.key());
        }
    }

    /// What is at, above or below `place`, with how it lies to that: what is at it first, then what is above, the nearest first.
    pub fn around<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = (Relation, &'a T)> {
        let same = self.0.get(place.key()).map(|there| (Relation::Same, there));
        let above = above(place)
            .filter_map(|key| self.0.get(key.as_str()))
            .map(|there| (Relation::Contains, there));
        let below = self.below(place).map(|there| (Relation::Inside, there));
        let found = same.into_iter().chain(above).chain(below);
        found.flat_map(|(relation, there)| there.iter().map(move |value| (relation, value)))
    }

    fn below(&self, place: &Place) -> impl Iterator<Item = &Vec<T>> {
        let stem = place.key().strip_suffix('/').unwrap_or(place.key());
        // '0' comes next after '/', so that between the two bounds is all that begins with the stem and a slash.
        let (from, to) = (format!("{stem}/"), format!("{stem}0"));
        // The server's root alone ends in a slash, and would find itself.
        let bounds = (Bound::Excluded(from.as_str()), Bound::Excluded(to.as_str()));
        self.0.range::<str, _>(bounds).map(|(_, there)| there)
    }
}

/// The keys of all places above one, the nearest first.
fn above(place: &Place) -> impl Iterator<Item = String> {
    let (server, path) = (place.server(), place.path());
    let ends = path
        .char_indices()
        .rev()
        .filter(|(at, character)| *character == '/' && path.len() > at + 1)
        .map(|(at, _)| at);
    ends.map(move |at| format!("{server}\0{}", if at == 0 { "/" } else { &path[..at] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::mk_place;
    use proptest::prelude::*;

    #[test]
    fn a_value_is_there_until_it_is_removed_and_leaves_nothing_behind() {
        let (mut places, a) = (Places::default(), mk_place("/a"));
        for value in [1, 2, 1] {
            places.put(&a, value, |known| *known == value);
        }
        let all = |places: &Places<i32>| places.around(&a).map(|(_, n)| *n).collect::<Vec<_>>();
        assert_eq!(all(&places), [1, 2]);
        places.remove(&mk_place("/b"), |_| true);
        places.remove(&a, |known| *known == 1);
        assert_eq!(all(&places), [2]);
        places.remove(&a, |known| *known == 2);
        assert!(places.0.is_empty());
    }

    proptest! {
        #[test]
        fn finds_what_a_walk_over_all_finds(paths in proptest::collection::vec("(/[ab!0.-]{1,2}){0,3}", 0..12), asked in "(/[ab!0.-]{1,2}){0,3}") {
            let (asked, mut places) = (mk_place(&format!("/{asked}")), Places::default());
            let all: Vec<_> = paths.iter().map(|path| mk_place(&format!("/{path}"))).enumerate().collect();
            for (number, place) in &all { places.put(place, *number, |known| known == number); }
            let mut expected: Vec<_> = all.iter().filter_map(|(number, place)| Some((place.relation(&asked)?, *number))).collect();
            let mut found: Vec<_> = places.around(&asked).map(|(relation, number)| (relation, *number)).collect();
            expected.sort_by_key(|(_, number)| *number);
            found.sort_by_key(|(_, number)| *number);
            prop_assert_eq!(found, expected);
        }
    }
}

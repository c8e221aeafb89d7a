//! Lanes: as many attempts at once in each as the limit allows, so that what hangs in one lane keeps nobody waiting in another.
//!
//! ```text
//! enter ──> running, up to the limit ──leave──> (the next one that waits)
//!       └─> waiting, first come, first served
//! ```
//! Refuses to know what a lane stands for.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Who runs and who waits, by lane.
#[derive(Debug)]
pub(super) struct Lanes<L, K> {
    limit: usize,
    lanes: HashMap<L, Lane<K>>,
}

#[derive(Debug)]
struct Lane<K> {
    running: usize,
    waiting: VecDeque<K>,
}

// === impl Lanes ===

impl<L: Eq + Hash, K> Lanes<L, K> {
    /// Nobody runs; `limit` of each lane may.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            lanes: HashMap::new(),
        }
    }

    /// `key` may run in `lane` if it is given back; else it waits there.
    pub(super) fn enter(&mut self, lane: L, key: K) -> Option<K> {
        let lane = self.lanes.entry(lane).or_insert(Lane {
            running: 0,
            waiting: VecDeque::new(),
        });
        if lane.running < self.limit {
            lane.running += 1;
            return Some(key);
        }
        lane.waiting.push_back(key);
        None
    }

    /// One that ran in `lane` has ended; returns the one that may run in its place.
    pub(super) fn leave(&mut self, lane: &L) -> Option<K> {
        let left = self.lanes.get_mut(lane)?;
        let next = left.waiting.pop_front();
        if next.is_none() {
            left.running -= 1;
            if left.running == 0 {
                self.lanes.remove(lane);
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_has_its_own_limit_and_order() {
        let mut lanes = Lanes::new(2);
        assert_eq!(lanes.enter("slow", 1), Some(1));
        assert_eq!(lanes.enter("slow", 2), Some(2));
        assert_eq!(lanes.enter("slow", 3), None);
        assert_eq!(lanes.enter("slow", 4), None);
        assert_eq!(lanes.enter("quick", 5), Some(5));
        assert_eq!(lanes.leave(&"quick"), None);
        assert_eq!(lanes.leave(&"slow"), Some(3));
        assert_eq!(lanes.leave(&"slow"), Some(4));
        assert_eq!(lanes.leave(&"slow"), None);
        assert_eq!(lanes.enter("slow", 6), Some(6));
    }

    #[test]
    fn a_lane_in_which_nobody_runs_is_forgotten() {
        let mut lanes = Lanes::new(1);
        for lane in 0..100 {
            lanes.enter(lane, ());
            lanes.leave(&lane);
        }
        assert!(lanes.lanes.is_empty());
    }
}

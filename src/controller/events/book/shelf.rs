//! The events known, each in exactly one stage, and an index for each stage.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::super::job::{Body, Key};

#[derive(Debug, Default)]
pub(super) struct Shelf {
    entries: HashMap<Key, Entry>,
    fresh: VecDeque<Key>,
    due: BTreeSet<(Instant, Key)>,
    /// By when they became idle.
    idle: BTreeMap<u64, Key>,
    /// A few.
    writing: Vec<Key>,
    ticks: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) body: Arc<Body>,
    pub(super) created: bool,
    /// Times it happened.
    pub(super) total: u32,
    /// The count that the API server knows.
    pub(super) written: u32,
    pub(super) last: Timestamp,
    /// Writes that failed since the last that did not.
    pub(super) attempts: u32,
    /// No write of this event before.
    pub(super) not_before: Instant,
    pub(super) stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Never tried.
    Fresh,
    /// To be written, not before this time.
    Due(Instant),
    /// A request is in flight.
    Writing,
    /// All written; the number orders them by age.
    Idle(u64),
}

// === impl Entry ===

impl Entry {
    /// An event that happened once, just now.
    pub(super) fn new(body: Arc<Body>, now: Instant) -> Self {
        Self {
            created: false,
            total: 1,
            written: 0,
            last: body.first,
            attempts: 0,
            not_before: now,
            stage: Stage::Fresh,
            body,
        }
    }
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries.get_mut(&key)
    }

    /// Events that are not idle.
    pub(super) fn pending(&self) -> usize {
        self.entries.len() - self.idle.len()
    }

    pub(super) fn writing(&self) -> usize {
        self.writing.len()
    }

    /// Puts in an event that is not known yet.
    pub(super) fn insert(&mut self, key: Key, entry: Entry) {
        self.entries.insert(key, entry);
        self.fresh.push_back(key);
    }

    /// What is due and no failed attempt waits for.
    pub(super) fn untroubled(&self) -> Vec<Key> {
        let is_untroubled = |key: &Key| {
            self.entries
                .get(key)
                .is_some_and(|entry| entry.attempts == 0)
        };
        self.due
            .iter()
            .map(|&(_, key)| key)
            .filter(is_untroubled)
            .collect()
    }

    /// When the first of those waiting is due.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Takes the next event to write: what is new before what is only counted. The events of one object go one after the other, so that they are
    /// there in the order in which things happened.
    pub(super) fn start(&mut self, now: Instant) -> Option<(Key, &Entry)> {
        let due = || {
            self.due
                .first()
                .filter(|&&(at, _)| at <= now)
                .map(|&(_, key)| key)
        };
        let key = self.fresh.front().copied().or_else(due)?;
        if self.is_told_of(key) {
            return None;
        }
        self.restage(key, Stage::Writing);
        self.entries.get(&key).map(|entry| (key, entry))
    }

    /// Whether another event of the same object is being written.
    fn is_told_of(&self, key: Key) -> bool {
        let object = |key| Some(&self.entries.get(key)?.body.event.regarding.uid);
        self.writing
            .iter()
            .any(|writing| object(writing) == object(&key))
    }

    pub(super) fn schedule(&mut self, key: Key, at: Instant) {
        self.restage(key, Stage::Due(at));
    }

    /// Nothing is owed to `key`; of the idle ones at most `known` are kept, the oldest go.
    pub(super) fn rest(&mut self, key: Key, known: usize) {
        self.ticks += 1;
        self.restage(key, Stage::Idle(self.ticks));
        if self.idle.len() > known
            && let Some((_, oldest)) = self.idle.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    pub(super) fn forget(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.leave(key, entry.stage);
        }
    }

    /// The only place where an entry changes its stage, so that the indexes always agree with it.
    fn restage(&mut self, key: Key, to: Stage) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let from = std::mem::replace(&mut entry.stage, to);
        self.leave(key, from);
        match to {
            Stage::Fresh => self.fresh.push_back(key),
            Stage::Due(at) => drop(self.due.insert((at, key))),
            Stage::Writing => self.writing.push(key),
            Stage::Idle(tick) => drop(self.idle.insert(tick, key)),
        }
    }

    fn leave(&mut self, key: Key, stage: Stage) {
        match stage {
            Stage::Fresh if self.fresh.front() == Some(&key) => drop(self.fresh.pop_front()),
            Stage::Fresh => self.fresh.retain(|&fresh| fresh != key),
            Stage::Due(at) => drop(self.due.remove(&(at, key))),
            Stage::Writing => self.writing.retain(|&writing| writing != key),
            Stage::Idle(tick) => drop(self.idle.remove(&tick)),
        }
    }
}

//! The objects, and the history of their changes, under one global resourceVersion.
//!
//! ```text
//!  transact ──> live map ──> history ──> latest (wakes watches and the binder)
//!                               ^ cursor of each watch
//! ```
//! A watch is a cursor into the history, so it can neither miss a change nor hold a writer up. A list at an older
//! resourceVersion is the live map with the later changes undone.

mod transaction;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::watch;

pub(crate) use self::transaction::Transaction;
use super::{
    object,
    resources::{RESOURCES, Resource},
    status::Failure,
};

/// A stored version of an object; never changed once it is stored.
pub(crate) type Object = Arc<Value>;

/// Where an object lives within its kind; ordered as lists are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Empty for kinds of the cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One step of the history.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    pub(crate) before: Option<Object>,
    /// What the object is now; after a deletion its last state, at the deletion's version.
    pub(crate) now: Object,
    pub(crate) deleted: bool,
}

/// All state of the server, shared by requests, watches and the binder.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    latest: watch::Sender<u64>,
    kept: usize,
}

#[derive(Debug)]
struct State {
    version: u64,
    /// Watches and old lists from before this are refused.
    compacted: u64,
    tables: BTreeMap<(&'static str, &'static str), Table>,
}

#[derive(Debug, Default)]
struct Table {
    live: BTreeMap<Key, Object>,
    history: VecDeque<Change>,
    /// Version of the last change that the history has forgotten.
    forgotten: u64,
}

// === impl Key ===

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn of(object: &Value) -> Self {
        Self::new(object::namespace(object), object::name(object))
    }
}

// === impl Store ===

impl Store {
    /// An empty store that remembers the last `kept` changes of each kind.
    pub(crate) fn new(kept: usize) -> Self {
        let tables = RESOURCES
            .iter()
            .map(|r| ((r.group, r.plural), Table::default()))
            .collect();
        Self {
            state: Mutex::new(State {
                version: 1,
                compacted: 0,
                tables,
            }),
            latest: watch::Sender::new(1),
            kept: kept.max(1),
        }
    }

    /// Runs `work` with nobody else writing, then wakes those who wait for changes.
    pub(crate) fn transact<T>(&self, work: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let mut state = self.lock();
        let before = state.version;
        let kept = self.kept;
        let result = work(&mut Transaction {
            state: &mut state,
            kept,
            rehearsal: false,
        });
        if state.version != before {
            self.latest.send_replace(state.version);
        }
        result
    }

    /// Runs `work` as [`Store::transact`] does, and stores nothing (`dryRun=All`).
    pub(crate) fn rehearse<T>(&self, work: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        work(&mut Transaction {
            state: &mut self.lock(),
            kept: self.kept,
            rehearsal: true,
        })
    }

    /// Wakes at every change, with the latest resourceVersion.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    pub(crate) fn version(&self) -> u64 {
        self.lock().version
    }

    /// Forgets the past: what starts from an older resourceVersion is answered 410.
    pub(crate) fn compact(&self) {
        let mut state = self.lock();
        state.compacted = state.version;
    }

    pub(crate) fn get(&self, resource: &Resource, key: &Key) -> Option<Object> {
        self.lock().table(resource).live.get(key).cloned()
    }

    /// The objects of a kind after `start`, in key order, as they were at version `at` (now, if none is given), and
    /// that version.
    ///
    /// # Errors
    /// 410 when that version is compacted, 504 when it is yet to come.
    pub(crate) fn list(
        &self,
        resource: &Resource,
        at: Option<u64>,
        start: Option<&Key>,
    ) -> Result<(u64, Vec<Object>), Failure> {
        let state = self.lock();
        let at = at.unwrap_or(state.version);
        let table = state.table(resource);
        if at > state.version {
            return Err(Failure::from_the_future(at, state.version));
        }
        if at < state.compacted || at < table.forgotten {
            return Err(Failure::list_too_old(start.is_some()));
        }
        let wanted = |key: &Key| start.is_none_or(|start| key > start);
        let undone = table.undone_after(at);
        if undone.is_empty() {
            let items = table.live.iter().filter(|(key, _)| wanted(key));
            return Ok((at, items.map(|(_, object)| object.clone()).collect()));
        }
        let mut past = table.live.clone();
        for (key, before) in undone {
            match before {
                Some(object) => past.insert(key, object),
                None => past.remove(&key),
            };
        }
        past.retain(|key, _| wanted(key));
        Ok((at, past.into_values().collect()))
    }

    /// Refuses to start a watch from before the compaction.
    pub(crate) fn check_start(&self, resource: &Resource, from: u64) -> Result<(), Failure> {
        let state = self.lock();
        let oldest = state.compacted.max(state.table(resource).forgotten);
        if from < oldest {
            return Err(Failure::too_old(from, oldest));
        }
        Ok(())
    }

    /// The changes of a kind after `cursor`, and the version up to which they are complete.
    ///
    /// # Errors
    /// 410 when the reader fell further behind than the history goes.
    pub(crate) fn changes_after(
        &self,
        resource: &Resource,
        cursor: u64,
    ) -> Result<(u64, Vec<Change>), Failure> {
        let state = self.lock();
        let table = state.table(resource);
        if cursor < table.forgotten {
            return Err(Failure::too_old(cursor, table.forgotten));
        }
        let first = table.history.partition_point(|c| c.version <= cursor);
        let changes = table.history.range(first..).cloned().collect();
        Ok((state.version.max(cursor), changes))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a failed test already; the maps themselves are whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn table(&self, resource: &Resource) -> &Table {
        &self.tables[&(resource.group, resource.plural)]
    }

    fn table_mut(&mut self, resource: &Resource) -> &mut Table {
        let key = (resource.group, resource.plural);
        self.tables.entry(key).or_default()
    }
}

// === impl Table ===

impl Table {
    /// For each object that changed after `at`, what it was then.
    fn undone_after(&self, at: u64) -> BTreeMap<Key, Option<Object>> {
        let first = self.history.partition_point(|c| c.version <= at);
        let mut undone = BTreeMap::new();
        for change in self.history.range(first..) {
            undone
                .entry(change.key.clone())
                .or_insert_with(|| change.before.clone());
        }
        undone
    }
}

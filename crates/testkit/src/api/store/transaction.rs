//! Reads and writes under the store's lock.

use std::sync::Arc;

use serde_json::Value;

use super::{Change, Key, Object, State};
use crate::api::{object, resources::Resource};

/// Reads and writes under the lock. What is put is visible at once and is not rolled back, so check first.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    pub(super) state: &'a mut State,
    /// How many changes of a kind are remembered.
    pub(super) kept: usize,
    /// Nothing is stored.
    pub(super) rehearsal: bool,
}

// === impl Transaction ===

impl Transaction<'_> {
    pub(crate) fn get(&self, resource: &Resource, key: &Key) -> Option<Object> {
        self.state.table(resource).live.get(key).cloned()
    }

    pub(crate) fn all(&self, resource: &Resource) -> Vec<Object> {
        let live = &self.state.table(resource).live;
        live.values().cloned().collect()
    }

    /// Stores an object under its own name. A write that changes nothing takes no resourceVersion.
    pub(crate) fn put(&mut self, resource: &Resource, mut value: Value) -> Object {
        let key = Key::of(&value);
        let before = self.get(resource, &key);
        if let Some(before) = &before {
            let held = object::resource_version(before);
            object::set(&mut value, &["metadata", "resourceVersion"], held.into());
            if **before == value {
                return before.clone();
            }
        }
        if self.rehearsal {
            return Arc::new(value);
        }
        let now = self.stamp(value);
        let table = self.state.table_mut(resource);
        table.live.insert(key.clone(), now.clone());
        self.record(resource, key, before, now.clone(), false);
        now
    }

    /// Takes an object out; its last state is returned, at the version of the deletion.
    pub(crate) fn remove(&mut self, resource: &Resource, last: Value) -> Object {
        if self.rehearsal {
            return Arc::new(last);
        }
        let key = Key::of(&last);
        let before = self.state.table_mut(resource).live.remove(&key);
        let last = self.stamp(last);
        self.record(resource, key, before, last.clone(), true);
        last
    }

    fn stamp(&mut self, mut value: Value) -> Object {
        self.state.version += 1;
        let version = self.state.version.to_string();
        object::set(&mut value, &["metadata", "resourceVersion"], version.into());
        Arc::new(value)
    }

    fn record(
        &mut self,
        resource: &Resource,
        key: Key,
        before: Option<Object>,
        now: Object,
        deleted: bool,
    ) {
        let change = Change {
            version: self.state.version,
            key,
            before,
            now,
            deleted,
        };
        let kept = self.kept;
        let table = self.state.table_mut(resource);
        table.history.push_back(change);
        while table.history.len() > kept {
            if let Some(old) = table.history.pop_front() {
                table.forgotten = old.version;
            }
        }
    }
}

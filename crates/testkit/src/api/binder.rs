//! The part of kube-controller-manager that a provisioner meets: the volume binder, the protection of claims and volumes in
//! use, namespace deletion, and the claims of a StatefulSet.
//!
//! ```text
//!  history of claims, volumes, classes, … ──> keys due ──> one transaction a key
//! ```
//! Each step of the real controllers is a change of its own, so watchers see the same sequence of states.

mod claim;
mod events;
mod owners;
mod volume;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    object,
    resources::{Resource, known},
    shared::Shared,
    store::{Change, Key},
};

const WATCHED: &[&str] = &[
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "statefulsets",
    "storageclasses",
];

/// What is known between two rounds.
#[derive(Debug, Default)]
struct Binder {
    cursors: BTreeMap<&'static str, u64>,
    /// Volumes by the claim that they name.
    volumes_of: BTreeMap<Key, BTreeSet<Key>>,
    claim_of: BTreeMap<Key, Key>,
    /// Volumes that name no claim.
    free: BTreeSet<Key>,
    /// Claims that wait for a volume.
    pending: BTreeSet<Key>,
    terminating: BTreeSet<Key>,
    due: Due,
}

/// Keys to look at in this round.
#[derive(Debug, Default)]
struct Due {
    claims: BTreeSet<Key>,
    volumes: BTreeSet<Key>,
    sets: BTreeSet<Key>,
}

/// Runs for as long as the server lives; stands still while it is switched off, stopped or frozen.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut binder = Binder::default();
    let mut changed = shared.store.subscribe();
    loop {
        shared.controllers_due().await;
        changed.mark_unchanged();
        binder.round(&shared);
        if changed.changed().await.is_err() {
            return;
        }
    }
}

// === impl Binder ===

impl Binder {
    fn round(&mut self, shared: &Shared) {
        for plural in WATCHED {
            self.collect(shared, known(plural));
        }
        let due = std::mem::take(&mut self.due);
        for key in due.sets {
            shared.store.transact(|tx| owners::sync_set(tx, &key));
        }
        for key in due.volumes {
            shared.store.transact(|tx| volume::sync(tx, &key));
        }
        for key in due.claims {
            let named = self.volumes_of.get(&key).cloned().unwrap_or_default();
            let waits = shared
                .store
                .transact(|tx| claim::sync(tx, &key, &named, &self.free));
            if waits {
                self.pending.insert(key);
            } else {
                self.pending.remove(&key);
            }
        }
        self.terminating
            .retain(|key| shared.store.transact(|tx| owners::empty_namespace(tx, key)));
    }

    /// Takes in what changed since the last round.
    fn collect(&mut self, shared: &Shared, resource: &'static Resource) {
        let cursor = self.cursors.get(resource.plural).copied().unwrap_or(0);
        if let Ok((cursor, changes)) = shared.store.changes_after(resource, cursor) {
            self.cursors.insert(resource.plural, cursor);
            for change in &changes {
                self.note(resource, change);
            }
        } else if let Ok((version, objects)) = shared.store.list(resource, None, None) {
            // More changed than the history holds: look at everything.
            self.cursors.insert(resource.plural, version);
            for now in objects {
                let key = Key::of(&now);
                self.note(
                    resource,
                    &Change {
                        version,
                        key,
                        before: None,
                        now,
                        deleted: false,
                    },
                );
            }
        }
    }

    fn note(&mut self, resource: &Resource, change: &Change) {
        let key = change.key.clone();
        match resource.kind {
            "PersistentVolumeClaim" => {
                let named = self.volumes_of.get(&key).into_iter().flatten();
                self.due.volumes.extend(named.cloned());
                self.due.claims.insert(key);
            }
            "PersistentVolume" => self.note_volume(change),
            "StorageClass" => self.due.claims.extend(self.pending.iter().cloned()),
            "StatefulSet" if !change.deleted => {
                self.due.sets.insert(key);
            }
            "Namespace" if object::deleting(&change.now) => {
                self.terminating.insert(key);
            }
            "Pod" => self.due.claims.extend(claims_of_pod(&change.now)),
            _ => {}
        }
    }

    fn note_volume(&mut self, change: &Change) {
        let key = change.key.clone();
        if let Some(claim) = self.claim_of.remove(&key) {
            if let Some(named) = self.volumes_of.get_mut(&claim) {
                named.remove(&key);
                if named.is_empty() {
                    self.volumes_of.remove(&claim);
                }
            }
            self.due.claims.insert(claim);
        }
        self.free.remove(&key);
        let reference = change.now["spec"].get("claimRef");
        if let Some(claim) = reference.map(claim_key) {
            if !change.deleted {
                self.volumes_of
                    .entry(claim.clone())
                    .or_default()
                    .insert(key.clone());
                self.claim_of.insert(key.clone(), claim.clone());
            }
            self.due.claims.insert(claim);
        } else if !change.deleted {
            // Any claim that waits may take it.
            self.free.insert(key.clone());
            self.due.claims.extend(self.pending.iter().cloned());
        }
        self.due.volumes.insert(key);
    }
}

/// The key of the claim that a `claimRef` names.
fn claim_key(reference: &Value) -> Key {
    let part = |field| object::text(reference, field);
    Key::new(part("/namespace"), part("/name"))
}

fn claims_of_pod(pod: &Value) -> Vec<Key> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let names = volumes.filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str());
    names
        .map(|name| Key::new(object::namespace(pod), name))
        .collect()
}

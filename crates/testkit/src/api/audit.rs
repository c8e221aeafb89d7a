//! Every request that was answered, as the audit log of a real server would have it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One request. A watch is recorded when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `system:serviceaccount:NS:NAME`, `admin`, `system:anonymous`.
    pub user: String,
    /// get, list, watch, create, update, patch, delete or deletecollection.
    pub verb: &'static str,
    /// API group, empty for core.
    pub group: String,
    /// Plural, with `/SUBRESOURCE` if there is one; empty for discovery and the like.
    pub resource: String,
    /// Empty for kinds of the cluster.
    pub namespace: String,
    /// Of a create, what its body says; empty for list, watch and deletecollection.
    pub name: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// HTTP status; 0 when the connection was cut instead of an answer.
    pub code: u16,
    /// When it came in. A request that had to wait stands behind those that were answered meanwhile.
    pub at: jiff::Timestamp,
}

/// The log. Positions in it only grow, so a test can mark one and look at what came after.
#[derive(Debug, Default)]
pub struct Audit {
    records: Mutex<Vec<Record>>,
}

// === impl Audit ===

impl Audit {
    /// How many requests there were so far.
    pub fn mark(&self) -> usize {
        self.lock().len()
    }

    /// The requests after a mark (0 for all), oldest first.
    pub fn since(&self, mark: usize) -> Vec<Record> {
        self.lock().get(mark..).unwrap_or(&[]).to_vec()
    }

    /// How many requests after a mark by verb and resource, discovery and the like left out.
    pub fn counts(&self, mark: usize) -> BTreeMap<(&'static str, String), usize> {
        let mut counts = BTreeMap::new();
        for record in self.since(mark) {
            if !record.resource.is_empty() {
                *counts.entry((record.verb, record.resource)).or_default() += 1;
            }
        }
        counts
    }

    /// How many requests after a mark had this verb and resource, whatever became of them.
    pub fn count(&self, mark: usize, verb: &str, resource: &str) -> usize {
        let records = self.since(mark);
        let wanted = |r: &&Record| r.verb == verb && r.resource == resource;
        records.iter().filter(wanted).count()
    }

    /// The requests after a mark that RBAC refused.
    pub fn forbidden(&self, mark: usize) -> Vec<Record> {
        let mut records = self.since(mark);
        records.retain(|r| r.code == 403);
        records
    }

    pub(crate) fn record(&self, record: Record) {
        self.lock().push(record);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

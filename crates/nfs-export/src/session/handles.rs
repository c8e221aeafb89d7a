//! File handles of directories that were walked before, so that a known parent is not looked up again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nfs3_types::nfs3::{fattr3, nfs_fh3};
use tokio::time::Instant;

use crate::SubDir;

/// Handles kept; the oldest leaves first.
const HANDLES_MAX: usize = 4096;
/// How long a path is taken to lead where it led: as long as Linux's own client takes it, unless told otherwise (nfs(5), `acdirmin`).
const TRUSTED: Duration = Duration::from_secs(30);

/// A directory that calls can be made on.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) handle: nfs_fh3,
    /// Its file system.
    pub(crate) fsid: u64,
}

/// Directories by path. Belongs to one mount: handles do not outlive it.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<SubDir, (Directory, Instant)>,
    order: VecDeque<SubDir>,
}

// === impl Directory ===

impl Directory {
    pub(crate) fn new(handle: nfs_fh3, attributes: &fattr3) -> Self {
        Self {
            handle,
            fsid: attributes.fsid,
        }
    }
}

// === impl Handles ===

impl Handles {
    pub(crate) fn get(&self, path: &SubDir) -> Option<Directory> {
        let inner = self.lock();
        let (directory, since) = inner.known.get(path)?;
        (since.elapsed() < TRUSTED).then(|| directory.clone())
    }

    pub(crate) fn insert(&self, path: SubDir, directory: Directory) {
        let mut inner = self.lock();
        if inner
            .known
            .insert(path.clone(), (directory, Instant::now()))
            .is_some()
        {
            return;
        }
        inner.order.push_back(path);
        if inner.order.len() > HANDLES_MAX
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.known.remove(&oldest);
        }
    }

    /// Forgets `path` and what is below it: it was renamed or removed.
    pub(crate) fn forget(&self, path: &SubDir) {
        let mut inner = self.lock();
        let Inner { known, order } = &mut *inner;
        known.retain(|other, _| !path.contains(other));
        order.retain(|other| known.contains_key(other));
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk(path: &str) -> SubDir {
        SubDir::parse(path).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handle_is_trusted_for_a_while() {
        let handles = Handles::default();
        handles.insert(
            mk("a"),
            Directory {
                handle: nfs_fh3::default(),
                fsid: 0,
            },
        );
        tokio::time::advance(TRUSTED / 2).await;
        assert!(handles.get(&mk("a")).is_some());
        tokio::time::advance(TRUSTED / 2).await;
        assert!(handles.get(&mk("a")).is_none());
    }

    #[test]
    fn the_oldest_handle_leaves_when_there_are_too_many() {
        let handles = Handles::default();
        for n in 0..=HANDLES_MAX {
            let fsid = n as u64;
            handles.insert(
                mk(&format!("d{n}")),
                Directory {
                    handle: nfs_fh3::default(),
                    fsid,
                },
            );
        }
        assert!(handles.get(&mk("d0")).is_none());
        assert_eq!(handles.get(&mk("d1")).map(|d| d.fsid), Some(1));
    }

    #[test]
    fn forgetting_a_directory_forgets_what_is_below() {
        let handles = Handles::default();
        for path in ["a", "a/b", "a/b/c", "a/bc"] {
            handles.insert(
                mk(path),
                Directory {
                    handle: nfs_fh3::default(),
                    fsid: 0,
                },
            );
        }
        handles.forget(&mk("a/b"));
        let left: Vec<_> = ["a", "a/b", "a/b/c", "a/bc"]
            .into_iter()
            .filter(|p| handles.get(&mk(p)).is_some())
            .collect();
        assert_eq!(left, ["a", "a/bc"]);
    }
}

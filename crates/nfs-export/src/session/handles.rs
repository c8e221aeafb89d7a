//! File handles of directories that were walked before, so that a known parent is not looked up again.
//!
//! A handle follows its directory when that is renamed. So what is moved is forgotten, and what was looked up before that and would be remembered
//! only after it is not: an [`Epoch`], taken before the first look, tells.

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

/// Paths remembered as forgotten; whoever began to look before the oldest of them remembers nothing.
const FORGOTTEN_MAX: usize = 256;

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

/// What had been forgotten at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Epoch(u64);

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<SubDir, (Directory, Instant)>,
    order: VecDeque<SubDir>,
    epoch: Epoch,
    /// What was forgotten last, and with which epoch; what was before that, with `floor` or earlier.
    forgotten: VecDeque<(Epoch, SubDir)>,
    floor: Epoch,
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
    pub(crate) fn get(&self, path: &str) -> Option<Directory> {
        let inner = self.lock();
        let (directory, since) = inner.known.get(path)?;
        (since.elapsed() < TRUSTED).then(|| directory.clone())
    }

    /// To be asked before the first look at what is to be inserted.
    pub(crate) fn epoch(&self) -> Epoch {
        self.lock().epoch
    }

    /// Remembers `directory`, which was found at `path` after `since`, unless that was forgotten meanwhile.
    pub(crate) fn insert(&self, since: Epoch, path: SubDir, directory: Directory) {
        let mut inner = self.lock();
        if inner.was_forgotten(since, &path) {
            return;
        }
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
        let epoch = inner.advance();
        let Inner {
            known,
            order,
            forgotten,
            floor,
            ..
        } = &mut *inner;
        known.retain(|other, _| !path.contains(other));
        order.retain(|other| known.contains_key(other));
        forgotten.push_back((epoch, path.clone()));
        if forgotten.len() > FORGOTTEN_MAX
            && let Some((oldest, _)) = forgotten.pop_front()
        {
            *floor = oldest;
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        let epoch = inner.advance();
        *inner = Inner {
            epoch,
            floor: epoch,
            ..Inner::default()
        };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn advance(&mut self) -> Epoch {
        self.epoch.0 += 1;
        self.epoch
    }

    /// Whether `path` was forgotten after `since`.
    fn was_forgotten(&self, since: Epoch, path: &SubDir) -> bool {
        let after = self.forgotten.iter().rev();
        since < self.floor
            || after
                .take_while(|(epoch, _)| *epoch > since)
                .any(|(_, gone)| gone.contains(path))
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
            handles.epoch(),
            mk("a"),
            Directory {
                handle: nfs_fh3::default(),
                fsid: 0,
            },
        );
        tokio::time::advance(TRUSTED / 2).await;
        assert!(handles.get("a").is_some());
        tokio::time::advance(TRUSTED / 2).await;
        assert!(handles.get("a").is_none());
    }

    #[test]
    fn the_oldest_handle_leaves_when_there_are_too_many() {
        let handles = Handles::default();
        for n in 0..=HANDLES_MAX {
            let fsid = n as u64;
            handles.insert(
                handles.epoch(),
                mk(&format!("d{n}")),
                Directory {
                    handle: nfs_fh3::default(),
                    fsid,
                },
            );
        }
        assert!(handles.get("d0").is_none());
        assert_eq!(handles.get("d1").map(|d| d.fsid), Some(1));
    }

    #[test]
    fn forgetting_a_directory_forgets_what_is_below() {
        let handles = Handles::default();
        for path in ["a", "a/b", "a/b/c", "a/bc"] {
            handles.insert(
                handles.epoch(),
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
            .filter(|p| handles.get(p).is_some())
            .collect();
        assert_eq!(left, ["a", "a/bc"]);
    }

    fn mk_directory() -> Directory {
        Directory {
            handle: nfs_fh3::default(),
            fsid: 0,
        }
    }

    #[test]
    fn what_was_looked_up_before_it_was_forgotten_is_not_remembered_after_it() {
        let handles = Handles::default();
        let before = handles.epoch();
        handles.forget(&mk("a/b"));
        for (path, is_known) in [
            ("a/b", false),
            ("a/b/c", false),
            ("a", true),
            ("a/bc", true),
        ] {
            handles.insert(before, mk(path), mk_directory());
            assert_eq!(handles.get(path).is_some(), is_known, "{path}");
        }
        handles.insert(handles.epoch(), mk("a/b"), mk_directory());
        assert!(handles.get("a/b").is_some());
    }

    #[test]
    fn what_was_looked_up_before_all_was_forgotten_is_not_remembered_after_it() {
        let handles = Handles::default();
        let before = handles.epoch();
        handles.clear();
        handles.insert(before, mk("a"), mk_directory());
        assert!(handles.get("a").is_none());
    }

    #[test]
    fn what_was_looked_up_before_more_was_forgotten_than_is_kept_is_not_remembered() {
        let handles = Handles::default();
        let before = handles.epoch();
        handles.forget(&mk("a"));
        let between = handles.epoch();
        for n in 0..FORGOTTEN_MAX {
            handles.forget(&mk(&format!("d{n}")));
        }
        handles.insert(before, mk("a"), mk_directory());
        assert!(handles.get("a").is_none());
        handles.insert(between, mk("a"), mk_directory());
        assert!(handles.get("a").is_some());
    }
}

//! How far a removal is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Removed;

/// Counts that a removal keeps up to date while it runs; share it to watch.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) directories: AtomicU64,
    pub(super) files: AtomicU64,
}

// === impl Progress ===

impl Progress {
    /// What has been removed so far.
    pub fn removed(&self) -> Removed {
        Removed {
            directories: self.directories.load(Relaxed),
            files: self.files.load(Relaxed),
        }
    }
}

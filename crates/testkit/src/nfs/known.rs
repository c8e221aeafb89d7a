//! What a tree remembers: where each file was last seen, and a bounded number of open directories.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::Statx;

use super::handle::FileId;

/// Open directories kept at hand; a deep tree is walked again where it left them.
const OPEN_DIRS: usize = 256;

/// Names by file, and the directories that were used last, open.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) nodes: HashMap<FileId, Node>,
    pub(super) open: HashMap<FileId, (Arc<OwnedFd>, u64)>,
    clock: u64,
}

/// Where a file was last seen.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: FileId,
    pub(super) name: Box<[u8]>,
}

// === impl Known ===

impl Known {
    pub(super) fn put(&mut self, parent: FileId, name: &[u8], stat: &Statx) {
        let name = name.into();
        self.nodes.insert(FileId::of(stat), Node { parent, name });
    }

    pub(super) fn touch(&mut self, id: FileId) -> Option<Arc<OwnedFd>> {
        self.clock += 1;
        let (fd, used) = self.open.get_mut(&id)?;
        *used = self.clock;
        Some(Arc::clone(fd))
    }

    pub(super) fn keep_open(&mut self, id: FileId, fd: Arc<OwnedFd>) {
        if self.open.len() >= OPEN_DIRS {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.open.remove(&oldest);
            }
        }
        self.clock += 1;
        self.open.insert(id, (fd, self.clock));
    }
}

//! What is known of a tree that is being removed, and what to do next about it. No I/O.
//!
//! ```text
//! scan ──> entries ──> Unlink ... ─┐ all answered
//!   ^         └──> child: scan ... ┴──> again from cookie 0, or on, or ──> Rmdir ──> the parent's entry is answered
//!   └───────────────────────────────────────┘
//! ```
//! A directory is read again from cookie 0 after something was removed from it, because cookies do not survive removals everywhere. That
//! also bounds memory: entries for which there is no room now are dropped, and found again. Held are pages of a few directories, the
//! way down to each, and the names of what could not be removed, so that it is not tried twice.

mod endings;
mod failures;
mod node;

use std::collections::VecDeque;

use nfs3_types::nfs3::{fattr3, ftype3, nfs_fh3, nfsstat3};

use super::{
    super::stat::{Page, PageEntry},
    ops::{Done, Id, Op},
};
use crate::{Cause, Removed, error::Owner, session::Directory};
use failures::{Failures, sort};
use node::{Node, Nodes};

/// Directories read at the same time.
const SCANS_MAX: usize = 8;
/// Directories known and not yet done, beyond the one that each directory may always have.
const NODES_MAX: usize = 8192;
/// Levels: each costs a handle and a name, some 400 bytes at most.
const DEPTH_MAX: u32 = 32_768;
/// Passes over a directory that remove nothing before it is left.
const IDLE_MAX: u32 = 16;

/// The directory to remove.
pub(super) struct Root<'a> {
    pub(super) parent: nfs_fh3,
    pub(super) path: &'a str,
    pub(super) name: &'a [u8],
    pub(super) owner: Owner,
    pub(super) directory: Directory,
}

/// A removal under way.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Nodes,
    /// The directory that holds the root.
    above: nfs_fh3,
    fsid: u64,
    /// Calls other than scans; no longer than the pages of [`SCANS_MAX`] directories.
    calls: VecDeque<Op>,
    /// Directories to read; the deepest last, and first out.
    scans: Vec<Id>,
    scanning: usize,
    /// Directories of which an entry has been dealt with. A list, because a failure at the bottom of a deep tree goes all the way up.
    settled: Vec<Id>,
    removed: Removed,
    failures: Failures,
}

// === impl Tree ===

impl Tree {
    pub(super) fn new(root: Root<'_>) -> Self {
        let node = Node::new(None, root.name.to_vec(), root.directory.handle, root.owner);
        let mut nodes = Nodes::new(root.path);
        let id = nodes.insert(node);
        Self {
            nodes,
            above: root.parent,
            fsid: root.directory.fsid,
            calls: VecDeque::new(),
            scans: vec![id],
            scanning: 0,
            settled: Vec::new(),
            removed: Removed::default(),
            failures: Failures::default(),
        }
    }

    /// The next call, if one can be made before others are answered. `width`: how many calls are in flight at most.
    pub(super) fn next(&mut self, width: usize) -> Option<Op> {
        // Read ahead while what is queued does not fill the line.
        if self.scanning < SCANS_MAX
            && self.calls.len() < width
            && let Some(id) = self.scans.pop()
        {
            self.scanning += 1;
            let node = &self.nodes[id];
            return Some(Op::Scan {
                dir: id,
                handle: node.handle.clone(),
                cookie: node.cookie,
            });
        }
        self.calls.pop_front()
    }

    /// Takes an answer in.
    ///
    /// # Errors
    /// What ends the whole removal: the share is out of reach, read-only, or the root's handle is stale.
    pub(super) fn done(&mut self, done: Done) -> Result<(), Cause> {
        self.take(done)?;
        while let Some(id) = self.settled.pop() {
            self.answered(id);
        }
        Ok(())
    }

    fn take(&mut self, done: Done) -> Result<(), Cause> {
        match done {
            Done::Scanned(id, result) => {
                self.scanning -= 1;
                match sort(result)? {
                    Ok(page) => self.scanned(id, page),
                    Err(status) => return self.not_scanned(id, status),
                }
            }
            Done::Unlinked(id, name, result) => {
                match sort(result)? {
                    Ok(by_us) => self.entry_gone(id, by_us),
                    Err(status) => self.not_removed(id, name, status),
                }
                self.answered(id);
            }
            Done::Looked(id, name, Err(cause @ Cause::Malformed(_))) => {
                self.stuck(id, name, None, cause);
                self.answered(id);
            }
            Done::Looked(id, name, result) => self.looked(id, name, sort(result)?),
            Done::Rmdired(id, result) => return self.rmdired(id, sort(result)?),
        }
        Ok(())
    }

    /// The end: all is gone, or something had to stay.
    pub(super) fn finish(self) -> Result<(), Cause> {
        self.failures.finish()
    }

    /// What was removed since this was last asked.
    pub(super) fn take_removed(&mut self) -> Removed {
        std::mem::take(&mut self.removed)
    }

    fn scanned(&mut self, id: Id, page: Page) {
        let node = &mut self.nodes[id];
        node.eof = page.eof;
        node.cookie = page.next;
        if !node.eof && !node.course.leads_on(&page) {
            node.eof = true;
            let path = self.nodes.path(id, None);
            self.nodes[id].unreadable = Some(Cause::Endless(path.into()));
        }
        let node = &mut self.nodes[id];
        // Held until the whole page is queued, so that no answer finds the directory done before that.
        node.outstanding += 1;
        for entry in page.entries {
            if self.nodes[id].stuck.contains(&entry.name) {
                continue;
            }
            self.nodes[id].outstanding += 1;
            self.take_entry(id, entry);
        }
        self.answered(id);
    }

    fn take_entry(&mut self, id: Id, entry: PageEntry) {
        match (entry.attributes, entry.handle) {
            (Some(attributes), Some(handle)) if attributes.type_ == ftype3::NF3DIR => {
                self.child(id, entry.name, handle, &attributes);
            }
            (Some(attributes), _) if attributes.type_ != ftype3::NF3DIR => {
                self.unlink(id, entry.name);
            }
            // What it is was not said. REMOVE would tell, but there are servers where it unlinks a directory.
            _ => {
                let handle = self.nodes[id].handle.clone();
                self.calls.push_back(Op::Look {
                    dir: id,
                    handle,
                    name: entry.name,
                });
            }
        }
    }

    fn unlink(&mut self, id: Id, name: Vec<u8>) {
        let handle = self.nodes[id].handle.clone();
        self.calls.push_back(Op::Unlink {
            dir: id,
            handle,
            name,
        });
    }

    /// A directory inside `id`: to be read, or left for a later pass, or not ours to empty.
    fn child(&mut self, id: Id, name: Vec<u8>, handle: nfs_fh3, attributes: &fattr3) {
        let owner = Owner::from(attributes);
        if attributes.fsid != self.fsid {
            let path = self.nodes.path(id, Some(&name));
            self.stuck(id, name, Some(owner), Cause::OtherFileSystem(path.into()));
        } else if self.nodes[id].depth >= DEPTH_MAX {
            self.stuck(
                id,
                name,
                Some(owner),
                Cause::Nfs(nfsstat3::NFS3ERR_NAMETOOLONG),
            );
        } else if self.nodes.len() >= NODES_MAX && self.nodes[id].children > 0 {
            self.nodes[id].again = true;
        } else {
            self.nodes[id].children += 1;
            let mut node = Node::new(Some(id), name, handle, owner);
            node.depth = self.nodes[id].depth + 1;
            let child = self.nodes.insert(node);
            self.scans.push(child);
            return;
        }
        self.answered(id);
    }

    fn looked(
        &mut self,
        id: Id,
        name: Vec<u8>,
        result: Result<Option<crate::session::Found>, nfsstat3>,
    ) {
        match result {
            Ok(Some(found)) if found.is_directory() => {
                self.child(id, name, found.handle, &found.attributes);
            }
            Ok(Some(_)) => self.unlink(id, name),
            Ok(None) => self.answered(id),
            Err(status) => {
                self.not_removed(id, name, status);
                self.answered(id);
            }
        }
    }

    /// An entry of `id` has been dealt with; when it was the last of its page, the directory moves on.
    fn answered(&mut self, id: Id) {
        let node = &mut self.nodes[id];
        node.outstanding -= 1;
        if node.outstanding > 0 {
            return;
        }
        let is_partly_read = !node.eof || node.unreadable.is_some();
        if !node.forward_only && (node.again || (node.changed && is_partly_read)) {
            self.rescan(id);
        } else if !node.eof {
            self.scans.push(id);
        } else if node.stuck.is_empty() && !node.forward_only {
            self.rmdir(id);
        } else {
            self.leave(id);
        }
    }

    fn rescan(&mut self, id: Id) {
        let node = &mut self.nodes[id];
        node.idle = if node.progressed { 0 } else { node.idle + 1 };
        if node.idle > IDLE_MAX {
            // A server may show what is gone: it may be empty all the same.
            node.unreadable = Some(Cause::Nfs(nfsstat3::NFS3ERR_NOTEMPTY));
            return self.rmdir(id);
        }
        node.start_over();
        self.scans.push(id);
    }

    fn rmdir(&mut self, id: Id) {
        let node = &self.nodes[id];
        let parent = node.parent.map_or_else(
            || self.above.clone(),
            |parent| self.nodes[parent].handle.clone(),
        );
        self.calls.push_back(Op::Rmdir {
            dir: id,
            parent,
            name: node.name.clone(),
        });
    }
}

#[cfg(test)]
mod tests;

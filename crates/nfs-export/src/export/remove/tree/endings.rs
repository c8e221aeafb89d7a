//! How an entry or a directory of the tree ends: gone, changed under our hands, or to be left.

use nfs3_types::nfs3::nfsstat3;

use super::{
    super::ops::{Emptied, Id},
    Tree,
};
use crate::{Cause, error::Owner};

// === impl Tree ===

impl Tree {
    /// Directory `id` could not be read.
    pub(super) fn not_scanned(&mut self, id: Id, status: nfsstat3) -> Result<(), Cause> {
        let node = &mut self.nodes[id];
        match status {
            nfsstat3::NFS3ERR_NOENT
            | nfsstat3::NFS3ERR_STALE
            | nfsstat3::NFS3ERR_BADHANDLE
            | nfsstat3::NFS3ERR_NOTDIR => {
                if node.parent.is_none() && status != nfsstat3::NFS3ERR_NOENT {
                    return Err(Cause::Nfs(nfsstat3::NFS3ERR_STALE));
                }
                self.vanished(id);
            }
            nfsstat3::NFS3ERR_BAD_COOKIE | nfsstat3::NFS3ERR_NOT_SYNC => {
                if node.forward_only {
                    self.leave(id);
                } else {
                    self.rescan(id);
                }
            }
            _ => {
                // It may be empty all the same.
                node.unreadable = Some(Cause::Nfs(status));
                self.rmdir(id);
            }
        }
        Ok(())
    }

    /// RMDIR of directory `id` was answered.
    pub(super) fn rmdired(
        &mut self,
        id: Id,
        result: Result<Emptied, nfsstat3>,
    ) -> Result<(), Cause> {
        let node = &self.nodes[id];
        let (owner, unreadable) = (node.owner, node.unreadable.clone());
        match (result, unreadable) {
            (Ok(Emptied::Removed), _) => {
                self.removed.directories += 1;
                self.gone(id);
            }
            (Ok(Emptied::WasGone), _) => self.gone(id),
            // Something has appeared since.
            (Ok(Emptied::NotEmpty), None) => self.rescan(id),
            (
                Err(
                    nfsstat3::NFS3ERR_STALE
                    | nfsstat3::NFS3ERR_BADHANDLE
                    | nfsstat3::NFS3ERR_NOTDIR,
                ),
                _,
            ) => {
                // Nobody reads what is above the root again, so that it is gone would be a guess.
                if node.parent.is_none() {
                    return Err(Cause::Nfs(nfsstat3::NFS3ERR_STALE));
                }
                self.vanished(id);
            }
            (Ok(Emptied::NotEmpty) | Err(_), Some(cause)) => {
                self.failures
                    .add(self.nodes.path(id, None), Some(owner), cause);
                self.leave(id);
            }
            (Err(status), None) => {
                self.failures
                    .add(self.nodes.path(id, None), Some(owner), Cause::Nfs(status));
                self.leave(id);
            }
        }
        Ok(())
    }

    pub(super) fn entry_gone(&mut self, id: Id, by_us: bool) {
        self.removed.files += u64::from(by_us);
        self.nodes[id].changed = true;
        self.nodes[id].progressed |= by_us;
    }

    /// What a failed REMOVE or LOOKUP of `name` in `id` means.
    pub(super) fn not_removed(&mut self, id: Id, name: Vec<u8>, status: nfsstat3) {
        match status {
            // It has become something else, or the directory itself has: read it again.
            nfsstat3::NFS3ERR_ISDIR
            | nfsstat3::NFS3ERR_STALE
            | nfsstat3::NFS3ERR_BADHANDLE
            | nfsstat3::NFS3ERR_NOTDIR => {
                self.nodes[id].again = true;
            }
            status => self.stuck(id, name, None, Cause::Nfs(status)),
        }
    }

    /// `name` in `id` has to stay.
    pub(super) fn stuck(&mut self, id: Id, name: Vec<u8>, owner: Option<Owner>, cause: Cause) {
        self.failures
            .add(self.nodes.path(id, Some(&name)), owner, cause);
        self.remember(id, name);
    }

    fn remember(&mut self, id: Id, name: Vec<u8>) {
        let node = &mut self.nodes[id];
        if self.failures.has_room() {
            self.failures.names += 1;
            node.stuck.insert(name);
            node.changed = true;
            node.progressed = true;
        } else {
            // Not remembered, so it must not be met again: no more passes over this directory.
            node.forward_only = true;
        }
    }

    /// `id` is no more.
    fn gone(&mut self, id: Id) {
        if let Some((parent, _)) = self.close(id) {
            self.nodes[parent].changed = true;
            self.nodes[parent].progressed = true;
            self.settled.push(parent);
        }
    }

    /// `id` is not what it was: its parent is to be read again.
    fn vanished(&mut self, id: Id) {
        if let Some((parent, _)) = self.close(id) {
            self.nodes[parent].again = true;
            self.settled.push(parent);
        }
    }

    /// `id` has to stay, because something in it has to.
    pub(super) fn leave(&mut self, id: Id) {
        if let Some((parent, name)) = self.close(id) {
            self.remember(parent, name);
            self.settled.push(parent);
        }
    }

    fn close(&mut self, id: Id) -> Option<(Id, Vec<u8>)> {
        let node = self.nodes.remove(id)?;
        self.failures.names -= node.stuck.len();
        let parent = node.parent?;
        self.nodes[parent].children -= 1;
        Some((parent, node.name))
    }
}

//! The verbs, and what they take and return.
//!
//! Each verb can be repeated: after an error, or when the process has died in the middle, calling it again finishes the work. None
//! follows a symbolic link, and none touches anything outside the paths it was given.

mod course;
mod list;
mod mkdir;
mod remove;
mod rename;
mod stat;
mod types;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

pub use remove::Progress;
pub use types::{Created, Entry, FsStat, Kind, Options, Removed, Renamed, Stat, State, Target};

use crate::{
    Cause, Error, Stats, SubDir,
    error::Operation,
    session::{Doubt, Live, Session, Tries},
};

/// One export, dialled when first needed; cheap to clone. The connection ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Export {
    session: Arc<Session>,
}

/// One run of a verb: what it works with, and how it starts over when handles are stale.
struct Run<'a> {
    session: &'a Session,
    tries: Tries,
}

// === impl Export ===

impl Export {
    /// An export that is not dialled yet. No I/O.
    pub fn new(target: Target, options: Options) -> Self {
        Self {
            session: Arc::new(Session::new(Arc::new(target), options)),
        }
    }

    /// The target.
    pub fn target(&self) -> &Target {
        self.session.target()
    }

    /// Follows the state.
    pub fn state(&self) -> watch::Receiver<State> {
        self.session.state()
    }

    /// What was counted since the export was made.
    pub fn stats(&self) -> &Arc<Stats> {
        self.session.stats()
    }

    /// Connects if need be and asks one NULL; the round-trip time.
    ///
    /// # Errors
    /// The share is out of reach.
    pub async fn probe(&self) -> Result<Duration, Error> {
        self.session
            .null()
            .await
            .map_err(|cause| self.error(Operation::Probe, None, cause))
    }

    /// Makes `dir` and its parents; those it makes have exactly `mode`, whatever umask or default the server has. So has `dir` where it was
    /// there; parents that were there are left as they are.
    ///
    /// A server that does not permit the mode to be set (the directory is somebody else's, and root is squashed) has its way: a warning is logged,
    /// and the directory counts as it is.
    ///
    /// One round trip where the parents are known, one commit on the server's disk for each directory made.
    ///
    /// # Errors
    /// [`Cause::NotADirectory`] where something else bears the name of `dir` or of a parent; what the server says.
    pub async fn create_dir_all(&self, dir: &SubDir, mode: u32) -> Result<Created, Error> {
        let doubt = Doubt::default();
        let made = mkdir::create_dir_all(&self.session, dir, mode, &doubt).await;
        made.map_err(|cause| {
            self.error(Operation::Create, Some(dir), cause)
                .doubted(&doubt)
        })
    }

    /// Forgets what is known of directories: another client, or another [`Export`] of the same server, has moved some. Handles follow what is
    /// moved, and would be trusted for up to 30 s.
    pub fn forget(&self) {
        self.session.forget_all();
    }

    /// Renames a directory; never onto something that is there. The parents of `to` must exist.
    ///
    /// # Errors
    /// `NFS3ERR_NOENT` where the parent of `to` is missing; what the server says.
    pub async fn rename(&self, from: &SubDir, to: &SubDir) -> Result<Renamed, Error> {
        let doubt = Doubt::default();
        let renamed = rename::rename(&self.session, from, to, &doubt).await;
        renamed.map_err(|cause| {
            self.error(Operation::Rename, Some(from), cause)
                .doubted(&doubt)
        })
    }

    /// Removes `dir` with all it holds; a missing one is success. Something that is no directory is removed itself.
    ///
    /// May be dropped at any time, and called again to go on.
    ///
    /// # Errors
    /// [`Cause::Leftovers`] where entries had to stay (all others are gone); what the server says.
    pub async fn remove_dir_all(&self, dir: &SubDir) -> Result<Removed, Error> {
        self.remove_dir_all_with(dir, &Progress::default()).await
    }

    /// As [`Self::remove_dir_all`], counting into `progress`.
    ///
    /// # Errors
    /// As there.
    pub async fn remove_dir_all_with(
        &self,
        dir: &SubDir,
        progress: &Progress,
    ) -> Result<Removed, Error> {
        let doubt = Doubt::default();
        let removed = remove::remove_dir_all(&self.session, dir, progress, &doubt).await;
        removed.map_err(|cause| {
            self.error(Operation::Remove, Some(dir), cause)
                .doubted(&doubt)
        })
    }

    /// Removes `dir` if it is empty. `true`: it is gone (or never was); `false`: it holds something.
    ///
    /// # Errors
    /// [`Cause::NotADirectory`] where it is something else; what the server says.
    pub async fn remove_empty_dir(&self, dir: &SubDir) -> Result<bool, Error> {
        let doubt = Doubt::default();
        let removed = remove::remove_empty_dir(&self.session, dir, &doubt).await;
        removed.map_err(|cause| {
            self.error(Operation::Remove, Some(dir), cause)
                .doubted(&doubt)
        })
    }

    /// Attributes of `dir`, `None` when missing. Symbolic links are not followed at the last component.
    ///
    /// # Errors
    /// [`Cause::NotADirectory`] where a parent is something else; what the server says.
    pub async fn stat(&self, dir: &SubDir) -> Result<Option<Stat>, Error> {
        let found = stat::stat(&self.session, dir).await;
        found.map_err(|cause| self.error(Operation::Stat, Some(dir), cause))
    }

    /// Up to `limit` names of a directory (`None`: the root); empty when it is missing.
    ///
    /// # Errors
    /// [`Cause::NotADirectory`] where it is something else; what the server says.
    pub async fn list(&self, dir: Option<&SubDir>, limit: usize) -> Result<Vec<Entry>, Error> {
        let names = list::list(&self.session, dir, limit).await;
        names.map_err(|cause| self.error(Operation::List, dir, cause))
    }

    /// How many names of a directory (`None`: the root) `is_one` says yes to, among the first `limit`; 0 when it is missing. Holds a page of names
    /// at a time and asks for nothing but names, so it is the cheapest way through a directory of any size.
    ///
    /// # Errors
    /// As [`Export::list`].
    pub async fn count(
        &self,
        dir: Option<&SubDir>,
        limit: u64,
        is_one: impl Fn(&[u8]) -> bool,
    ) -> Result<u64, Error> {
        let count = list::count(&self.session, dir, limit, is_one).await;
        count.map_err(|cause| self.error(Operation::List, dir, cause))
    }

    /// Room on the share.
    ///
    /// # Errors
    /// What the server says.
    pub async fn fsstat(&self) -> Result<FsStat, Error> {
        stat::fsstat(&self.session)
            .await
            .map_err(|cause| self.error(Operation::FsStat, None, cause))
    }

    fn error(&self, operation: Operation, dir: Option<&SubDir>, cause: Cause) -> Error {
        match dir {
            Some(dir) => Error::new(operation, dir.as_str(), cause),
            None => Error::new(operation, &self.target().path, cause),
        }
    }
}

// === impl Run ===

impl<'a> Run<'a> {
    fn new(session: &'a Session) -> Self {
        Self {
            session,
            tries: Tries::default(),
        }
    }

    /// The result of one attempt, or `None` where the verb is to be tried again from the start.
    async fn settle<T>(
        &mut self,
        live: &Arc<Live>,
        attempt: Result<T, Cause>,
    ) -> Result<Option<T>, Cause> {
        match attempt {
            Ok(done) => Ok(Some(done)),
            Err(cause) if self.tries.again(self.session, live, &cause).await? => Ok(None),
            Err(cause) => Err(cause),
        }
    }
}

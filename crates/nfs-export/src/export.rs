//! The verbs.
use crate::{Error, SubDir};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Which export of which server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Host name or address, as written by the administrator.
    pub server: String,
    /// Absolute path of the export (or of a directory below it).
    pub path: String,
    /// Skips the portmapper for NFS.
    pub nfs_port: Option<u16>,
    /// Skips the portmapper for MOUNT.
    pub mount_port: Option<u16>,
}

/// How calls are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// AUTH_SYS uid.
    pub uid: u32,
    /// AUTH_SYS gid.
    pub gid: u32,
    /// Calls in flight on the connection at most.
    pub in_flight: usize,
    /// Time a call may take from when it is sent.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            uid: 0,
            gid: 0,
            in_flight: 128,
            deadline: Duration::from_secs(30),
        }
    }
}

/// Whether the export answers.
#[derive(Debug, Clone)]
pub enum State {
    /// Not dialled yet.
    Idle,
    /// Mounted and connected.
    Up,
    /// The last attempt failed; attempts go on.
    Down(Arc<Error>),
}

/// What [`Export::create_dir_all`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The last component was made by this call.
    New,
    /// The directory was there.
    Existed,
}

/// What [`Export::rename`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renamed {
    /// Source is gone and target is there (also when an earlier, repeated call did it).
    Done,
    /// Neither source nor target is there.
    NoSource,
    /// The target was there before, and so is the source: nothing was changed.
    TargetExists,
}

/// What a removal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Directories removed.
    pub directories: u64,
    /// Other entries removed.
    pub files: u64,
}

/// What kind of object a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else.
    File,
}

/// Attributes of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its kind.
    pub kind: Kind,
    /// Permission bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Unique within its file system.
    pub file_id: u64,
}

/// One name of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name; not always UTF-8.
    pub name: Vec<u8>,
    /// Its kind, where the server said it.
    pub kind: Option<Kind>,
}

/// FSSTAT (RFC 1813 section 3.3.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FsStat {
    /// Total bytes.
    pub total_bytes: u64,
    /// Bytes free to this user.
    pub available_bytes: u64,
    /// Total file slots (inodes).
    pub total_files: u64,
    /// File slots free to this user.
    pub available_files: u64,
}

/// One export, dialled when first needed; cheap to clone.
#[derive(Debug, Clone)]
pub struct Export {
    target: Arc<Target>,
}

impl Export {
    /// An export that is not dialled yet. No I/O.
    pub fn new(target: Target, _options: Options) -> Self {
        Self {
            target: Arc::new(target),
        }
    }
    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }
    /// Follows the state.
    pub fn state(&self) -> watch::Receiver<State> {
        watch::channel(State::Idle).1
    }
    /// Connects if need be and asks one NULL; the round-trip time.
    ///
    /// # Errors
    pub async fn probe(&self) -> Result<Duration, Error> {
        Err(Error {})
    }
    /// Makes `dir` and its parents; those it makes have exactly `mode`.
    ///
    /// # Errors
    pub async fn create_dir_all(&self, _dir: &SubDir, _mode: u32) -> Result<Created, Error> {
        Err(Error {})
    }
    /// Renames a directory; never onto something that is there. The parents of `to` must exist.
    ///
    /// # Errors
    pub async fn rename(&self, _from: &SubDir, _to: &SubDir) -> Result<Renamed, Error> {
        Err(Error {})
    }
    /// Removes `dir` with all it holds; a missing one is success.
    ///
    /// # Errors
    pub async fn remove_dir_all(&self, _dir: &SubDir) -> Result<Removed, Error> {
        Err(Error {})
    }
    /// Removes `dir` if it is empty. `true`: it is gone (or never was); `false`: it holds something.
    ///
    /// # Errors
    pub async fn remove_empty_dir(&self, _dir: &SubDir) -> Result<bool, Error> {
        Err(Error {})
    }
    /// Attributes of `dir`, `None` when missing. Symbolic links are not followed at the last component.
    ///
    /// # Errors
    pub async fn stat(&self, _dir: &SubDir) -> Result<Option<Stat>, Error> {
        Err(Error {})
    }
    /// Up to `limit` names of a directory (`None`: the root); empty when it is missing.
    ///
    /// # Errors
    pub async fn list(&self, _dir: Option<&SubDir>, _limit: usize) -> Result<Vec<Entry>, Error> {
        Err(Error {})
    }
    /// Room on the share.
    ///
    /// # Errors
    pub async fn fsstat(&self) -> Result<FsStat, Error> {
        Err(Error {})
    }
}

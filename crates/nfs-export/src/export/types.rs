//! What the verbs take and return.

use std::{sync::Arc, time::Duration};

use crate::Error;

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
    /// Time for making one TCP connection.
    pub connect_timeout: Duration,
    /// AUTH_SYS machine name; `None`: the host's.
    pub hostname: Option<String>,
    /// Whether to call from a port below 1024 where that is permitted.
    pub reserved_port: bool,
    /// Where the server's portmapper listens.
    pub portmap_port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            uid: 0,
            gid: 0,
            in_flight: 128,
            deadline: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            hostname: None,
            reserved_port: true,
            portmap_port: 111,
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

/// What [`Export::create_dir_all`](crate::Export::create_dir_all) found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The last component was made by this call.
    New,
    /// The directory was there.
    Existed,
}

/// What [`Export::rename`](crate::Export::rename) did.
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

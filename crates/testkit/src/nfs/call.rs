//! What a client asked for: the head of a call (RFC 5531, section 9) and the names in its arguments.
//!
//! Refuses what is not a call. Arguments past the names are left to `nfs3_server`.

use std::fmt;

use nfs3_types::{mount, nfs3, portmap};

/// A remote procedure: program and number. Versions are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Procedure {
    /// RPC program number, such as 100003 for NFS.
    pub program: u32,
    /// Procedure number within the program.
    pub number: u32,
}

/// Who a call says it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `AUTH_NULL`: nobody in particular.
    Null,
    /// `AUTH_SYS`: user, group and machine, on the caller's word.
    Sys {
        /// User id as sent, before any squashing.
        uid: u32,
        /// Group id as sent.
        gid: u32,
        /// Machine name as sent.
        machine: Vec<u8>,
    },
    /// An `AUTH_SYS` whose body cannot be read.
    Malformed,
    /// Any other flavour, by its number.
    Other(u32),
}

/// A decoded call head over the record it came in.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) xid: u32,
    pub(super) version: u32,
    pub(super) procedure: Procedure,
    pub(super) credential: Credential,
    record: Vec<u8>,
    args_at: usize,
}

/// A record that is not an RPC call.
#[derive(Debug, thiserror::Error)]
#[error("not an RPC call")]
pub(super) struct NotACall;

/// XDR items (RFC 4506) taken from a slice one after the other.
#[derive(Debug, Clone, Copy)]
struct Items<'a>(&'a [u8]);

// === impl Procedure ===

impl Procedure {
    /// `PMAPPROC_GETPORT` of the port mapper.
    pub const GETPORT: Self = Self::of(portmap::PROGRAM, 3);
    /// `MOUNTPROC3_MNT`.
    pub const MNT: Self = Self::of(mount::PROGRAM, 1);
    /// `MOUNTPROC3_UMNT`.
    pub const UMNT: Self = Self::of(mount::PROGRAM, 3);
    /// `MOUNTPROC3_EXPORT`.
    pub const EXPORT: Self = Self::of(mount::PROGRAM, 5);
    /// `NFSPROC3_NULL`.
    pub const NULL: Self = Self::nfs(0);
    /// `NFSPROC3_GETATTR`.
    pub const GETATTR: Self = Self::nfs(1);
    /// `NFSPROC3_SETATTR`.
    pub const SETATTR: Self = Self::nfs(2);
    /// `NFSPROC3_LOOKUP`.
    pub const LOOKUP: Self = Self::nfs(3);
    /// `NFSPROC3_ACCESS`.
    pub const ACCESS: Self = Self::nfs(4);
    /// `NFSPROC3_READLINK`.
    pub const READLINK: Self = Self::nfs(5);
    /// `NFSPROC3_READ`.
    pub const READ: Self = Self::nfs(6);
    /// `NFSPROC3_WRITE`.
    pub const WRITE: Self = Self::nfs(7);
    /// `NFSPROC3_CREATE`.
    pub const CREATE: Self = Self::nfs(8);
    /// `NFSPROC3_MKDIR`.
    pub const MKDIR: Self = Self::nfs(9);
    /// `NFSPROC3_SYMLINK`.
    pub const SYMLINK: Self = Self::nfs(10);
    /// `NFSPROC3_MKNOD`.
    pub const MKNOD: Self = Self::nfs(11);
    /// `NFSPROC3_REMOVE`.
    pub const REMOVE: Self = Self::nfs(12);
    /// `NFSPROC3_RMDIR`.
    pub const RMDIR: Self = Self::nfs(13);
    /// `NFSPROC3_RENAME`.
    pub const RENAME: Self = Self::nfs(14);
    /// `NFSPROC3_LINK`.
    pub const LINK: Self = Self::nfs(15);
    /// `NFSPROC3_READDIR`.
    pub const READDIR: Self = Self::nfs(16);
    /// `NFSPROC3_READDIRPLUS`.
    pub const READDIRPLUS: Self = Self::nfs(17);
    /// `NFSPROC3_FSSTAT`.
    pub const FSSTAT: Self = Self::nfs(18);
    /// `NFSPROC3_FSINFO`.
    pub const FSINFO: Self = Self::nfs(19);
    /// `NFSPROC3_PATHCONF`.
    pub const PATHCONF: Self = Self::nfs(20);
    /// `NFSPROC3_COMMIT`.
    pub const COMMIT: Self = Self::nfs(21);

    /// Any procedure of any program.
    pub const fn of(program: u32, number: u32) -> Self {
        Self { program, number }
    }

    const fn nfs(number: u32) -> Self {
        Self::of(nfs3::PROGRAM, number)
    }

    /// Whether this is NFS, and not its NULL.
    pub(super) fn is_file_operation(self) -> bool {
        self.program == nfs3::PROGRAM && self.number != 0
    }

    /// How many handles and directory entry names its arguments begin with: `(handle, name)` pairs.
    fn named_entries(self) -> usize {
        match self {
            Self::LOOKUP
            | Self::CREATE
            | Self::MKDIR
            | Self::SYMLINK
            | Self::MKNOD
            | Self::REMOVE
            | Self::RMDIR => 1,
            Self::RENAME => 2,
            _ => 0,
        }
    }
}

impl fmt::Display for Procedure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.program == nfs3::PROGRAM {
            if let Ok(procedure) = nfs3::NFS_PROGRAM::try_from(self.number) {
                return procedure.fmt(f);
            }
        } else if self.program == mount::PROGRAM {
            if let Ok(procedure) = mount::MOUNT_PROGRAM::try_from(self.number) {
                return procedure.fmt(f);
            }
        } else if self.program == portmap::PROGRAM
            && let Ok(procedure) = portmap::PMAP_PROG::try_from(self.number)
        {
            return procedure.fmt(f);
        }
        write!(f, "{}.{}", self.program, self.number)
    }
}

// === impl Call ===

impl Call {
    pub(super) fn parse(record: Vec<u8>) -> Result<Self, NotACall> {
        let mut items = Items(&record);
        let mut head = || {
            let xid = items.word()?;
            let is_call = items.word()? == 0;
            // Its value is judged by `nfs3_server`.
            items.word()?;
            let program = items.word()?;
            let version = items.word()?;
            let number = items.word()?;
            let flavour = items.word()?;
            let credential = Credential::parse(flavour, items.opaque()?);
            items.word()?;
            items.opaque()?;
            is_call.then_some(Self {
                xid,
                version,
                procedure: Procedure::of(program, number),
                credential,
                args_at: record.len() - items.0.len(),
                record: Vec::new(),
            })
        };
        let call = head().ok_or(NotACall)?;
        Ok(Self { record, ..call })
    }

    pub(super) fn args(&self) -> &[u8] {
        self.record.get(self.args_at..).unwrap_or_default()
    }

    /// This call with other arguments.
    pub(super) fn head_and(&self, args: &[u8]) -> Vec<u8> {
        let head = self.record.get(..self.args_at).unwrap_or_default();
        [head, args].concat()
    }

    /// The opaque item that the arguments begin with: a handle or a path. And what follows it.
    pub(super) fn first_opaque(&self) -> Option<(&[u8], &[u8])> {
        let mut items = Items(self.args());
        let first = items.opaque()?;
        Some((first, items.0))
    }

    /// The mode that MKDIR's attributes ask for.
    pub(super) fn mkdir_mode(&self) -> Option<u32> {
        let mut items = Items(self.args());
        items.opaque()?;
        items.opaque()?;
        (items.word()? == 1).then(|| items.word())?
    }

    /// Names of directory entries (one, or two for RENAME), or the path of a MNT.
    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        let mut items = Items(self.args());
        if matches!(self.procedure, Procedure::MNT | Procedure::UMNT) {
            return items.opaque().into_iter().map(<[u8]>::to_vec).collect();
        }
        (0..self.procedure.named_entries())
            .map_while(|_| {
                items.opaque()?;
                items.opaque().map(<[u8]>::to_vec)
            })
            .collect()
    }
}

// === impl Credential ===

impl Credential {
    fn parse(flavour: u32, body: &[u8]) -> Self {
        match flavour {
            0 => Self::Null,
            1 => Self::parse_sys(body).unwrap_or(Self::Malformed),
            other => Self::Other(other),
        }
    }

    /// RFC 5531, appendix A: stamp, machine name, uid, gid, further groups.
    fn parse_sys(body: &[u8]) -> Option<Self> {
        let mut items = Items(body);
        items.word()?;
        let machine = items.opaque()?.to_vec();
        let (uid, gid) = (items.word()?, items.word()?);
        let groups = items.word()?;
        for _ in 0..groups {
            items.word()?;
        }
        items
            .0
            .is_empty()
            .then_some(Self::Sys { uid, gid, machine })
    }
}

// === impl Items ===

impl<'a> Items<'a> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    /// Variable-length opaque data, with its padding skipped.
    fn opaque(&mut self) -> Option<&'a [u8]> {
        let length = self.word()? as usize;
        let padded = length.checked_next_multiple_of(4)?;
        let item = self.0.get(..length)?;
        self.0 = self.0.get(padded..)?;
        Some(item)
    }
}

//! File handles: what names a file for good, and what rides along with it inside the server.
//!
//! ```text
//! client holds   | nfs3_server: 8 | generation 8 | device 8 | inode 8 | birth 8 |
//! inner hop adds |                                              ... | errand 16 |
//! ```
//!
//! Nothing in a handle belongs to one run of the server, so a restart over the same directory honours the handles it gave out
//! before. The birth time tells a new file from an old one whose inode number it took over; the generation is ours to change when
//! another file system is to appear under the same path (RFC 1813, section 2.6, `NFS3ERR_STALE`).
//!
//! `nfs3_server` gives a file system neither the caller's identity nor the mode of a MKDIR, and asks for a removal without saying
//! whether of a file or of a directory. The front knows all three and sends them as an [`Errand`] behind the handle.

use nfs3_server::vfs::FileHandle;
use rustix::fs::{Statx, StatxFlags};

/// Length of what a client holds: `nfs3_server`'s own eight bytes and the identity.
pub(super) const CLIENT_LEN: usize = 8 + IDENTITY_LEN;

const IDENTITY_LEN: usize = 32;
const ERRAND_LEN: usize = 16;
const NO_MODE: u32 = u32::MAX;

/// Device and inode: what the directory behind the server calls a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// A file, and on the inner hop what is wanted of it.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub(super) generation: u64,
    pub(super) id: FileId,
    pub(super) birth: u64,
    pub(super) errand: Option<Errand>,
    bytes: [u8; IDENTITY_LEN],
}

/// Who asks, by which procedure, and with which mode for what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) procedure: u32,
    pub(super) mode: Option<u32>,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Birth time in nanoseconds, zero where the file system keeps none.
pub(super) fn birth(stat: &Statx) -> u64 {
    if stat.stx_mask & StatxFlags::BTIME.bits() == 0 {
        return 0;
    }
    stat.stx_btime
        .tv_sec
        .cast_unsigned()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(u64::from(stat.stx_btime.tv_nsec))
}

// === impl FileId ===

impl FileId {
    pub(super) fn of(stat: &Statx) -> Self {
        Self {
            device: (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor),
            inode: stat.stx_ino,
        }
    }
}

// === impl Handle ===

impl Handle {
    pub(super) fn new(generation: u64, stat: &Statx) -> Self {
        let (id, birth) = (FileId::of(stat), birth(stat));
        let mut bytes = [0; IDENTITY_LEN];
        for (at, word) in [generation, id.device, id.inode, birth]
            .into_iter()
            .enumerate()
        {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_be_bytes());
        }
        Self {
            generation,
            id,
            birth,
            errand: None,
            bytes,
        }
    }
}

impl FileHandle for Handle {
    fn len(&self) -> usize {
        IDENTITY_LEN
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (identity, rest) = bytes.split_first_chunk::<IDENTITY_LEN>()?;
        let errand = match rest.len() {
            0 => None,
            ERRAND_LEN => Some(Errand::from_bytes(rest)?),
            _ => return None,
        };
        let word = |at: usize| {
            let bytes = identity.get(at * 8..at * 8 + 8)?;
            Some(u64::from_be_bytes(bytes.try_into().ok()?))
        };
        Some(Self {
            generation: word(0)?,
            id: FileId {
                device: word(1)?,
                inode: word(2)?,
            },
            birth: word(3)?,
            errand,
            bytes: *identity,
        })
    }
}

// === impl Errand ===

impl Errand {
    pub(super) fn to_bytes(self) -> [u8; ERRAND_LEN] {
        let mut bytes = [0; ERRAND_LEN];
        let words = [
            self.procedure,
            self.mode.unwrap_or(NO_MODE),
            self.uid,
            self.gid,
        ];
        for (at, word) in words.into_iter().enumerate() {
            bytes[at * 4..at * 4 + 4].copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let bytes = bytes.get(at * 4..at * 4 + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        Some(Self {
            procedure: word(0)?,
            mode: word(1).filter(|mode| *mode != NO_MODE),
            uid: word(2)?,
            gid: word(3)?,
        })
    }
}

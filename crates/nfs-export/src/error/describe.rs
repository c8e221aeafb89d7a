//! What statuses and leftovers look like in words.

use std::fmt;

use nfs3_types::nfs3::nfsstat3;

use super::Leftovers;

// === impl Leftovers ===

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = if self.count == 1 { "entry" } else { "entries" };
        write!(
            f,
            "{} {entries} could not be removed, the rest is gone",
            self.count
        )?;
        for (at, left) in self.first.iter().take(3).enumerate() {
            let separator = if at == 0 { ": " } else { "; " };
            write!(f, "{separator}{:?}", left.path)?;
            if let Some(owner) = left.owner {
                write!(
                    f,
                    " (owner {}:{}, mode {:04o})",
                    owner.uid, owner.gid, owner.mode
                )?;
            }
            write!(f, ": {}", left.cause)?;
        }
        Ok(())
    }
}

/// An NFS status in words, with its name.
pub(super) fn status(status: nfsstat3) -> String {
    let words = match status {
        nfsstat3::NFS3_OK => "no error",
        nfsstat3::NFS3ERR_PERM => "not the owner",
        nfsstat3::NFS3ERR_NOENT => "it does not exist",
        nfsstat3::NFS3ERR_IO => "the server met an I/O error",
        nfsstat3::NFS3ERR_NXIO => "the server's device is gone",
        nfsstat3::NFS3ERR_ACCES => "permission denied",
        nfsstat3::NFS3ERR_EXIST => "it exists",
        nfsstat3::NFS3ERR_XDEV => "the two are on different file systems",
        nfsstat3::NFS3ERR_NODEV => "the server's device cannot do that",
        nfsstat3::NFS3ERR_NOTDIR => "a part of the path is not a directory",
        nfsstat3::NFS3ERR_ISDIR => "it is a directory",
        nfsstat3::NFS3ERR_INVAL => "the server takes an argument for invalid",
        nfsstat3::NFS3ERR_FBIG => "the file would be too large",
        nfsstat3::NFS3ERR_NOSPC => "no space is left on the share",
        nfsstat3::NFS3ERR_ROFS => "the share is read-only",
        nfsstat3::NFS3ERR_MLINK => "the directory holds as many directories as its file system can",
        nfsstat3::NFS3ERR_NAMETOOLONG => "the name is too long for the server",
        nfsstat3::NFS3ERR_NOTEMPTY => "the directory is not empty",
        nfsstat3::NFS3ERR_DQUOT => "the quota is used up",
        nfsstat3::NFS3ERR_STALE => "the file handle is stale",
        nfsstat3::NFS3ERR_REMOTE => "it is remote to the server",
        nfsstat3::NFS3ERR_BADHANDLE => "the file handle is not one of the server's",
        nfsstat3::NFS3ERR_NOT_SYNC => "it changed meanwhile",
        nfsstat3::NFS3ERR_BAD_COOKIE => "the directory changed while it was read",
        nfsstat3::NFS3ERR_NOTSUPP => "the server does not do that",
        nfsstat3::NFS3ERR_TOOSMALL => "the server wants to send more than was asked for",
        nfsstat3::NFS3ERR_SERVERFAULT => "the server failed",
        nfsstat3::NFS3ERR_BADTYPE => "the server does not have that type",
        nfsstat3::NFS3ERR_JUKEBOX => "the server asks for patience",
    };
    format!("{words} ({status})")
}

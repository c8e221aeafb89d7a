//! From cause to recovery: the one place that knows.
//!
//! No match here has a wildcard, so that a new cause or status does not compile until somebody has decided what it means. The crate's
//! documentation shows the same as a table, and the test below holds the two together.

use nfs3_types::{mount::mountstat3, nfs3::nfsstat3, rpc::auth_stat};

use super::{Cause, Recovery};
use crate::rpc::{Broken, Refusal};

// === impl Cause ===

impl Cause {
    /// What to do about it.
    pub fn recovery(&self) -> Recovery {
        match self {
            Self::Unreachable(last) => last.recovery(),
            Self::Resolve { .. } | Self::Connect { .. } => Recovery::Reconnect,
            // The server may be starting: its programs register one after the other.
            Self::NotRegistered { .. } | Self::Malformed(_) | Self::TimedOut(_) => {
                Recovery::BackOff
            }
            Self::Mount(refusal) => of_mount(refusal.status),
            Self::Nfs(status) => of_nfs(*status),
            Self::Refused(refusal) => of_refusal(*refusal),
            Self::Lost(why) => of_broken(why),
            Self::Flavors(_)
            | Self::NotADirectory(_)
            | Self::OtherFileSystem(_)
            | Self::Leftovers(_) => Recovery::TellUser,
        }
    }

    /// Whether the whole share is out of reach, and not only one path.
    pub fn is_share_down(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::NotRegistered { .. }
            | Self::Mount(_)
            | Self::Flavors(_)
            | Self::Refused(_)
            | Self::Lost(_) => true,
            Self::Nfs(_)
            | Self::Malformed(_)
            | Self::TimedOut(_)
            | Self::NotADirectory(_)
            | Self::OtherFileSystem(_)
            | Self::Leftovers(_) => false,
        }
    }

    /// Whether it speaks of a file handle that the server does not know any more.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Nfs(_)) && self.recovery() == Recovery::Remount
    }
}

fn of_nfs(status: nfsstat3) -> Recovery {
    match status {
        nfsstat3::NFS3ERR_STALE | nfsstat3::NFS3ERR_BADHANDLE => Recovery::Remount,
        nfsstat3::NFS3ERR_JUKEBOX | nfsstat3::NFS3ERR_SERVERFAULT | nfsstat3::NFS3ERR_IO => {
            Recovery::BackOff
        }
        // Lost races: what was looked at has changed since.
        nfsstat3::NFS3_OK
        | nfsstat3::NFS3ERR_NOENT
        | nfsstat3::NFS3ERR_EXIST
        | nfsstat3::NFS3ERR_NOT_SYNC
        | nfsstat3::NFS3ERR_BAD_COOKIE
        | nfsstat3::NFS3ERR_NOTEMPTY => Recovery::RetryNow,
        nfsstat3::NFS3ERR_PERM
        | nfsstat3::NFS3ERR_NXIO
        | nfsstat3::NFS3ERR_ACCES
        | nfsstat3::NFS3ERR_XDEV
        | nfsstat3::NFS3ERR_NODEV
        | nfsstat3::NFS3ERR_NOTDIR
        | nfsstat3::NFS3ERR_ISDIR
        | nfsstat3::NFS3ERR_INVAL
        | nfsstat3::NFS3ERR_FBIG
        | nfsstat3::NFS3ERR_NOSPC
        | nfsstat3::NFS3ERR_ROFS
        | nfsstat3::NFS3ERR_MLINK
        | nfsstat3::NFS3ERR_NAMETOOLONG
        | nfsstat3::NFS3ERR_DQUOT
        | nfsstat3::NFS3ERR_REMOTE
        | nfsstat3::NFS3ERR_NOTSUPP
        | nfsstat3::NFS3ERR_TOOSMALL
        | nfsstat3::NFS3ERR_BADTYPE => Recovery::TellUser,
    }
}

fn of_mount(status: mountstat3) -> Recovery {
    match status {
        mountstat3::MNT3_OK => Recovery::RetryNow,
        mountstat3::MNT3ERR_IO | mountstat3::MNT3ERR_SERVERFAULT => Recovery::BackOff,
        mountstat3::MNT3ERR_PERM
        | mountstat3::MNT3ERR_NOENT
        | mountstat3::MNT3ERR_ACCES
        | mountstat3::MNT3ERR_NOTDIR
        | mountstat3::MNT3ERR_INVAL
        | mountstat3::MNT3ERR_NAMETOOLONG
        | mountstat3::MNT3ERR_NOTSUPP => Recovery::TellUser,
    }
}

fn of_refusal(refusal: Refusal) -> Recovery {
    match refusal {
        Refusal::SystemError => Recovery::BackOff,
        Refusal::ProgramUnavailable
        | Refusal::ProgramMismatch { .. }
        | Refusal::ProcedureUnavailable
        | Refusal::GarbageArguments
        | Refusal::RpcMismatch { .. } => Recovery::TellUser,
        Refusal::Auth(stat) => match stat {
            auth_stat::AUTH_OK => Recovery::RetryNow,
            auth_stat::AUTH_REJECTEDCRED
            | auth_stat::AUTH_REJECTEDVERF
            | auth_stat::AUTH_INVALIDRESP => Recovery::BackOff,
            auth_stat::AUTH_BADCRED
            | auth_stat::AUTH_BADVERF
            | auth_stat::AUTH_TOOWEAK
            | auth_stat::AUTH_FAILED => Recovery::TellUser,
        },
    }
}

fn of_broken(why: &Broken) -> Recovery {
    match why {
        Broken::Closed
        | Broken::MidRecord
        | Broken::Io(_)
        | Broken::Framing(_)
        | Broken::NotAReply
        | Broken::Stalled(_)
        | Broken::Silent(_)
        | Broken::Dropped => Recovery::Reconnect,
    }
}

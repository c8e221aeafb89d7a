//! What an administrator can change so that it works.

use nfs3_types::{mount::mountstat3, nfs3::nfsstat3, rpc::auth_stat};

use super::{Cause, MountRefusal, PORTMAPPER};
use crate::rpc::Refusal;

const PORT: &str = "the export is `secure` and this process may not bind a port below 1024: set securityContext.sysctls \
                    net.ipv4.ip_unprivileged_port_start=0, or export with `insecure`";
const SQUASH: &str = "root is squashed on this export: export with `no_root_squash`, or set the uid and gid to those that own the shared \
                      directory";
const PATH: &str =
    "set NFS_PATH (or the class parameter `share`) to a directory that the server exports";
const CLIENT: &str = "export the directory to the address that this process has on the server's side (often that of its node)";
/// Linux's server has one word for a caller whose flavor it does not take, and for one whose address is in no export.
const CLIENT_OR_KERBEROS: &str = "export the directory to the address that this process has on the server's side (often that of its node), and with \
                                  `sec=sys`";
const KERBEROS: &str = "only AUTH_SYS is spoken here: export with `sec=sys`";

/// What to change, where that is known.
pub(super) fn advice(cause: &Cause) -> Option<String> {
    let text = match cause {
        Cause::Unreachable(last) => return last.advice(),
        Cause::Mount(refusal) => return of_mount(refusal),
        Cause::Leftovers(left) => return left.first.first().and_then(|first| advice(&first.cause)),
        Cause::Refused(refusal) => of_refusal(*refusal)?,
        Cause::Nfs(status) => of_nfs(*status)?,
        Cause::Flavors(_) => KERBEROS,
        Cause::Resolve { .. } => {
            "check NFS_SERVER (or the class parameter `server`) and the cluster's DNS"
        }
        Cause::Connect { .. } => {
            "check that the server is up and that its ports 111 (portmapper), MOUNT and NFS are open to this pod; \
                                  without a portmapper set NFS_PORT and MOUNT_PORT"
        }
        Cause::Mute {
            service: PORTMAPPER,
            ..
        } => "restart rpcbind on the server, or do without it: set NFS_PORT and MOUNT_PORT",
        Cause::Mute { .. } => {
            "see on the server what holds it up: often the reverse lookup of this client's address"
        }
        Cause::NotRegistered { .. } => {
            "start the NFS server, or enable its version 3; if it does not register with the portmapper, set NFS_PORT and MOUNT_PORT"
        }
        Cause::NotADirectory(_) => "move it away, or choose another name",
        Cause::OtherFileSystem(_) => "unmount it on the server",
        Cause::Malformed(_) | Cause::Lost(_) | Cause::TimedOut(_) | Cause::Endless(_) => {
            return None;
        }
    };
    Some(text.into())
}

fn of_mount(refusal: &MountRefusal) -> Option<String> {
    if refusal.names_no_export() {
        return Some(PATH.into());
    }
    let text = match refusal.status {
        mountstat3::MNT3ERR_ACCES | mountstat3::MNT3ERR_PERM if !refusal.reserved_port => PORT,
        mountstat3::MNT3ERR_ACCES | mountstat3::MNT3ERR_PERM => CLIENT,
        mountstat3::MNT3ERR_NOENT
        | mountstat3::MNT3ERR_NOTDIR
        | mountstat3::MNT3ERR_INVAL
        | mountstat3::MNT3ERR_NAMETOOLONG => PATH,
        mountstat3::MNT3ERR_NOTSUPP => "enable NFS version 3 on the server",
        mountstat3::MNT3_OK | mountstat3::MNT3ERR_IO | mountstat3::MNT3ERR_SERVERFAULT => {
            return None;
        }
    };
    Some(text.into())
}

fn of_refusal(refusal: Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::Auth(auth_stat::AUTH_TOOWEAK) => Some(
            "the export takes calls from ports below 1024 only (set securityContext.sysctls net.ipv4.ip_unprivileged_port_start=0, or \
             export with `insecure`), or only Kerberos (export with `sec=sys`)",
        ),
        Refusal::Auth(auth_stat::AUTH_BADCRED) => Some(CLIENT_OR_KERBEROS),
        Refusal::Auth(_) | Refusal::OtherAuth(_) => Some(KERBEROS),
        Refusal::ProgramUnavailable | Refusal::ProgramMismatch { .. } => {
            Some("enable NFS version 3 on the server")
        }
        Refusal::ProcedureUnavailable
        | Refusal::GarbageArguments
        | Refusal::SystemError
        | Refusal::RpcMismatch { .. } => None,
    }
}

fn of_nfs(status: nfsstat3) -> Option<&'static str> {
    match status {
        nfsstat3::NFS3ERR_ACCES | nfsstat3::NFS3ERR_PERM => Some(SQUASH),
        nfsstat3::NFS3ERR_ROFS => Some(
            "export the directory `rw`, and check that its file system is not mounted read-only",
        ),
        nfsstat3::NFS3ERR_NOSPC => Some("free space (or inodes) on the share"),
        nfsstat3::NFS3ERR_DQUOT => Some("raise the quota"),
        nfsstat3::NFS3ERR_MLINK => {
            Some("spread the directories with a pathPattern that nests them")
        }
        nfsstat3::NFS3ERR_NAMETOOLONG => Some("choose a shorter name"),
        nfsstat3::NFS3ERR_XDEV => Some("have both directories on one file system"),
        nfsstat3::NFS3ERR_STALE | nfsstat3::NFS3ERR_BADHANDLE => {
            Some("check that the directory is still exported")
        }
        nfsstat3::NFS3_OK
        | nfsstat3::NFS3ERR_NOENT
        | nfsstat3::NFS3ERR_IO
        | nfsstat3::NFS3ERR_NXIO
        | nfsstat3::NFS3ERR_EXIST
        | nfsstat3::NFS3ERR_NODEV
        | nfsstat3::NFS3ERR_NOTDIR
        | nfsstat3::NFS3ERR_ISDIR
        | nfsstat3::NFS3ERR_INVAL
        | nfsstat3::NFS3ERR_FBIG
        | nfsstat3::NFS3ERR_NOTEMPTY
        | nfsstat3::NFS3ERR_REMOTE
        | nfsstat3::NFS3ERR_NOT_SYNC
        | nfsstat3::NFS3ERR_BAD_COOKIE
        | nfsstat3::NFS3ERR_NOTSUPP
        | nfsstat3::NFS3ERR_TOOSMALL
        | nfsstat3::NFS3ERR_SERVERFAULT
        | nfsstat3::NFS3ERR_BADTYPE
        | nfsstat3::NFS3ERR_JUKEBOX => None,
    }
}

//! What the front decides and answers by itself, before `nfs3_server` sees a call.
//!
//! Refused here: calls from unreserved ports where an export is `secure`, calls without AUTH_SYS where it is asked for, handles of an
//! export that is withdrawn, paths outside the export. Answered here: the port mapper, FSSTAT and ACCESS, for which `nfs3_server`
//! has constants. All else is passed on with an errand behind the handle.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nfs3_server::vfs::{FileHandle, NfsReadFileSystem};
use nfs3_types::mount::mountstat3;
use nfs3_types::nfs3::{
    ACCESS3_DELETE, ACCESS3_EXECUTE, ACCESS3_EXTEND, ACCESS3_LOOKUP, ACCESS3_MODIFY, ACCESS3_READ,
    ACCESS3resok, FSSTAT3resok, Nfs3Option, Nfs3Result, filename3, nfsstat3,
};
use nfs3_types::rpc::auth_stat;
use nfs3_types::xdr_codec::{Unpack, Void};
use nfs3_types::{mount, nfs3, portmap};
use rustix::fs::FileType;
use tokio::sync::watch;

use super::attr::{READ, SEARCH, WRITE, file_type, granted};
use super::call::{Call, Credential, Procedure};
use super::dirfs::DirFs;
use super::fault::{AcceptError, Faults};
use super::handle::{CLIENT_LEN, Errand, Handle};
use super::log::CallLog;
use super::{Ports, reply};

/// Linux's `anonuid` and `anongid`.
const NOBODY: u32 = 65534;
const FIRST_ORDINARY_PORT: u16 = 1024;

/// One server's rules of admission and its doors, shared by its connections.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) fs: DirFs,
    pub(super) log: CallLog,
    pub(super) faults: Faults,
    /// Absolute, without a slash at the end unless it is the root.
    pub(super) export: String,
    pub(super) reserved_ports: AtomicBool,
    pub(super) auth_sys: AtomicBool,
    pub(super) root_squash: AtomicBool,
    pub(super) is_exported: AtomicBool,
    /// Whether calls are executed and answered.
    pub(super) is_open: watch::Sender<bool>,
    /// Of the next call that is passed on.
    pub(super) next_xid: AtomicU32,
    /// Its change closes all connections.
    pub(super) kicked: watch::Sender<()>,
}

/// What a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Everything,
    Only(u32),
}

/// What the front makes of a call.
#[derive(Debug)]
pub(super) enum Answer {
    Reply(Vec<u8>),
    /// The call to be sent to `nfs3_server`.
    Forward(Vec<u8>),
}

/// Where a call came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door {
    pub(super) peer: SocketAddr,
    pub(super) role: Role,
    pub(super) ports: Ports,
}

// === impl Service ===

impl Service {
    pub(super) async fn answer(&self, call: &Call, door: Door) -> Answer {
        if let Role::Only(program) = door.role
            && program != call.procedure.program
        {
            let error = AcceptError::ProgUnavail;
            return Answer::Reply(reply::accept_error(call.xid, error));
        }
        if let Credential::Malformed | Credential::Other(_) = call.credential {
            let stat = auth_stat::AUTH_BADCRED;
            return Answer::Reply(reply::auth_error(call.xid, stat));
        }
        match (call.procedure.program, call.version) {
            (portmap::PROGRAM, portmap::VERSION) => portmap_answer(call, door.ports),
            (mount::PROGRAM, mount::VERSION) if call.procedure == Procedure::MNT => {
                self.mount(call, door).await
            }
            (nfs3::PROGRAM, nfs3::VERSION) if call.procedure.is_file_operation() => {
                self.file_operation(call, door)
            }
            _ => Answer::Forward(call.head_and(call.args())),
        }
    }

    async fn mount(&self, call: &Call, door: Door) -> Answer {
        let refused = |status| Answer::Reply(reply::mount_status(call.xid, status));
        if self.refuses_port(door) {
            return refused(mountstat3::MNT3ERR_ACCES);
        }
        let Some((path, _)) = call.first_opaque() else {
            let error = AcceptError::GarbageArgs;
            return Answer::Reply(reply::accept_error(call.xid, error));
        };
        match self.find_mountable(path).await {
            Ok(()) => Answer::Forward(call.head_and(call.args())),
            Err(status) => refused(status),
        }
    }

    /// Whether a path is the export or a directory below it.
    async fn find_mountable(&self, path: &[u8]) -> Result<(), mountstat3> {
        let below = path
            .strip_prefix(self.export.trim_end_matches('/').as_bytes())
            .filter(|below| below.is_empty() || below.starts_with(b"/"))
            .filter(|_| self.is_exported.load(Ordering::Relaxed))
            .ok_or(mountstat3::MNT3ERR_NOENT)?;
        let mut at = self.fs.root_dir();
        for component in below.split(|byte| *byte == b'/') {
            if !component.is_empty() {
                let name = filename3::from(component);
                at = self.fs.lookup(&at, &name).await.map_err(mount_error)?;
            }
        }
        let place = self.fs.tree().place(&at).map_err(mount_error)?;
        match file_type(&place.stat) {
            FileType::Directory => Ok(()),
            _ => Err(mountstat3::MNT3ERR_NOTDIR),
        }
    }

    fn file_operation(&self, call: &Call, door: Door) -> Answer {
        let refused = |status| Answer::Reply(reply::nfs_status(call.xid, call.procedure, status));
        if self.auth_sys.load(Ordering::Relaxed) && call.credential == Credential::Null {
            let stat = auth_stat::AUTH_TOOWEAK;
            return Answer::Reply(reply::auth_error(call.xid, stat));
        }
        if self.refuses_port(door) {
            return refused(nfsstat3::NFS3ERR_PERM);
        }
        let Some((handle, rest)) = call.first_opaque() else {
            let error = AcceptError::GarbageArgs;
            return Answer::Reply(reply::accept_error(call.xid, error));
        };
        if !self.is_exported.load(Ordering::Relaxed) {
            return refused(nfsstat3::NFS3ERR_STALE);
        }
        // What `nfs3_server` would take for an errand must come from here.
        if handle.len() != CLIENT_LEN {
            return refused(nfsstat3::NFS3ERR_BADHANDLE);
        }
        let errand = self.errand(call);
        match call.procedure {
            Procedure::FSSTAT => Answer::Reply(self.fsstat(call, handle)),
            Procedure::ACCESS => Answer::Reply(self.access(call, handle, rest, errand)),
            _ => {
                let length = u32::try_from(handle.len() + errand.to_bytes().len());
                let length = length.unwrap_or_default().to_be_bytes();
                let args = [&length, handle, &errand.to_bytes(), rest].concat();
                Answer::Forward(call.head_and(&args))
            }
        }
    }

    fn refuses_port(&self, door: Door) -> bool {
        self.reserved_ports.load(Ordering::Relaxed) && door.peer.port() >= FIRST_ORDINARY_PORT
    }

    /// The caller as the file system is to see it. Root may be squashed; who does not say who it is, is nobody.
    fn errand(&self, call: &Call) -> Errand {
        let squash = self.root_squash.load(Ordering::Relaxed);
        let squashed = |id: u32| if squash && id == 0 { NOBODY } else { id };
        let (uid, gid) = match call.credential {
            Credential::Sys { uid, gid, .. } => (squashed(uid), squashed(gid)),
            _ => (NOBODY, NOBODY),
        };
        let mode = match call.procedure {
            Procedure::MKDIR => call.mkdir_mode(),
            _ => None,
        };
        Errand {
            procedure: call.procedure.number,
            mode,
            uid,
            gid,
        }
    }

    fn fsstat(&self, call: &Call, handle: &[u8]) -> Vec<u8> {
        let resok = || {
            let handle = identity(handle)?;
            let place = self.fs.tree().place(&handle)?;
            let space = rustix::fs::fstatvfs(&*place.dir).map_err(super::attr::status)?;
            Ok(FSSTAT3resok {
                obj_attributes: Nfs3Option::Some(self.fs.describe(&place.stat)),
                tbytes: space.f_blocks.saturating_mul(space.f_frsize),
                fbytes: space.f_bfree.saturating_mul(space.f_frsize),
                abytes: space.f_bavail.saturating_mul(space.f_frsize),
                tfiles: space.f_files,
                ffiles: space.f_ffree,
                afiles: space.f_favail,
                invarsec: 0,
            })
        };
        match resok() {
            Ok(resok) => reply::success(call.xid, &Nfs3Result::<_, Void>::Ok(resok)),
            Err(status) => reply::nfs_status(call.xid, call.procedure, status),
        }
    }

    fn access(&self, call: &Call, handle: &[u8], mut rest: &[u8], caller: Errand) -> Vec<u8> {
        let Ok((asked, _)) = u32::unpack(&mut rest) else {
            return reply::accept_error(call.xid, AcceptError::GarbageArgs);
        };
        let resok = || {
            let place = self.fs.tree().place(&identity(handle)?)?;
            let is_dir = file_type(&place.stat) == FileType::Directory;
            let rights = granted(&place.stat, Some(caller), READ | WRITE | SEARCH);
            let mut access = 0;
            if rights & READ != 0 {
                access |= ACCESS3_READ;
            }
            if rights & WRITE != 0 && !self.fs.is_read_only() {
                access |= ACCESS3_MODIFY | ACCESS3_EXTEND;
                access |= if is_dir { ACCESS3_DELETE } else { 0 };
            }
            if rights & SEARCH != 0 {
                access |= if is_dir {
                    ACCESS3_LOOKUP
                } else {
                    ACCESS3_EXECUTE
                };
            }
            Ok(ACCESS3resok {
                obj_attributes: Nfs3Option::Some(self.fs.describe(&place.stat)),
                access: access & asked,
            })
        };
        match resok() {
            Ok(resok) => reply::success(call.xid, &Nfs3Result::<_, Void>::Ok(resok)),
            Err(status) => reply::nfs_status(call.xid, call.procedure, status),
        }
    }
}

/// A client's handle without the bytes that `nfs3_server` puts before it.
fn identity(handle: &[u8]) -> Result<Handle, nfsstat3> {
    handle
        .get(8..)
        .and_then(Handle::from_bytes)
        .ok_or(nfsstat3::NFS3ERR_BADHANDLE)
}

fn portmap_answer(call: &Call, ports: Ports) -> Answer {
    if call.procedure != Procedure::GETPORT {
        return Answer::Forward(call.head_and(call.args()));
    }
    let Ok((wanted, _)) = portmap::mapping::unpack(&mut call.args()) else {
        let error = AcceptError::GarbageArgs;
        return Answer::Reply(reply::accept_error(call.xid, error));
    };
    let port = match (wanted.prog, wanted.vers, wanted.prot) {
        (portmap::PROGRAM, portmap::VERSION, portmap::IPPROTO_TCP) => ports.portmap,
        (mount::PROGRAM, mount::VERSION, portmap::IPPROTO_TCP) => ports.mount,
        (nfs3::PROGRAM, nfs3::VERSION, portmap::IPPROTO_TCP) => ports.nfs,
        // RFC 1833, section 3.2: a program that is not here has port zero.
        _ => 0,
    };
    Answer::Reply(reply::success(call.xid, &u32::from(port)))
}

fn mount_error(status: nfsstat3) -> mountstat3 {
    match status {
        nfsstat3::NFS3ERR_PERM => mountstat3::MNT3ERR_PERM,
        nfsstat3::NFS3ERR_NOENT | nfsstat3::NFS3ERR_STALE => mountstat3::MNT3ERR_NOENT,
        nfsstat3::NFS3ERR_ACCES => mountstat3::MNT3ERR_ACCES,
        nfsstat3::NFS3ERR_NOTDIR => mountstat3::MNT3ERR_NOTDIR,
        nfsstat3::NFS3ERR_INVAL | nfsstat3::NFS3ERR_EXIST => mountstat3::MNT3ERR_INVAL,
        nfsstat3::NFS3ERR_NAMETOOLONG => mountstat3::MNT3ERR_NAMETOOLONG,
        _ => mountstat3::MNT3ERR_IO,
    }
}

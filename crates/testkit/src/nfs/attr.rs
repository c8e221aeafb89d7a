//! What the directory says, in NFS's words: attributes, statuses, permissions.
//!
//! Permissions are judged here by mode bits, since the server's process is mostly root and the kernel would refuse it nothing.

use nfs3_types::nfs3::{fattr3, ftype3, nfsstat3, nfstime3, specdata3};
use rustix::fs::{FileType, Statx, StatxTimestamp};
use rustix::io::Errno;

use super::handle::Errand;

pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
pub(super) const SEARCH: u32 = 1;

const STICKY: u32 = 0o1000;

/// The status that Linux's own server sends for an error of the file system below it.
pub(super) fn status(errno: Errno) -> nfsstat3 {
    match errno {
        Errno::PERM => nfsstat3::NFS3ERR_PERM,
        Errno::NOENT => nfsstat3::NFS3ERR_NOENT,
        Errno::NXIO => nfsstat3::NFS3ERR_NXIO,
        Errno::ACCESS => nfsstat3::NFS3ERR_ACCES,
        Errno::EXIST => nfsstat3::NFS3ERR_EXIST,
        Errno::XDEV => nfsstat3::NFS3ERR_XDEV,
        Errno::NODEV => nfsstat3::NFS3ERR_NODEV,
        Errno::NOTDIR => nfsstat3::NFS3ERR_NOTDIR,
        Errno::ISDIR => nfsstat3::NFS3ERR_ISDIR,
        Errno::INVAL | Errno::LOOP => nfsstat3::NFS3ERR_INVAL,
        Errno::FBIG => nfsstat3::NFS3ERR_FBIG,
        Errno::NOSPC => nfsstat3::NFS3ERR_NOSPC,
        Errno::ROFS => nfsstat3::NFS3ERR_ROFS,
        Errno::MLINK => nfsstat3::NFS3ERR_MLINK,
        Errno::NAMETOOLONG => nfsstat3::NFS3ERR_NAMETOOLONG,
        Errno::NOTEMPTY => nfsstat3::NFS3ERR_NOTEMPTY,
        Errno::DQUOT => nfsstat3::NFS3ERR_DQUOT,
        Errno::STALE => nfsstat3::NFS3ERR_STALE,
        Errno::OPNOTSUPP | Errno::NOSYS => nfsstat3::NFS3ERR_NOTSUPP,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => nfsstat3::NFS3ERR_JUKEBOX,
        _ => nfsstat3::NFS3ERR_IO,
    }
}

/// RFC 1813's attributes (section 2.6, `fattr3`) of a file of file system `fsid`.
pub(super) fn attributes(stat: &Statx, fsid: u64) -> fattr3 {
    fattr3 {
        type_: kind(stat),
        mode: permissions(stat),
        nlink: stat.stx_nlink,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        size: stat.stx_size,
        used: stat.stx_blocks.saturating_mul(512),
        rdev: specdata3 {
            specdata1: stat.stx_rdev_major,
            specdata2: stat.stx_rdev_minor,
        },
        fsid,
        fileid: stat.stx_ino,
        atime: time(&stat.stx_atime),
        mtime: time(&stat.stx_mtime),
        ctime: time(&stat.stx_ctime),
    }
}

pub(super) fn file_type(stat: &Statx) -> FileType {
    FileType::from_raw_mode(u32::from(stat.stx_mode))
}

/// Mode bits without the file type, as they go over the wire.
pub(super) fn permissions(stat: &Statx) -> u32 {
    u32::from(stat.stx_mode) & 0o7777
}

/// Which of the asked rights ([`READ`], [`WRITE`], [`SEARCH`]) a caller has on a file.
pub(super) fn granted(stat: &Statx, caller: Option<Errand>, asked: u32) -> u32 {
    let Some(caller) = caller.filter(|caller| caller.uid != 0) else {
        return asked;
    };
    let mode = permissions(stat);
    let class = if caller.uid == stat.stx_uid {
        mode >> 6
    } else if caller.gid == stat.stx_gid {
        mode >> 3
    } else {
        mode
    };
    class & asked
}

pub(super) fn require(stat: &Statx, caller: Option<Errand>, asked: u32) -> Result<(), nfsstat3> {
    if granted(stat, caller, asked) == asked {
        Ok(())
    } else {
        Err(nfsstat3::NFS3ERR_ACCES)
    }
}

/// A sticky directory lets only the owner of a name, or its own, take the name away.
pub(super) fn require_unsticky(
    dir: &Statx,
    file: &Statx,
    caller: Option<Errand>,
) -> Result<(), nfsstat3> {
    let Some(caller) = caller else { return Ok(()) };
    let owns = [0, dir.stx_uid, file.stx_uid].contains(&caller.uid);
    if owns || permissions(dir) & STICKY == 0 {
        Ok(())
    } else {
        Err(nfsstat3::NFS3ERR_ACCES)
    }
}

/// Only the owner changes modes and times, and only root gives files away.
pub(super) fn require_owner(
    stat: &Statx,
    caller: Option<Errand>,
    gives_away: bool,
) -> Result<(), nfsstat3> {
    match caller {
        Some(caller) if caller.uid != 0 && (gives_away || caller.uid != stat.stx_uid) => {
            Err(nfsstat3::NFS3ERR_PERM)
        }
        _ => Ok(()),
    }
}

fn kind(stat: &Statx) -> ftype3 {
    match file_type(stat) {
        FileType::Directory => ftype3::NF3DIR,
        FileType::BlockDevice => ftype3::NF3BLK,
        FileType::CharacterDevice => ftype3::NF3CHR,
        FileType::Symlink => ftype3::NF3LNK,
        FileType::Socket => ftype3::NF3SOCK,
        FileType::Fifo => ftype3::NF3FIFO,
        _ => ftype3::NF3REG,
    }
}

/// NFSv3 counts seconds in 32 unsigned bits: what lies outside is cut to the nearest.
fn time(stamp: &StatxTimestamp) -> nfstime3 {
    nfstime3 {
        seconds: u32::try_from(stamp.tv_sec.max(0)).unwrap_or(u32::MAX),
        nseconds: stamp.tv_nsec,
    }
}

//! SETATTR (RFC 1813, section 3.3.2) on a place in the directory.

use nfs3_types::nfs3::{Nfs3Option, nfsstat3, nfstime3, sattr3, set_atime, set_mtime};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};

use super::attr::{WRITE, file_type, require, require_owner, status};
use super::handle::Errand;
use super::tree::Place;

/// Changes what is asked, in an order in which the last step cannot undo an earlier one.
pub(super) fn apply(
    place: &Place,
    wanted: &sattr3,
    caller: Option<Errand>,
) -> Result<(), nfsstat3> {
    if let Nfs3Option::Some(size) = wanted.size {
        require(&place.stat, caller, WRITE)?;
        truncate(place, size)?;
    }
    chown(place, wanted, caller)?;
    if let Nfs3Option::Some(mode) = wanted.mode {
        require_owner(&place.stat, caller, false)?;
        chmod(place, mode)?;
    }
    touch(place, wanted, caller)
}

pub(super) fn truncate(place: &Place, size: u64) -> Result<(), nfsstat3> {
    match file_type(&place.stat) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(nfsstat3::NFS3ERR_ISDIR),
        _ => return Err(nfsstat3::NFS3ERR_INVAL),
    }
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&*place.dir, place.name.as_slice(), flags, Mode::empty());
    rustix::fs::ftruncate(fd.map_err(status)?, size).map_err(status)
}

fn chown(place: &Place, wanted: &sattr3, caller: Option<Errand>) -> Result<(), nfsstat3> {
    let uid = option(wanted.uid).filter(|uid| *uid != place.stat.stx_uid);
    let gid = option(wanted.gid).filter(|gid| *gid != place.stat.stx_gid);
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    require_owner(&place.stat, caller, true)?;
    rustix::fs::chownat(
        &*place.dir,
        place.name.as_slice(),
        uid.map(Uid::from_raw),
        gid.map(Gid::from_raw),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(status)
}

fn chmod(place: &Place, mode: u32) -> Result<(), nfsstat3> {
    if file_type(&place.stat) == FileType::Symlink {
        return Err(nfsstat3::NFS3ERR_NOTSUPP);
    }
    let mode = Mode::from_raw_mode(mode & 0o7777);
    rustix::fs::chmodat(&*place.dir, place.name.as_slice(), mode, AtFlags::empty()).map_err(status)
}

fn touch(place: &Place, wanted: &sattr3, caller: Option<Errand>) -> Result<(), nfsstat3> {
    if matches!(
        (wanted.atime, wanted.mtime),
        (set_atime::DONT_CHANGE, set_mtime::DONT_CHANGE)
    ) {
        return Ok(());
    }
    require_owner(&place.stat, caller, false)?;
    let times = Timestamps {
        last_access: match wanted.atime {
            set_atime::DONT_CHANGE => symbolic(rustix::fs::UTIME_OMIT),
            set_atime::SET_TO_SERVER_TIME => symbolic(rustix::fs::UTIME_NOW),
            set_atime::SET_TO_CLIENT_TIME(time) => literal(time),
        },
        last_modification: match wanted.mtime {
            set_mtime::DONT_CHANGE => symbolic(rustix::fs::UTIME_OMIT),
            set_mtime::SET_TO_SERVER_TIME => symbolic(rustix::fs::UTIME_NOW),
            set_mtime::SET_TO_CLIENT_TIME(time) => literal(time),
        },
    };
    let name = place.name.as_slice();
    rustix::fs::utimensat(&*place.dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(status)
}

fn symbolic(nanoseconds: rustix::fs::Nsecs) -> Timespec {
    Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    }
}

fn literal(time: nfstime3) -> Timespec {
    Timespec {
        tv_sec: i64::from(time.seconds),
        tv_nsec: i64::from(time.nseconds),
    }
}

fn option(value: Nfs3Option<u32>) -> Option<u32> {
    match value {
        Nfs3Option::Some(value) => Some(value),
        Nfs3Option::None => None,
    }
}

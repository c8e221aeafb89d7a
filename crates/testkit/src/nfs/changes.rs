//! The half of the file system that changes the directory.
//!
//! What is made belongs to its maker and has the mode that was asked for, whatever this process's user and umask. A process that is not root
//! leaves ownership alone.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nfs3_server::vfs::{NfsFileSystem, VFSCapabilities};
use nfs3_types::nfs3::{
    NFS_PROGRAM, Nfs3Option, createverf3, fattr3, filename3, nfspath3, nfsstat3, sattr3, stable_how,
};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Statx, Uid};
use rustix::io::Errno;

use super::attr::{SEARCH, WRITE, file_type, permissions, require, require_unsticky, status};
use super::dirfs::{DirFs, checked};
use super::handle::{Errand, FileId, Handle};
use super::setattr;
use super::tree::{Place, stat_at};

const DEFAULT_FILE_MODE: u32 = 0o644;
const DEFAULT_DIR_MODE: u32 = 0o755;
const SETGID: u32 = 0o2000;

/// Gives what was made by `caller` its mode and owner, whatever this process's umask and user.
fn settle(
    place: &Place,
    parent: &Statx,
    mode: Option<u32>,
    caller: Option<Errand>,
) -> Result<(), nfsstat3> {
    let (dir, name) = (&*place.dir, place.name.as_slice());
    if let Some(caller) = caller.filter(|_| rustix::process::geteuid().is_root()) {
        let inherits = permissions(parent) & SETGID != 0;
        let gid = (!inherits).then_some(Gid::from_raw(caller.gid));
        let uid = Some(Uid::from_raw(caller.uid));
        rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(status)?;
    }
    // After the change of owner, which takes the set-id bits away.
    if let Some(mode) = mode {
        let inherited = match file_type(&place.stat) {
            FileType::Directory => permissions(parent) & SETGID,
            _ => 0,
        };
        let mode = Mode::from_raw_mode((mode & 0o7777) | inherited);
        rustix::fs::chmodat(dir, name, mode, AtFlags::empty()).map_err(status)?;
    }
    Ok(())
}

// === impl DirFs ===

impl DirFs {
    /// A directory in which the caller may make, rename and remove.
    fn writable_dir(
        &self,
        dir: &Handle,
        caller: Option<Errand>,
    ) -> Result<(Arc<OwnedFd>, Statx), nfsstat3> {
        let (fd, stat) = self.tree().dir(dir)?;
        require(&stat, caller, WRITE | SEARCH)?;
        Ok((fd, stat))
    }

    /// Remembers what was just made under `name`, and hands it to its maker.
    fn adopt(
        &self,
        dir: &Handle,
        parent: &Statx,
        place: &Place,
        mode: Option<u32>,
    ) -> Result<(Handle, fattr3), nfsstat3> {
        settle(place, parent, mode, dir.errand)?;
        let stat = stat_at(&place.dir, &place.name).map_err(status)?;
        let handle = self.tree().remember(dir.id, &place.name, &stat);
        Ok((handle, self.describe(&stat)))
    }
}

impl NfsFileSystem for DirFs {
    fn capabilities(&self) -> VFSCapabilities {
        if self.is_read_only() {
            VFSCapabilities::ReadOnly
        } else {
            VFSCapabilities::ReadWrite
        }
    }

    async fn setattr(&self, id: &Handle, wanted: sattr3) -> Result<fattr3, nfsstat3> {
        let place = self.tree().place(id)?;
        setattr::apply(&place, &wanted, id.errand)?;
        Ok(self.describe(&self.tree().place(id)?.stat))
    }

    async fn write(
        &self,
        id: &Handle,
        offset: u64,
        data: &[u8],
        stable: stable_how,
    ) -> Result<(fattr3, stable_how), nfsstat3> {
        let fd = self.open_file(id, OFlags::WRONLY, WRITE)?;
        let mut written = 0;
        while written < data.len() {
            match rustix::io::pwrite(&fd, &data[written..], offset + written as u64) {
                Ok(n) => written += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(status(errno)),
            }
        }
        if stable != stable_how::UNSTABLE {
            rustix::fs::fdatasync(&fd).map_err(status)?;
        }
        let attributes = self.describe(&self.tree().place(id)?.stat);
        Ok((attributes, stable))
    }

    async fn create(
        &self,
        dir: &Handle,
        name: &filename3<'_>,
        wanted: sattr3,
    ) -> Result<(Handle, fattr3), nfsstat3> {
        let name = checked(name.as_ref())?;
        let (fd, parent) = self.writable_dir(dir, dir.errand)?;
        let is_new = stat_at(&fd, name).is_err();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mode = Mode::from_raw_mode(DEFAULT_FILE_MODE);
        let opened = rustix::fs::openat(&*fd, name, flags | OFlags::CLOEXEC, mode);
        match opened {
            Ok(_) => {}
            Err(Errno::ISDIR | Errno::LOOP) => return Err(nfsstat3::NFS3ERR_EXIST),
            Err(errno) => return Err(status(errno)),
        }
        let stat = stat_at(&fd, name).map_err(status)?;
        let place = Place {
            dir: fd,
            name: name.to_vec(),
            stat,
        };
        if let Nfs3Option::Some(size) = wanted.size {
            setattr::truncate(&place, size)?;
        }
        if !is_new {
            let handle = self.tree().remember(dir.id, name, &place.stat);
            return Ok((handle, self.describe(&place.stat)));
        }
        let mode = match wanted.mode {
            Nfs3Option::Some(mode) => mode,
            Nfs3Option::None => DEFAULT_FILE_MODE,
        };
        self.adopt(dir, &parent, &place, Some(mode))
    }

    async fn create_exclusive(
        &self,
        _dir: &Handle,
        _name: &filename3<'_>,
        _verifier: createverf3,
    ) -> Result<Handle, nfsstat3> {
        // RFC 1813, section 3.3.8: a server that cannot keep the verifier on the disk says so.
        Err(nfsstat3::NFS3ERR_NOTSUPP)
    }

    async fn mkdir(
        &self,
        dir: &Handle,
        name: &filename3<'_>,
    ) -> Result<(Handle, fattr3), nfsstat3> {
        let name = checked(name.as_ref())?;
        let (fd, parent) = self.writable_dir(dir, dir.errand)?;
        rustix::fs::mkdirat(&*fd, name, Mode::from_raw_mode(0o700)).map_err(status)?;
        let stat = stat_at(&fd, name).map_err(status)?;
        let place = Place {
            dir: fd,
            name: name.to_vec(),
            stat,
        };
        let asked = dir.errand.and_then(|errand| errand.mode);
        let mode = asked
            .filter(|_| !self.mkdir_ignores_mode())
            .unwrap_or(DEFAULT_DIR_MODE);
        self.adopt(dir, &parent, &place, Some(mode))
    }

    async fn remove(&self, dir: &Handle, name: &filename3<'_>) -> Result<(), nfsstat3> {
        let (fd, parent) = self.writable_dir(dir, dir.errand)?;
        let wants_dir = dir
            .errand
            .is_some_and(|errand| errand.procedure == NFS_PROGRAM::NFSPROC3_RMDIR as u32);
        let name = match name.as_ref() {
            b"." | b".." if wants_dir => return Err(nfsstat3::NFS3ERR_INVAL),
            name => checked(name)?,
        };
        let stat = stat_at(&fd, name).map_err(status)?;
        require_unsticky(&parent, &stat, dir.errand)?;
        let flags = if wants_dir {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        rustix::fs::unlinkat(&*fd, name, flags).map_err(status)?;
        self.tree().forget(FileId::of(&stat));
        Ok(())
    }

    async fn rename<'a>(
        &self,
        from: &Handle,
        from_name: &filename3<'a>,
        to: &Handle,
        to_name: &filename3<'a>,
    ) -> Result<(), nfsstat3> {
        let caller = from.errand;
        let (from_name, to_name) = (checked(from_name.as_ref())?, checked(to_name.as_ref())?);
        let (from_fd, from_stat) = self.writable_dir(from, caller)?;
        let (to_fd, to_stat) = self.writable_dir(to, caller)?;
        let moved = stat_at(&from_fd, from_name).map_err(status)?;
        require_unsticky(&from_stat, &moved, caller)?;
        let replaced = stat_at(&to_fd, to_name).ok();
        if let Some(replaced) = &replaced {
            require_unsticky(&to_stat, replaced, caller)?;
        }
        rustix::fs::renameat(&*from_fd, from_name, &*to_fd, to_name).map_err(status)?;
        if let Some(replaced) = replaced {
            self.tree().forget(FileId::of(&replaced));
        }
        self.tree().remember(to.id, to_name, &moved);
        Ok(())
    }

    async fn symlink<'a>(
        &self,
        dir: &Handle,
        name: &filename3<'a>,
        target: &nfspath3<'a>,
        _wanted: &sattr3,
    ) -> Result<(Handle, fattr3), nfsstat3> {
        let name = checked(name.as_ref())?;
        let (fd, parent) = self.writable_dir(dir, dir.errand)?;
        rustix::fs::symlinkat(target.as_ref(), &*fd, name).map_err(status)?;
        let stat = stat_at(&fd, name).map_err(status)?;
        let place = Place {
            dir: fd,
            name: name.to_vec(),
            stat,
        };
        // A symbolic link has no mode of its own.
        self.adopt(dir, &parent, &place, None)
    }

    async fn commit(&self, id: &Handle, _offset: u64, _count: u32) -> Result<(), nfsstat3> {
        let fd = self.open_file(id, OFlags::RDONLY, 0)?;
        rustix::fs::fsync(&fd).map_err(status)
    }
}

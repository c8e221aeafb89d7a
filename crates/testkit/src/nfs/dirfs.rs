//! A real directory as `nfs3_server`'s file system.
//!
//! System calls are made right here and not on a thread of their own: each takes microseconds on a local directory, and a hop would
//! let a paused clock run ahead of the server in tests. What the disk refuses reaches the client as the disk said it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nfs3_server::vfs::{NfsReadFileSystem, ReadDirPlusIterator};
use nfs3_types::nfs3::{fattr3, filename3, nfspath3, nfsstat3};
use rustix::fs::{FileType, Mode, OFlags, Statx};
use rustix::io::Errno;

use super::attr::{READ, SEARCH, attributes, file_type, require, status};
use super::handle::Handle;
use super::listing::{Listing, Names};
use super::tree::{Tree, stat_at};

const MAX_READ: u32 = 1024 * 1024;

/// A cheap handle on the shared file system.
#[derive(Debug, Clone)]
pub(super) struct DirFs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tree: Tree,
    read_only: AtomicBool,
    mkdir_ignores_mode: bool,
}

/// Refuses what no directory entry can be called. The kernel judges the length.
pub(super) fn checked(name: &[u8]) -> Result<&[u8], nfsstat3> {
    match name {
        b"" => Err(nfsstat3::NFS3ERR_INVAL),
        b"." | b".." => Err(nfsstat3::NFS3ERR_EXIST),
        name if name.contains(&b'/') || name.contains(&0) => Err(nfsstat3::NFS3ERR_INVAL),
        name => Ok(name),
    }
}

// === impl DirFs ===

impl DirFs {
    pub(super) fn open(root: &Path, generation: u64, mkdir_ignores_mode: bool) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            tree: Tree::open(root, generation)?,
            read_only: AtomicBool::new(false),
            mkdir_ignores_mode,
        })))
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.0.tree
    }

    pub(super) fn set_read_only(&self, read_only: bool) {
        self.0.read_only.store(read_only, Ordering::Relaxed);
    }

    pub(super) fn mkdir_ignores_mode(&self) -> bool {
        self.0.mkdir_ignores_mode
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.0.read_only.load(Ordering::Relaxed)
    }

    pub(super) fn describe(&self, stat: &Statx) -> fattr3 {
        attributes(stat, self.tree().generation())
    }

    pub(super) fn open_file(
        &self,
        file: &Handle,
        flags: OFlags,
        asked: u32,
    ) -> Result<OwnedFd, nfsstat3> {
        let place = self.tree().place(file)?;
        match file_type(&place.stat) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(nfsstat3::NFS3ERR_ISDIR),
            _ => return Err(nfsstat3::NFS3ERR_INVAL),
        }
        // The owner reads and writes what it has open whatever the mode became since: NFS has no open.
        if file
            .errand
            .is_none_or(|caller| caller.uid != place.stat.stx_uid)
        {
            require(&place.stat, file.errand, asked)?;
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&*place.dir, place.name.as_slice(), flags, Mode::empty()).map_err(status)
    }
}

impl NfsReadFileSystem for DirFs {
    type Handle = Handle;

    fn root_dir(&self) -> Handle {
        self.tree().root()
    }

    async fn lookup(&self, dir: &Handle, name: &filename3<'_>) -> Result<Handle, nfsstat3> {
        let (fd, stat) = self.tree().dir(dir)?;
        require(&stat, dir.errand, SEARCH)?;
        match name.as_ref() {
            b"." => Ok(dir.clone()),
            b".." => self.tree().parent(dir),
            name => {
                let name = checked(name)?;
                let stat = stat_at(&fd, name).map_err(status)?;
                Ok(self.tree().remember(dir.id, name, &stat))
            }
        }
    }

    async fn getattr(&self, id: &Handle) -> Result<fattr3, nfsstat3> {
        Ok(self.describe(&self.tree().place(id)?.stat))
    }

    async fn read(
        &self,
        id: &Handle,
        offset: u64,
        count: u32,
    ) -> Result<(Vec<u8>, bool), nfsstat3> {
        let fd = self.open_file(id, OFlags::RDONLY, READ)?;
        let mut bytes = vec![0; count.min(MAX_READ) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::io::pread(&fd, &mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(status(errno)),
            }
        }
        bytes.truncate(filled);
        let size = rustix::fs::fstat(&fd).map_err(status)?.st_size;
        let end = offset.saturating_add(filled as u64) >= size.cast_unsigned();
        Ok((bytes, end))
    }

    async fn readdirplus(
        &self,
        dir: &Handle,
        cookie: u64,
    ) -> Result<impl ReadDirPlusIterator<Handle>, nfsstat3> {
        let (fd, stat) = self.tree().dir(dir)?;
        require(&stat, dir.errand, READ)?;
        let names = Names::open(&fd, cookie).map_err(status)?;
        Ok(Listing::new(self.clone(), dir.clone(), names))
    }

    async fn readlink(&self, id: &Handle) -> Result<nfspath3<'_>, nfsstat3> {
        let place = self.tree().place(id)?;
        let target = rustix::fs::readlinkat(&*place.dir, place.name.as_slice(), Vec::new());
        Ok(nfspath3::from(target.map_err(status)?.into_bytes()))
    }
}

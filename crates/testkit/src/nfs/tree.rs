//! From a handle back to a place in the directory.
//!
//! A handle holds an inode, and the kernel opens files by name, so every directory and every file that was looked up is remembered
//! with its parent and name: `inode -> (parent, name)`. What is remembered is checked against the disk at each use. What is not
//! remembered (after a restart), or is no longer where it was (moved behind the server's back), is searched for; what cannot be
//! found is stale. Symbolic links are never followed.
//!
//! Directories are opened one from the other, never by a whole path: a tree may be deeper than `PATH_MAX`.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nfs3_types::nfs3::nfsstat3;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::attr::{file_type, status};
use super::handle::{FileId, Handle, birth};
use super::known::Known;
use super::listing::Names;

/// A directory, and the names of what is in it, by handle.
#[derive(Debug)]
pub(super) struct Tree {
    root: Arc<OwnedFd>,
    root_stat: Statx,
    generation: AtomicU64,
    known: Mutex<Known>,
}

/// A name in an open directory. The root is `.` in itself.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: Vec<u8>,
    pub(super) stat: Statx,
}

/// Attributes of a name, never of what a symbolic link points to.
pub(super) fn stat_at(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<Statx> {
    rustix::fs::statx(
        dir,
        name,
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::BASIC_STATS | StatxFlags::BTIME,
    )
}

fn stat_of(fd: &OwnedFd) -> rustix::io::Result<Statx> {
    rustix::fs::statx(
        fd,
        c"",
        AtFlags::EMPTY_PATH,
        StatxFlags::BASIC_STATS | StatxFlags::BTIME,
    )
}

fn open_dir_at(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

// === impl Tree ===

impl Tree {
    pub(super) fn open(root: &Path, generation: u64) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty())?;
        let root_stat = stat_of(&fd)?;
        Ok(Self {
            root: Arc::new(fd),
            root_stat,
            generation: AtomicU64::new(generation),
            known: Mutex::default(),
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// From here on, no handle given out before is honoured.
    pub(super) fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn root(&self) -> Handle {
        Handle::new(self.generation(), &self.root_stat)
    }

    pub(super) fn is_root(&self, handle: &Handle) -> bool {
        handle.id == self.root_id()
    }

    /// Where a file is, with its attributes of this moment.
    pub(super) fn place(&self, handle: &Handle) -> Result<Place, nfsstat3> {
        self.check_generation(handle)?;
        let mut known = self.known();
        if let Some(place) = self.remembered(&mut known, handle)? {
            return Ok(place);
        }
        self.search(&mut known)?;
        self.remembered(&mut known, handle)?
            .ok_or(nfsstat3::NFS3ERR_STALE)
    }

    /// A directory opened for use with `*at` calls, with its attributes of this moment.
    pub(super) fn dir(&self, handle: &Handle) -> Result<(Arc<OwnedFd>, Statx), nfsstat3> {
        self.check_generation(handle)?;
        let mut known = self.known();
        if let Some((fd, _)) = known.open.get(&handle.id) {
            let fd = Arc::clone(fd);
            let stat = stat_of(&fd).map_err(status)?;
            if is_same(&stat, handle) {
                return Ok((fd, stat));
            }
            known.open.remove(&handle.id);
        }
        drop(known);
        let place = self.place(handle)?;
        if file_type(&place.stat) != FileType::Directory {
            return Err(nfsstat3::NFS3ERR_NOTDIR);
        }
        let fd = self
            .open_dir(&mut self.known(), handle.id)
            .map_err(status)?;
        Ok((fd, place.stat))
    }

    pub(super) fn parent(&self, handle: &Handle) -> Result<Handle, nfsstat3> {
        if self.is_root(handle) {
            return Ok(self.root());
        }
        self.place(handle)?;
        let mut known = self.known();
        let parent = known
            .nodes
            .get(&handle.id)
            .map(|node| node.parent)
            .ok_or(nfsstat3::NFS3ERR_STALE)?;
        let fd = self.open_dir(&mut known, parent).map_err(status)?;
        let stat = stat_of(&fd).map_err(status)?;
        Ok(Handle::new(self.generation(), &stat))
    }

    /// Remembers a name that was seen in a directory.
    pub(super) fn remember(&self, dir: FileId, name: &[u8], stat: &Statx) -> Handle {
        self.known().put(dir, name, stat);
        Handle::new(self.generation(), stat)
    }

    pub(super) fn forget(&self, id: FileId) {
        let mut known = self.known();
        known.nodes.remove(&id);
        known.open.remove(&id);
    }

    fn root_id(&self) -> FileId {
        FileId::of(&self.root_stat)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_generation(&self, handle: &Handle) -> Result<(), nfsstat3> {
        match handle.generation.cmp(&self.generation()) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(nfsstat3::NFS3ERR_STALE),
            std::cmp::Ordering::Greater => Err(nfsstat3::NFS3ERR_BADHANDLE),
        }
    }

    /// The place a handle was last seen at, if it is still the same file.
    fn remembered(&self, known: &mut Known, handle: &Handle) -> Result<Option<Place>, nfsstat3> {
        let (dir, name) = if handle.id == self.root_id() {
            (Arc::clone(&self.root), b".".to_vec())
        } else {
            let Some(node) = known.nodes.get(&handle.id) else {
                return Ok(None);
            };
            let (parent, name) = (node.parent, node.name.to_vec());
            match self.open_dir(known, parent) {
                Ok(dir) => (dir, name),
                Err(errno) => return absent(errno),
            }
        };
        match stat_at(&dir, &name) {
            Ok(stat) if is_same(&stat, handle) => Ok(Some(Place { dir, name, stat })),
            Ok(_) => Ok(None),
            Err(errno) => absent(errno),
        }
    }

    /// Opens a directory from its nearest ancestor that is open already.
    fn open_dir(&self, known: &mut Known, id: FileId) -> rustix::io::Result<Arc<OwnedFd>> {
        let mut missing = Vec::new();
        let mut at = id;
        let mut fd = loop {
            if at == self.root_id() {
                break Arc::clone(&self.root);
            }
            if let Some(fd) = known.touch(at) {
                break fd;
            }
            let node = known.nodes.get(&at).ok_or(Errno::NOENT)?;
            missing.push((at, node.name.clone()));
            if missing.len() > known.nodes.len() {
                return Err(Errno::NOENT);
            }
            at = node.parent;
        };
        while let Some((id, name)) = missing.pop() {
            let next = open_dir_at(&fd, &name)?;
            if FileId::of(&stat_of(&next)?) != id {
                return Err(Errno::NOENT);
            }
            fd = Arc::new(next);
            known.keep_open(id, Arc::clone(&fd));
        }
        Ok(fd)
    }

    /// Walks the whole tree, so that each handle that is still good is known afterwards.
    fn search(&self, known: &mut Known) -> Result<(), nfsstat3> {
        known.open.clear();
        known.nodes.clear();
        let mut waiting = VecDeque::from([self.root_id()]);
        while let Some(dir) = waiting.pop_front() {
            let Ok(fd) = self.open_dir(known, dir) else {
                continue;
            };
            let Ok(mut names) = Names::open(&fd, 0) else {
                continue;
            };
            while let Some(entry) = names.next().map_err(status)? {
                if matches!(entry.name.as_slice(), b"." | b"..") {
                    continue;
                }
                let Ok(stat) = stat_at(&fd, &entry.name) else {
                    continue;
                };
                known.put(dir, &entry.name, &stat);
                if file_type(&stat) == FileType::Directory {
                    waiting.push_back(FileId::of(&stat));
                }
            }
        }
        Ok(())
    }
}

/// A file without a link left is open somewhere, and no longer anywhere.
fn is_same(stat: &Statx, handle: &Handle) -> bool {
    FileId::of(stat) == handle.id && birth(stat) == handle.birth && stat.stx_nlink > 0
}

/// A place that is gone is no error yet: the file may be elsewhere.
fn absent<T>(errno: Errno) -> Result<Option<T>, nfsstat3> {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE => Ok(None),
        other => Err(status(other)),
    }
}

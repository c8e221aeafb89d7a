//! Directory pages: the kernel's own directory offsets are the cookies.
//!
//! They stay good while entries come and go on the file systems that hand out stable offsets (ext4, xfs, tmpfs since Linux 6.6), so
//! a page costs the same at the end of a large directory as at its start. `.` and `..` are listed, as Linux's server does.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use nfs3_server::vfs::{DirEntryPlus, NextResult, ReadDirPlusIterator};
use nfs3_types::nfs3::filename3;
use rustix::fs::{FileType, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

use super::attr::{attributes, file_type, status};
use super::dirfs::DirFs;
use super::handle::{FileId, Handle};
use super::tree::stat_at;

const CHUNK: usize = 8 * 1024;

/// The entries of a directory from a cookie on.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) fd: OwnedFd,
    ready: VecDeque<Entry>,
    end: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) inode: u64,
    pub(super) cookie: u64,
}

/// A directory's entries with attributes and handles.
pub(super) struct Listing {
    fs: DirFs,
    dir: Handle,
    names: Names,
}

// === impl Names ===

impl Names {
    pub(super) fn open(dir: &OwnedFd, cookie: u64) -> rustix::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, c".", flags, Mode::empty())?;
        if cookie != 0 {
            rustix::fs::seek(&fd, SeekFrom::Start(cookie))?;
        }
        Ok(Self {
            fd,
            ready: VecDeque::new(),
            end: false,
        })
    }

    pub(super) fn next(&mut self) -> rustix::io::Result<Option<Entry>> {
        if self.ready.is_empty() && !self.end {
            self.fill()?;
        }
        Ok(self.ready.pop_front())
    }

    fn fill(&mut self) -> rustix::io::Result<()> {
        let mut buffer = Vec::with_capacity(CHUNK);
        let mut raw = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        loop {
            match raw.next() {
                // A directory that was removed while it was open has no entries.
                None | Some(Err(Errno::NOENT)) => {
                    self.end = true;
                    return Ok(());
                }
                Some(Err(errno)) => return Err(errno),
                Some(Ok(entry)) => self.ready.push_back(Entry {
                    name: entry.file_name().to_bytes().to_vec(),
                    inode: entry.ino(),
                    cookie: entry.next_entry_cookie(),
                }),
            }
            if raw.is_buffer_empty() {
                return Ok(());
            }
        }
    }
}

// === impl Listing ===

impl Listing {
    pub(super) fn new(fs: DirFs, dir: Handle, names: Names) -> Self {
        Self { fs, dir, names }
    }

    /// What is known of one name; nothing when it has gone since the directory was read.
    fn describe(&self, entry: &Entry) -> Option<DirEntryPlus<Handle>> {
        let mut described = DirEntryPlus {
            fileid: entry.inode,
            name: filename3::from(entry.name.clone()),
            cookie: entry.cookie,
            name_attributes: None,
            name_handle: None,
        };
        let tree = self.fs.tree();
        // What lies above the export is nobody's business.
        if entry.name == b".." && tree.is_root(&self.dir) {
            described.fileid = self.dir.id.inode;
            return Some(described);
        }
        let stat = stat_at(&self.names.fd, &entry.name).ok()?;
        let is_entry = !matches!(entry.name.as_slice(), b"." | b"..");
        let handle = if is_entry && file_type(&stat) == FileType::Directory {
            tree.remember(self.dir.id, &entry.name, &stat)
        } else {
            Handle::new(tree.generation(), &stat)
        };
        described.fileid = FileId::of(&stat).inode;
        described.name_attributes = Some(attributes(&stat, tree.generation()));
        described.name_handle = Some(handle);
        Some(described)
    }
}

impl ReadDirPlusIterator<Handle> for Listing {
    async fn next(&mut self) -> NextResult<DirEntryPlus<Handle>> {
        loop {
            match self.names.next() {
                Ok(None) => return NextResult::Eof,
                Err(errno) => return NextResult::Err(status(errno)),
                Ok(Some(entry)) => {
                    if let Some(described) = self.describe(&entry) {
                        return NextResult::Ok(described);
                    }
                }
            }
        }
    }
}

//! The calls of a removal, and what their statuses mean for an entry that is to be gone.

use nfs3_types::nfs3::{REMOVE3args, RMDIR3args, diropargs3, nfs_fh3, nfsstat3};

use crate::{
    Cause, Malformed,
    export::stat::{Cookie, Page, page},
    session::{Doubt, Found, Session},
};

/// Index of a directory in the tree.
pub(super) type Id = usize;

/// A call to make.
#[derive(Debug)]
pub(super) enum Op {
    /// Read a page of directory `dir`.
    Scan {
        dir: Id,
        handle: nfs_fh3,
        cookie: Cookie,
    },
    /// Remove what is no directory.
    Unlink {
        dir: Id,
        handle: nfs_fh3,
        name: Vec<u8>,
    },
    /// Find out what `name` is.
    Look {
        dir: Id,
        handle: nfs_fh3,
        name: Vec<u8>,
    },
    /// Remove directory `dir`, which is `name` in the directory of `parent`.
    Rmdir {
        dir: Id,
        parent: nfs_fh3,
        name: Vec<u8>,
    },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    Scanned(Id, Result<Page, Cause>),
    /// `true`: it went by this call.
    Unlinked(Id, Vec<u8>, Result<bool, Cause>),
    /// `None`: it is not there.
    Looked(Id, Vec<u8>, Result<Option<Found>, Cause>),
    Rmdired(Id, Result<Emptied, Cause>),
}

/// What RMDIR did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emptied {
    Removed,
    WasGone,
    NotEmpty,
}

pub(super) async fn perform(session: &Session, bytes: u32, doubt: &Doubt, op: Op) -> Done {
    match op {
        Op::Scan {
            dir,
            handle,
            cookie,
        } => Done::Scanned(dir, page(session, &handle, cookie, bytes).await),
        Op::Unlink { dir, handle, name } => {
            let unlinked = unlink(session, handle, &name, doubt).await;
            Done::Unlinked(dir, name, unlinked)
        }
        Op::Look { dir, handle, name } => {
            match session.lookup(&handle, &name).await {
                // Of a type of its own: whatever it is, it is no directory.
                Err(Cause::Malformed(Malformed::Kind(_))) => {
                    let unlinked = unlink(session, handle, &name, doubt).await;
                    Done::Unlinked(dir, name, unlinked)
                }
                found => Done::Looked(dir, name, found),
            }
        }
        Op::Rmdir { dir, parent, name } => {
            Done::Rmdired(dir, rmdir(session, parent, &name, doubt).await)
        }
    }
}

/// REMOVE; `true`: it went by this call. Gone before is as good, and after a repeated call it is taken for the work of the first copy.
pub(super) async fn unlink(
    session: &Session,
    directory: nfs_fh3,
    name: &[u8],
    doubt: &Doubt,
) -> Result<bool, Cause> {
    let object = diropargs3 {
        dir: directory,
        name: name.into(),
    };
    let answer = session.change(&REMOVE3args { object }, doubt).await?;
    match answer.result {
        Ok(_) => Ok(true),
        Err((nfsstat3::NFS3ERR_NOENT, _)) => Ok(answer.repeated),
        Err((status, _)) => Err(Cause::Nfs(status)),
    }
}

async fn rmdir(
    session: &Session,
    directory: nfs_fh3,
    name: &[u8],
    doubt: &Doubt,
) -> Result<Emptied, Cause> {
    let object = diropargs3 {
        dir: directory,
        name: name.into(),
    };
    let answer = session.change(&RMDIR3args { object }, doubt).await?;
    match answer.result {
        Ok(_) => Ok(Emptied::Removed),
        Err((nfsstat3::NFS3ERR_NOENT, _)) if answer.repeated => Ok(Emptied::Removed),
        Err((nfsstat3::NFS3ERR_NOENT, _)) => Ok(Emptied::WasGone),
        Err((nfsstat3::NFS3ERR_NOTEMPTY | nfsstat3::NFS3ERR_EXIST, _)) => Ok(Emptied::NotEmpty),
        Err((status, _)) => Err(Cause::Nfs(status)),
    }
}

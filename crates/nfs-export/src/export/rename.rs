//! RENAME (RFC 1813 section 3.3.14), made safe to repeat and never onto something.
//!
//! The server replaces an empty directory without a word, so both names are looked at first. A repeated RENAME whose first copy was
//! carried out finds no source; the target then tells that it is done.

use std::sync::Arc;

use nfs3_types::nfs3::{RENAME3args, diropargs3, nfsstat3};

use super::{Renamed, Run};
use crate::{
    Cause, SubDir,
    session::{Directory, Doubt, Live, Session},
};

/// Two names that may mean something else by now: without an answer too, a RENAME may have been carried out, and handles follow what it
/// moves.
struct Moved<'a> {
    session: &'a Session,
    from: &'a SubDir,
    to: &'a SubDir,
}

pub(super) async fn rename(
    session: &Session,
    from: &SubDir,
    to: &SubDir,
    doubt: &Doubt,
) -> Result<Renamed, Cause> {
    let _moved = Moved { session, from, to };
    let mut run = Run::new(session);
    loop {
        let live = session.live().await?;
        let attempt = attempt(session, &live, from, to, doubt).await;
        if let Some(renamed) = run.settle(&live, attempt).await? {
            return Ok(renamed);
        }
    }
}

async fn attempt(
    session: &Session,
    live: &Arc<Live>,
    from: &SubDir,
    to: &SubDir,
    doubt: &Doubt,
) -> Result<Renamed, Cause> {
    let (from_parent, to_parent) = (from.parent(), to.parent());
    let (from_parent, to_parent) = futures::try_join!(
        session.walk(live, from_parent.as_ref()),
        session.walk(live, to_parent.as_ref())
    )?;
    let Some(to_parent) = to_parent else {
        return Err(Cause::Nfs(nfsstat3::NFS3ERR_NOENT));
    };
    let (source, target) = futures::try_join!(
        exists(session, from_parent.as_ref(), from),
        exists(session, Some(&to_parent), to),
    )?;
    match (source, target, from_parent) {
        (true, true, _) => Ok(Renamed::TargetExists),
        (false, true, _) => Ok(Renamed::Done),
        (false, false, _) | (true, false, None) => Ok(Renamed::NoSource),
        (true, false, Some(from_parent)) => {
            let args = RENAME3args {
                from: name_in(&from_parent, from),
                to: name_in(&to_parent, to),
            };
            match session.change(&args, doubt).await?.result {
                Ok(_) => Ok(Renamed::Done),
                Err((status, _)) => not_done(session, live, status, &to_parent, to).await,
            }
        }
    }
}

fn name_in<'a>(parent: &Directory, path: &'a SubDir) -> diropargs3<'a> {
    diropargs3 {
        dir: parent.handle.clone(),
        name: path.name().as_bytes().into(),
    }
}

/// What it means that the server answered a RENAME with `status`.
async fn not_done(
    session: &Session,
    live: &Live,
    status: nfsstat3,
    to_parent: &Directory,
    to: &SubDir,
) -> Result<Renamed, Cause> {
    match status {
        // Gone since it was looked up: either by an earlier copy of this call or by somebody else. Or it is the parent of the target that
        // is gone, and then the source is where it was. That parent is asked for and not the source: a server that keeps names for a while,
        // as nfs-ganesha does, may still show one that was removed behind its back.
        nfsstat3::NFS3ERR_NOENT => {
            if exists(session, Some(to_parent), to).await? {
                Ok(Renamed::Done)
            } else if is_there(session, live, to_parent, to.parent().as_ref()).await? {
                Ok(Renamed::NoSource)
            } else {
                Err(Cause::Nfs(nfsstat3::NFS3ERR_NOENT))
            }
        }
        // There since it was looked up.
        nfsstat3::NFS3ERR_EXIST | nfsstat3::NFS3ERR_NOTEMPTY | nfsstat3::NFS3ERR_ISDIR => {
            Ok(Renamed::TargetExists)
        }
        status => Err(Cause::Nfs(status)),
    }
}

/// Whether `path` leads to `directory` today (`None`: the root, to which it always does).
async fn is_there(
    session: &Session,
    live: &Live,
    directory: &Directory,
    path: Option<&SubDir>,
) -> Result<bool, Cause> {
    let Some(path) = path else { return Ok(true) };
    live.handles.forget(path);
    let found = session.walk(live, Some(path)).await?;
    Ok(found.is_some_and(|found| found.handle == directory.handle))
}

async fn exists(
    session: &Session,
    parent: Option<&Directory>,
    path: &SubDir,
) -> Result<bool, Cause> {
    match parent {
        None => Ok(false),
        Some(parent) => Ok(session
            .lookup(&parent.handle, path.name().as_bytes())
            .await?
            .is_some()),
    }
}

// === impl Moved ===

impl Drop for Moved<'_> {
    fn drop(&mut self) {
        self.session.forget(self.from);
        self.session.forget(self.to);
    }
}

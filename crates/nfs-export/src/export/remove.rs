//! Removing directories: many REMOVE and RMDIR in flight, and never a whole directory in memory.
//!
//! [`tree`] decides what to do next and what an answer means, without I/O; [`ops`] makes the calls; this file drives the one with the
//! other. Dropping the future stops after what is in flight; calling again goes on where it stopped.

mod ops;
mod progress;
mod tree;

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use nfs3_types::nfs3::{RMDIR3args, diropargs3, nfsstat3};
use tracing::info;

pub use progress::Progress;

use super::{Removed, Run};
use crate::{
    Cause, SubDir,
    error::Owner,
    session::{Directory, Doubt, Live, Session},
    stats::Gauge,
};
use tree::{Root, Tree};

/// How often a removal that takes long says how far it is.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Counts for the one removal, its observer and the export's statistics at once.
struct Tally<'a> {
    removed: Removed,
    progress: &'a Progress,
    session: &'a Session,
    doubt: &'a Doubt,
}

pub(super) async fn remove_dir_all(
    session: &Session,
    dir: &SubDir,
    progress: &Progress,
    doubt: &Doubt,
) -> Result<Removed, Cause> {
    let _under_way = Gauge::up(&session.stats().removals);
    let mut tally = Tally {
        removed: Removed::default(),
        progress,
        session,
        doubt,
    };
    let mut run = Run::new(session);
    loop {
        let live = session.live().await?;
        let before = tally.removed;
        let attempt = attempt(session, &live, dir, &mut tally).await;
        live.handles.forget(dir);
        if tally.removed != before {
            run = Run::new(session);
        }
        if run.settle(&live, attempt).await?.is_some() {
            return Ok(tally.removed);
        }
    }
}

pub(super) async fn remove_empty_dir(
    session: &Session,
    dir: &SubDir,
    doubt: &Doubt,
) -> Result<bool, Cause> {
    let mut run = Run::new(session);
    loop {
        let live = session.live().await?;
        let attempt = remove_empty_once(session, &live, dir, doubt).await;
        if let Some(gone) = run.settle(&live, attempt).await? {
            live.handles.forget(dir);
            return Ok(gone);
        }
    }
}

async fn remove_empty_once(
    session: &Session,
    live: &Arc<Live>,
    dir: &SubDir,
    doubt: &Doubt,
) -> Result<bool, Cause> {
    let Some(parent) = session.walk(live, dir.parent().as_ref()).await? else {
        return Ok(true);
    };
    let object = diropargs3 {
        dir: parent.handle,
        name: dir.name().as_bytes().into(),
    };
    match session.change(&RMDIR3args { object }, doubt).await?.result {
        Ok(_) | Err((nfsstat3::NFS3ERR_NOENT, _)) => Ok(true),
        Err((nfsstat3::NFS3ERR_NOTEMPTY | nfsstat3::NFS3ERR_EXIST, _)) => Ok(false),
        Err((nfsstat3::NFS3ERR_NOTDIR, _)) => Err(Cause::NotADirectory(dir.as_str().into())),
        Err((status, _)) => Err(Cause::Nfs(status)),
    }
}

async fn attempt(
    session: &Session,
    live: &Arc<Live>,
    dir: &SubDir,
    tally: &mut Tally<'_>,
) -> Result<(), Cause> {
    let Some(parent) = session.walk(live, dir.parent().as_ref()).await? else {
        return Ok(());
    };
    let name = dir.name().as_bytes();
    let Some(found) = session.lookup(&parent.handle, name).await? else {
        return Ok(());
    };
    if !found.is_directory() {
        tally.files(u64::from(
            ops::unlink(session, parent.handle, name, tally.doubt).await?,
        ));
        return Ok(());
    }
    if found.attributes.fsid != parent.fsid {
        return Err(Cause::OtherFileSystem(dir.as_str().into()));
    }
    let owner = Owner::from(&found.attributes);
    let root = Root {
        parent: parent.handle,
        path: dir.as_str(),
        name,
        owner,
        directory: Directory::new(found.handle, &found.attributes),
    };
    drive(session, live.page, Tree::new(root), dir, tally).await
}

/// Keeps as many calls in flight as the removal may have, until the tree is gone or cannot go.
async fn drive(
    session: &Session,
    page: u32,
    mut tree: Tree,
    dir: &SubDir,
    tally: &mut Tally<'_>,
) -> Result<(), Cause> {
    // A quarter of the connection is left to others.
    let width = (session.options().in_flight * 3 / 4).max(1);
    let doubt = tally.doubt;
    let mut calls = FuturesUnordered::new();
    let mut log = tokio::time::interval_at(tokio::time::Instant::now() + LOG_EVERY, LOG_EVERY);
    loop {
        while calls.len() < width
            && let Some(op) = tree.next(width)
        {
            calls.push(ops::perform(session, page, doubt, op));
        }
        tokio::select! {
            done = calls.next() => match done {
                Some(done) => {
                    let outcome = tree.done(done);
                    tally.take(&mut tree);
                    outcome?;
                }
                None => return tree.finish(),
            },
            _ = log.tick() => {
                let Removed { directories, files } = tally.removed;
                info!(%dir, directories, files, "removal goes on");
            }
        }
    }
}

// === impl Tally ===

impl Tally<'_> {
    /// Moves what the tree has counted since the last time.
    fn take(&mut self, tree: &mut Tree) {
        let Removed { directories, files } = tree.take_removed();
        self.removed.directories += directories;
        self.progress.directories.fetch_add(directories, Relaxed);
        self.session
            .stats()
            .entries_removed
            .fetch_add(directories, Relaxed);
        self.files(files);
    }

    fn files(&mut self, files: u64) {
        self.removed.files += files;
        self.progress.files.fetch_add(files, Relaxed);
        self.session
            .stats()
            .entries_removed
            .fetch_add(files, Relaxed);
    }
}

//! MKDIR (RFC 1813 section 3.3.9), with as few round trips as there can be.
//!
//! The mode travels in the call, and SETATTR follows only where the reply, or a last component that was there, shows another one: so it is also
//! right where an earlier attempt died between the two. Parents, which most often are there, are looked up first; the last component is not.
//!
//! A repeated call may find what its first copy has made. It counts as made by us where it is untouched and no older than the call. Who takes it
//! back asks with RMDIR, which nothing that holds anything is lost to.

use std::sync::Arc;

use nfs3_types::nfs3::{
    MKDIR3args, MKDIR3resfail, Nfs3Option, SETATTR3args, diropargs3, fattr3, nfs_fh3, nfsstat3,
    nfstime3, sattr3,
};
use tokio::time::Instant;
use tracing::warn;

use super::{Created, Run};
use crate::{
    Cause, SubDir,
    error::Owner,
    rpc::proc::MkDirOk,
    session::{Answer, Directory, Doubt, Found, Live, Session},
};

/// Bits of a mode that MKDIR and SETATTR set.
const PERMISSIONS: u32 = 0o7777;
/// Attempts at one path while others remove what was just made.
const RACES_MAX: u32 = 8;
/// Nanoseconds by which two times of a server may differ that mean the same moment.
const TICK: i128 = 100_000_000;

/// What makes the components of one path.
struct Maker<'a> {
    session: &'a Session,
    doubt: &'a Doubt,
    mode: u32,
}

/// Which component of the path it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A parent: one that is there is left as it is.
    Parent,
    /// The directory that was asked for.
    Last,
}

type MkDirAnswer = Answer<MkDirOk, MKDIR3resfail>;

/// What came of one component.
struct Made {
    directory: Directory,
    created: Created,
}

pub(super) async fn create_dir_all(
    session: &Session,
    dir: &SubDir,
    mode: u32,
    doubt: &Doubt,
) -> Result<Created, Cause> {
    let maker = Maker {
        session,
        doubt,
        mode,
    };
    let (mut run, mut races) = (Run::new(session), 0);
    loop {
        let live = session.live().await?;
        let attempt = maker.attempt(&live, dir).await;
        // Missing now, though its parent was there a moment ago: somebody removes what we make.
        if matches!(attempt, Err(Cause::Nfs(nfsstat3::NFS3ERR_NOENT))) && races < RACES_MAX {
            races += 1;
            live.handles.clear();
            continue;
        }
        if attempt.is_ok() {
            return attempt;
        }
        if let Some(created) = Box::pin(run.settle(&live, attempt)).await? {
            return Ok(created);
        }
    }
}

// === impl Maker ===

impl Maker<'_> {
    async fn attempt(&self, live: &Arc<Live>, dir: &SubDir) -> Result<Created, Cause> {
        let parent = match dir.split().0 {
            None => live.root.handle.clone(),
            Some(parent) => match live.handles.get(parent) {
                Some(directory) => directory.handle,
                None => Box::pin(self.find_or_make(live, dir)).await?.handle,
            },
        };
        Ok(self.make(parent, dir, Role::Last).await?.created)
    }

    /// The directory that holds `dir`; makes what is missing of it, outermost first.
    async fn find_or_make(&self, live: &Live, dir: &SubDir) -> Result<Directory, Cause> {
        let Some(path) = dir.parent() else {
            return Ok(live.root.clone());
        };
        if let Some(directory) = self.session.walk_known(live, &path).await? {
            return Ok(directory);
        }
        let since = live.handles.epoch();
        let mut at = live.root.clone();
        for step in path.ancestry() {
            // What is known stays known for as long as it would have been: nobody has looked at it again.
            if let Some(known) = live.handles.get(step.as_str()) {
                at = known;
                continue;
            }
            at = self.make(at.handle, &step, Role::Parent).await?.directory;
            live.handles.insert(since, step, at.clone());
        }
        Ok(at)
    }

    /// Makes `path` in `parent`, or finds that it is there. What is seldom awaited is boxed, since many of these are kept at a time.
    async fn make(&self, parent: nfs_fh3, path: &SubDir, role: Role) -> Result<Made, Cause> {
        let args = MKDIR3args {
            where_: diropargs3 {
                dir: parent,
                name: path.name().as_bytes().into(),
            },
            attributes: with_mode(self.mode),
        };
        let start = Instant::now();
        let answer = self.session.change(&args, self.doubt).await?;
        match self.as_asked(answer) {
            Ok(made) => Ok(made),
            Err(answer) => {
                let parent = &args.where_.dir;
                Box::pin(self.see_to(parent, path, role, *answer, start)).await
            }
        }
    }

    /// What was made, where nothing is left to be done.
    fn as_asked(&self, answer: MkDirAnswer) -> Result<Made, Box<MkDirAnswer>> {
        match answer.result {
            Ok(MkDirOk {
                obj: Nfs3Option::Some(handle),
                obj_attributes: Nfs3Option::Some(attributes),
                ..
            }) if has_mode(&attributes, self.mode) => Ok(Made {
                directory: Directory::new(handle, &attributes),
                created: Created::New,
            }),
            result => Err(Box::new(Answer { result, ..answer })),
        }
    }

    /// Sees to what the answer to a call of `start` leaves open.
    async fn see_to(
        &self,
        parent: &nfs_fh3,
        path: &SubDir,
        role: Role,
        answer: MkDirAnswer,
        start: Instant,
    ) -> Result<Made, Cause> {
        match answer.result {
            Ok(made) => self.finish(parent, path, made).await,
            Err((nfsstat3::NFS3ERR_EXIST, fail)) => {
                let found = find(self.session, parent, path).await?;
                let ours = answer.repeated
                    && is_untouched(&found.attributes)
                    && self.is_recent(&found, parent, fail, start).await?;
                self.take(found, path, role, ours).await
            }
            Err((nfsstat3::NFS3ERR_NOTDIR, _)) => Err(Cause::NotADirectory(
                path.parent().as_ref().map_or("/", SubDir::as_str).into(),
            )),
            Err((status, _)) => Err(Cause::Nfs(status)),
        }
    }

    /// Sees to the mode of what was just made. Both parts of the reply are optional (RFC 1813 section 3.3.9).
    async fn finish(&self, parent: &nfs_fh3, path: &SubDir, made: MkDirOk) -> Result<Made, Cause> {
        let (handle, attributes) = match (made.obj, made.obj_attributes) {
            (Nfs3Option::Some(handle), Nfs3Option::Some(attributes)) => (handle, attributes),
            (Nfs3Option::Some(handle), Nfs3Option::None) => {
                let attributes = self.session.attributes(&handle).await?;
                (handle, attributes)
            }
            (Nfs3Option::None, _) => {
                let found = find(self.session, parent, path).await?;
                (found.handle, found.attributes)
            }
        };
        self.see_to_mode(&handle, &attributes, path).await?;
        Ok(Made {
            directory: Directory::new(handle, &attributes),
            created: Created::New,
        })
    }

    /// Takes what is there. `ours`: an earlier copy of the call has made it.
    async fn take(
        &self,
        found: Found,
        path: &SubDir,
        role: Role,
        ours: bool,
    ) -> Result<Made, Cause> {
        let attributes = found.attributes.clone();
        let directory = found.into_directory(path.as_str())?;
        if ours || role == Role::Last {
            self.see_to_mode(&directory.handle, &attributes, path)
                .await?;
        }
        Ok(Made {
            directory,
            created: if ours { Created::New } else { Created::Existed },
        })
    }

    /// Whether what was found may have been made after `start`. By the server's clock: nothing was made in its parent after the last change
    /// of that, so what is older than that by more than the time since `start` was there before.
    async fn is_recent(
        &self,
        found: &Found,
        parent: &nfs_fh3,
        fail: MKDIR3resfail,
        start: Instant,
    ) -> Result<bool, Cause> {
        let parent_now = match fail.dir_wcc.after {
            Nfs3Option::Some(attributes) => attributes,
            Nfs3Option::None => self.session.attributes(parent).await?,
        };
        let age = nanos(parent_now.mtime) - nanos(found.attributes.mtime);
        Ok(age < start.elapsed().as_nanos().cast_signed() + TICK)
    }

    /// Sets the mode where it is another one. A server that does not permit it has its way: the directory is somebody else's, and may be of use
    /// as it is.
    async fn see_to_mode(
        &self,
        handle: &nfs_fh3,
        attributes: &fattr3,
        path: &SubDir,
    ) -> Result<(), Cause> {
        if has_mode(attributes, self.mode) {
            return Ok(());
        }
        let args = SETATTR3args {
            object: handle.clone(),
            new_attributes: with_mode(self.mode),
            guard: Nfs3Option::None,
        };
        match self.session.change(&args, self.doubt).await?.result {
            Ok(_) => Ok(()),
            Err((nfsstat3::NFS3ERR_PERM | nfsstat3::NFS3ERR_ACCES, _)) => {
                let Owner { uid, gid, mode } = Owner::from(attributes);
                let mode = format_args!("{mode:04o}");
                let wanted = format_args!("{:04o}", self.mode & PERMISSIONS);
                warn!(dir = %path, %mode, %wanted, uid, gid, "mode of a directory cannot be set, it is used as it is");
                Ok(())
            }
            Err((status, _)) => Err(Cause::Nfs(status)),
        }
    }
}

/// LOOKUP of what must be there.
async fn find(session: &Session, parent: &nfs_fh3, path: &SubDir) -> Result<Found, Cause> {
    let found = session.lookup(parent, path.name().as_bytes()).await?;
    found.ok_or(Cause::Nfs(nfsstat3::NFS3ERR_NOENT))
}

fn with_mode(mode: u32) -> sattr3 {
    sattr3 {
        mode: Nfs3Option::Some(mode & PERMISSIONS),
        ..sattr3::default()
    }
}

fn has_mode(attributes: &fattr3, mode: u32) -> bool {
    attributes.mode & PERMISSIONS == mode & PERMISSIONS
}

/// Whether a directory is as MKDIR leaves it. The times of one MKDIR may differ by a tick of the server's clock, or by the moment in which it
/// sets the mode.
fn is_untouched(directory: &fattr3) -> bool {
    let since = nanos(directory.ctime) - nanos(directory.mtime);
    since.abs() < TICK && directory.nlink <= 2
}

fn nanos(time: nfstime3) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nseconds)
}

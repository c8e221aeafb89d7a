//! MKDIR (RFC 1813 section 3.3.9), with as few round trips as there can be.
//!
//! The mode travels in the call, and SETATTR follows only where the reply shows another one. The last component is made without looking
//! first; parents are looked up first, because most often they are there.

use std::sync::Arc;

use nfs3_types::nfs3::{
    MKDIR3args, MKDIR3resok, Nfs3Option, SETATTR3args, diropargs3, fattr3, nfs_fh3, nfsstat3,
    nfstime3, sattr3,
};

use super::{Created, Run};
use crate::{
    Cause, SubDir,
    session::{Directory, Doubt, Found, Live, Session},
};

/// Bits of a mode that MKDIR and SETATTR set.
const PERMISSIONS: u32 = 0o7777;
/// Attempts at one path while others remove what was just made.
const RACES_MAX: u32 = 8;

/// What makes the components of one path.
struct Maker<'a> {
    session: &'a Session,
    doubt: &'a Doubt,
    mode: u32,
}

/// What came of one component.
struct Made {
    directory: Option<Directory>,
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
    let mut run = Run::new(session);
    let mut races = 0;
    loop {
        let live = session.live().await?;
        let attempt = maker.attempt(&live, dir).await;
        // Missing now, though its parent was there a moment ago: somebody removes what we make.
        if matches!(attempt, Err(Cause::Nfs(nfsstat3::NFS3ERR_NOENT))) && races < RACES_MAX {
            races += 1;
            live.handles.clear();
            continue;
        }
        if let Some(created) = run.settle(&live, attempt).await? {
            return Ok(created);
        }
    }
}

// === impl Maker ===

impl Maker<'_> {
    async fn attempt(&self, live: &Arc<Live>, dir: &SubDir) -> Result<Created, Cause> {
        let parent = match dir.parent() {
            None => live.root.clone(),
            Some(parent) => match self.session.walk_known(live, &parent).await? {
                Some(directory) => directory,
                None => self.make_parents(live, &parent).await?,
            },
        };
        Ok(self.make(&parent, dir).await?.created)
    }

    /// Makes what is missing of `path`, outermost first.
    async fn make_parents(&self, live: &Live, path: &SubDir) -> Result<Directory, Cause> {
        let mut at = live.root.clone();
        for step in path.ancestry() {
            // What is known stays known for as long as it would have been: nobody has looked at it again.
            if let Some(known) = live.handles.get(&step) {
                at = known;
                continue;
            }
            at = match self.make(&at, &step).await?.directory {
                Some(made) => made,
                None => find(self.session, &at, &step)
                    .await?
                    .into_directory(step.as_str())?,
            };
            live.handles.insert(step, at.clone());
        }
        Ok(at)
    }

    /// Makes `path` in `parent`, or finds that it is there.
    async fn make(&self, parent: &Directory, path: &SubDir) -> Result<Made, Cause> {
        let where_ = diropargs3 {
            dir: parent.handle.clone(),
            name: path.name().as_bytes().into(),
        };
        let answer = self
            .session
            .change(
                &MKDIR3args {
                    where_,
                    attributes: with_mode(self.mode),
                },
                self.doubt,
            )
            .await?;
        match answer.result {
            Ok(made) => self.finish(parent, path, made).await,
            Err((nfsstat3::NFS3ERR_EXIST, fail)) => {
                let parent_now = match fail.dir_wcc.after {
                    Nfs3Option::Some(attributes) => Some(attributes),
                    Nfs3Option::None => None,
                };
                let found = find(self.session, parent, path).await?;
                // A copy of this very call may have made it before its answer was lost.
                let ours = answer.repeated && is_untouched(&found.attributes, parent_now.as_ref());
                if ours && found.attributes.mode & PERMISSIONS != self.mode & PERMISSIONS {
                    self.set_mode(&found.handle).await?;
                }
                let directory = Some(found.into_directory(path.as_str())?);
                Ok(Made {
                    directory,
                    created: if ours { Created::New } else { Created::Existed },
                })
            }
            Err((nfsstat3::NFS3ERR_NOTDIR, _)) => Err(Cause::NotADirectory(
                path.parent().as_ref().map_or("/", SubDir::as_str).into(),
            )),
            Err((status, _)) => Err(Cause::Nfs(status)),
        }
    }

    /// Sees to the mode of what was just made. Both parts of the reply are optional (RFC 1813 section 3.3.9).
    async fn finish(
        &self,
        parent: &Directory,
        path: &SubDir,
        made: MKDIR3resok,
    ) -> Result<Made, Cause> {
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
        if attributes.mode & PERMISSIONS != self.mode & PERMISSIONS {
            self.set_mode(&handle).await?;
        }
        Ok(Made {
            directory: Some(Directory::new(handle, &attributes)),
            created: Created::New,
        })
    }

    async fn set_mode(&self, handle: &nfs_fh3) -> Result<(), Cause> {
        let args = SETATTR3args {
            object: handle.clone(),
            new_attributes: with_mode(self.mode),
            guard: Nfs3Option::None,
        };
        self.session
            .change(&args, self.doubt)
            .await?
            .ok()
            .map(|_| ())
    }
}

/// LOOKUP of what must be there.
async fn find(session: &Session, parent: &Directory, path: &SubDir) -> Result<Found, Cause> {
    let found = session
        .lookup(&parent.handle, path.name().as_bytes())
        .await?;
    found.ok_or(Cause::Nfs(nfsstat3::NFS3ERR_NOENT))
}

fn with_mode(mode: u32) -> sattr3 {
    sattr3 {
        mode: Nfs3Option::Some(mode & PERMISSIONS),
        ..sattr3::default()
    }
}

/// Whether a directory is as MKDIR leaves it, and the last thing that was made in its parent. The times of one MKDIR may differ by a tick
/// of the server's clock, or by the moment in which it sets the mode.
fn is_untouched(directory: &fattr3, parent: Option<&fattr3>) -> bool {
    let newest = parent.is_some_and(|parent| is_at_once(directory.mtime, parent.mtime));
    newest && is_at_once(directory.mtime, directory.ctime) && directory.nlink <= 2
}

fn is_at_once(first: nfstime3, second: nfstime3) -> bool {
    let nanos =
        |time: nfstime3| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nseconds);
    (nanos(first) - nanos(second)).abs() < 100_000_000
}

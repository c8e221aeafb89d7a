//! From a path to a file handle, and back to work when handles have gone stale.

use std::sync::Arc;

use nfs3_types::nfs3::{
    GETATTR3args, LOOKUP3args, Nfs3Option, diropargs3, fattr3, ftype3, nfs_fh3, nfsstat3,
};

use super::{Directory, Link, Live, Session, handles::Epoch};
use crate::{Cause, SubDir};

/// What a LOOKUP found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) handle: nfs_fh3,
    pub(crate) attributes: fattr3,
}

/// How often a verb has started over because of stale handles.
#[derive(Debug, Default)]
pub(crate) struct Tries(u32);

// === impl Session ===

impl Session {
    /// Forgets the handles of `path` and of what is below it, those of the present mount: earlier ones are used no more.
    pub(crate) fn forget(&self, path: &SubDir) {
        if let Link::Up(live) = &*self.shared.link.borrow() {
            live.handles.forget(path);
        }
    }

    /// Forgets all handles of the present mount.
    pub(crate) fn forget_all(&self) {
        if let Link::Up(live) = &*self.shared.link.borrow() {
            live.handles.clear();
        }
    }

    /// The directory `path` (`None`: the root), looked up component by component. `None` where a part of it is missing.
    pub(crate) async fn walk(
        &self,
        live: &Live,
        path: Option<&SubDir>,
    ) -> Result<Option<Directory>, Cause> {
        let since = live.handles.epoch();
        let steps = path.into_iter().flat_map(SubDir::ancestry).collect();
        self.walk_from(live, since, live.root.clone(), steps).await
    }

    /// As [`Self::walk`], but from the deepest directory that was walked lately.
    ///
    /// A handle follows its directory when that is renamed, so this is only for what may as well be in the directory of a moment ago.
    pub(crate) async fn walk_known(
        &self,
        live: &Live,
        path: &SubDir,
    ) -> Result<Option<Directory>, Cause> {
        let since = live.handles.epoch();
        let mut steps: Vec<_> = path.ancestry().collect();
        let known = steps
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, step)| Some((at, live.handles.get(step.as_str())?)));
        let (from, steps) = match known {
            Some((at, directory)) => (directory, steps.split_off(at + 1)),
            None => (live.root.clone(), steps),
        };
        self.walk_from(live, since, from, steps).await
    }

    async fn walk_from(
        &self,
        live: &Live,
        since: Epoch,
        mut at: Directory,
        steps: Vec<SubDir>,
    ) -> Result<Option<Directory>, Cause> {
        for step in steps {
            match self.lookup(&at.handle, step.name().as_bytes()).await? {
                None => return Ok(None),
                Some(found) => at = found.into_directory(step.as_str())?,
            }
            live.handles.insert(since, step, at.clone());
        }
        Ok(Some(at))
    }

    /// What `name` is in `directory`; `None`: nothing.
    pub(crate) async fn lookup(
        &self,
        directory: &nfs_fh3,
        name: &[u8],
    ) -> Result<Option<Found>, Cause> {
        let what = diropargs3 {
            dir: directory.clone(),
            name: name.into(),
        };
        let found = match self.call(&LOOKUP3args { what }).await?.result {
            Ok(found) => found,
            Err((nfsstat3::NFS3ERR_NOENT, _)) => return Ok(None),
            Err((status, _)) => return Err(Cause::Nfs(status)),
        };
        let attributes = match found.obj_attributes {
            Nfs3Option::Some(attributes) => attributes,
            Nfs3Option::None => self.attributes(&found.object).await?,
        };
        Ok(Some(Found {
            handle: found.object,
            attributes,
        }))
    }

    /// GETATTR.
    pub(crate) async fn attributes(&self, handle: &nfs_fh3) -> Result<fattr3, Cause> {
        let args = GETATTR3args {
            object: handle.clone(),
        };
        Ok(self.call(&args).await?.ok()?.obj_attributes)
    }
}

// === impl Tries ===

impl Tries {
    /// Whether the verb may start over after `cause`: the first time the cached handles are forgotten, the second time the export is
    /// mounted again, and then it is the third and last.
    pub(crate) async fn again(
        &mut self,
        session: &Session,
        live: &Arc<Live>,
        cause: &Cause,
    ) -> Result<bool, Cause> {
        if !cause.is_stale() {
            return Ok(false);
        }
        self.0 += 1;
        match self.0 {
            1 => live.handles.clear(),
            2 => session.remount(live.generation()).await?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

// === impl Found ===

impl Found {
    pub(crate) fn is_directory(&self) -> bool {
        self.attributes.type_ == ftype3::NF3DIR
    }

    /// The directory that it is; `path` is for the error where it is none.
    pub(crate) fn into_directory(self, path: &str) -> Result<Directory, Cause> {
        if self.is_directory() {
            Ok(Directory::new(self.handle, &self.attributes))
        } else {
            Err(Cause::NotADirectory(path.into()))
        }
    }
}

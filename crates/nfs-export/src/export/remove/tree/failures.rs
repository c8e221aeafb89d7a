//! What a removal could not remove, and which failures are about more than one entry.

use std::sync::Arc;

use nfs3_types::nfs3::nfsstat3;

use crate::{Cause, Leftover, Leftovers, error::Owner};

/// Leftovers described one by one.
const FIRST_MAX: usize = 16;
/// Names remembered so that they are not tried again; 255 bytes each at most.
const NAMES_MAX: usize = 16_384;

/// Leftovers so far.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u64,
    first: Vec<Leftover>,
    /// Names that the directories remember.
    pub(super) names: usize,
}

// === impl Failures ===

impl Failures {
    /// Whether one more name may be remembered.
    pub(super) fn has_room(&self) -> bool {
        self.names < NAMES_MAX
    }

    pub(super) fn add(&mut self, path: String, owner: Option<Owner>, cause: Cause) {
        self.count += 1;
        if self.first.len() < FIRST_MAX {
            self.first.push(Leftover {
                path: path.into(),
                owner,
                cause,
            });
        }
    }

    pub(super) fn finish(self) -> Result<(), Cause> {
        if self.count == 0 {
            return Ok(());
        }
        Err(Cause::Leftovers(Arc::new(Leftovers {
            count: self.count,
            first: self.first,
        })))
    }
}

/// The outer error ends the removal; the inner one is about one entry.
pub(super) fn sort<T>(result: Result<T, Cause>) -> Result<Result<T, nfsstat3>, Cause> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Cause::Nfs(status)) if !is_about_the_share(status) => Ok(Err(status)),
        Err(cause) => Err(cause),
    }
}

fn is_about_the_share(status: nfsstat3) -> bool {
    use nfsstat3::{NFS3ERR_DQUOT, NFS3ERR_JUKEBOX, NFS3ERR_NOSPC, NFS3ERR_ROFS};
    matches!(
        status,
        NFS3ERR_ROFS | NFS3ERR_JUKEBOX | NFS3ERR_NOSPC | NFS3ERR_DQUOT
    )
}

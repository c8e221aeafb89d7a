//! Empty parents of a directory that is gone: what a nested pattern made goes when its last directory does.
//!
//! RMDIR alone decides whether a directory is empty, so nothing that holds anything can be lost; the share's root is never asked for, because a
//! [`SubDir`] has no name for it. A claim that makes a directory below at the same moment makes the parents again.

use nfs_export::{Export, SubDir};
use tracing::debug;

use super::Context;

/// Removes the parents of `dir`, the innermost first, up to the first that is not empty or that a volume has a part in.
pub(super) async fn remove_empty(ctx: &Context, export: &Export, dir: &SubDir) {
    let mut next = dir.parent();
    while let Some(parent) = next {
        if is_somebodys(ctx, export, &parent) {
            return;
        }
        match export.remove_empty_dir(&parent).await {
            Ok(true) => debug!(dir = parent.as_str(), "empty parent removed"),
            Ok(false) => return,
            Err(error) => {
                // No harm in an empty directory; the next volume that goes from here asks again.
                debug!(
                    error = &error as &dyn std::error::Error,
                    dir = parent.as_str(),
                    "empty parent stays"
                );
                return;
            }
        }
        next = parent.parent();
    }
}

/// Whether the directory itself is some volume's, or a share: those stay, empty or not.
fn is_somebodys(ctx: &Context, export: &Export, dir: &SubDir) -> bool {
    let target = export.target();
    let Some(place) = crate::plan::place::Place::new(
        &target.server,
        &format!("{}/{}", target.path, dir.as_str()),
    ) else {
        return true;
    };
    ctx.stores.served().guard(&place).is_err()
        || ctx
            .stores
            .occupied(|occupied| occupied.around(&place, "").next().is_some())
}

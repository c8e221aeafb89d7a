//! Empty parents of a directory that is gone: what a nested pattern made goes when its last directory does.
//!
//! RMDIR alone decides whether a directory is empty, so nothing that holds anything can be lost; the share's root is never asked for, because a
//! [`SubDir`] has no name for it. A claim that makes a directory below at the same moment makes the parents again.

use nfs_export::{SubDir, Target};
use tracing::debug;

use super::Context;
use crate::plan::place::{Place, Relation};
use crate::plan::shares::Share;
use crate::telemetry::log::chain;

/// Removes the parents of `dir`, the innermost first, up to the first that is not empty or that belongs to a volume. `volume` is the one whose
/// directory `dir` was.
pub(super) async fn remove_empty(ctx: &Context, share: &Share, dir: &SubDir, volume: &str) {
    let export = ctx.shares.export(&Target::from(share));
    let mut next = dir.parent();
    while let Some(parent) = next {
        let place = share.place(&parent);
        // Before it is asked whose the directory is: what would be its claim from here on waits until the answer is there.
        let _emptying = ctx.paths.empty(volume, place.clone());
        ctx.hindsight.clear_up(&ctx.stores).await; // API server, where a volume may have been made unseen
        if is_somebodys(ctx, &place, volume) {
            return;
        }
        if ctx.fence().is_err() {
            return;
        }
        match export.remove_empty_dir(&parent).await {
            Ok(true) => debug!(dir = parent.as_str(), "empty parent removed"),
            Ok(false) => return,
            Err(error) => {
                // No harm in an empty directory; the next volume that goes from here asks again.
                debug!(
                    reason = chain(&error),
                    dir = parent.as_str(),
                    "empty parent stays"
                );
                return;
            }
        }
        next = parent.parent();
    }
}

/// Whether the directory is a share, or a volume other than `but` has it, or one above it: such a directory stays, empty or not.
fn is_somebodys(ctx: &Context, place: &Place, but: &str) -> bool {
    let claims_it = |relation| matches!(relation, Relation::Same | Relation::Contains);
    let arriving = ctx.paths.arriving(but);
    ctx.stores.served().guard(place).is_err()
        || arriving
            .iter()
            .any(|other| other.relation(place).is_some_and(claims_it))
        || ctx.stores.occupied(|occupied| {
            occupied
                .around(place, but)
                .any(|(relation, _)| claims_it(relation))
        })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use testkit::nfs::{Procedure, Server};

    use super::*;
    use crate::controller::double::{mk_client, mk_context, mk_share, status};
    use crate::controller::leader::Leadership;

    /// A process that was stopped and goes on may get here before it gets to the end of its term.
    #[tokio::test]
    async fn only_a_leader_removes_empty_parents() {
        for (leadership, goes) in [(Leadership::always(), true), (Leadership::never(), false)] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
            let server = Server::builder(folder.path()).start().await.unwrap();
            let share = mk_share(&server);
            let (client, _log) = mk_client(async |_| status(StatusCode::NOT_FOUND, "nothing"));
            let ctx = mk_context(client, &share, leadership);
            let dir = SubDir::parse("a/b/data").unwrap();
            remove_empty(&ctx, &share, &dir, "pvc-1").await;
            assert_eq!(server.log().count(Procedure::RMDIR) > 0, goes);
            assert_eq!(folder.path().join("a").exists(), !goes);
        }
    }
}

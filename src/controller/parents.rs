//! Empty parents of a directory that is gone: what a nested pattern made goes when its last directory does.
//!
//! RMDIR alone decides whether a directory is empty, so nothing that holds anything can be lost; the share's root is never asked for, because a
//! [`SubDir`] has no name for it. A claim that makes a directory below at the same moment makes the parents again.

use nfs_export::{SubDir, Target};
use tracing::debug;

use super::Context;
use super::failure::Failure;
use crate::plan::place::{Place, Relation};
use crate::plan::shares::Share;
use crate::telemetry::log::chain;

/// Removes the parents of `dir`, the innermost first, up to the first that is not empty or that belongs to a volume. `volume` is the one whose
/// directory `dir` was.
///
/// # Errors
/// Only where it is not known whether a parent was removed: until that has been asked again, or [`Paths::stayed`](super::paths::Paths::stayed), no claim
/// gets it.
pub(super) async fn remove_empty(
    ctx: &Context,
    share: &Share,
    dir: &SubDir,
    volume: &str,
) -> Result<(), Failure> {
    let target = Target::from(share);
    let export = ctx.shares.export(&target);
    let mut next = dir.parent();
    while let Some(parent) = next {
        let place = share.place(&parent);
        // Before it is asked whose the directory is: what would be its claim from here on waits until the answer is there.
        let emptying = ctx.paths.empty(volume, place.clone());
        ctx.hindsight.clear_up(&ctx.stores).await; // API server, where a volume may have been made unseen
        if is_somebodys(ctx, &place, volume) || ctx.fence().is_err() {
            return Ok(());
        }
        match export.remove_empty_dir(&parent).await {
            Ok(true) => debug!(dir = parent.as_str(), "empty parent removed"),
            Ok(false) => return Ok(()),
            // A server that wakes may yet do it, and find the empty directory of a claim there.
            Err(error) if error.is_in_doubt() => {
                emptying.unsettled();
                return Err(Failure::share(&target)(error));
            }
            Err(error) => {
                // No harm in an empty directory; the next volume that goes from here asks again.
                debug!(
                    reason = chain(&error),
                    dir = parent.as_str(),
                    "empty parent stays"
                );
                return Ok(());
            }
        }
        next = parent.parent();
    }
    Ok(())
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
    use testkit::nfs::{Effect, Procedure, Rule, Server};

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
            remove_empty(&ctx, &share, &dir, "pvc-1").await.unwrap();
            assert_eq!(server.log().count(Procedure::RMDIR) > 0, goes);
            assert_eq!(folder.path().join("a").exists(), !goes);
        }
    }

    /// A server that wakes may yet remove it, and a claim may have made it its own by then.
    #[tokio::test]
    async fn a_parent_of_which_nobody_knows_whether_it_was_removed_is_given_to_nobody() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        let server = Server::builder(folder.path()).start().await.unwrap();
        let share = mk_share(&server);
        let (client, _log) = mk_client(async |_| status(StatusCode::NOT_FOUND, "nothing"));
        let ctx = mk_context(client, &share, Leadership::always());
        let at = |path| share.place(&SubDir::parse(path).unwrap());
        let dir = SubDir::parse("a/b/data").unwrap();
        server
            .faults()
            .inject(Rule::on(Procedure::RMDIR, Effect::Ignore).times(1));
        let failure = remove_empty(&ctx, &share, &dir, "pvc-1").await.unwrap_err();
        assert!(failure.message().contains("no answer"), "{failure:?}");
        assert!(ctx.paths.hold("pvc-2", at("a/b")).is_err());
        assert!(
            ctx.paths.hold("pvc-2", at("a/b/c")).is_ok(),
            "what is made in it makes it anew"
        );

        remove_empty(&ctx, &share, &dir, "pvc-1").await.unwrap();
        assert!(!folder.path().join("a").exists());
        assert!(ctx.paths.hold("pvc-2", at("a/b")).is_ok());

        ctx.paths.empty("pvc-1", at("a")).unsettled();
        ctx.paths.stayed("pvc-1");
        assert!(ctx.paths.hold("pvc-2", at("a")).is_ok());
    }
}

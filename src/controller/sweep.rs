//! What a crash left in the hidden folder of a share and no volume answers for any more: removed when a term as leader begins and whenever a
//! share comes back.
//!
//! An entry there was decided on before it was moved, by whichever provisioner shares the share. Refused here: looking anywhere else on a share.

use nfs_export::Entry;
use tracing::{debug, info};

use super::failure::Failure;
use super::{Context, away, unused};
use crate::plan::names;
use crate::plan::shares::Share;
use crate::plan::volume::WayBack;
use crate::telemetry::health::Heart;
use crate::telemetry::log::chain;

/// Entries of one share at a time; what is more comes with the next occasion.
const AT_MOST: usize = 10_000;

/// Sweeps every share, now and whenever one comes back; for ever.
pub(super) async fn run(ctx: &Context, heart: &Heart) {
    loop {
        for share in shares(ctx) {
            if let Err(failure) = heart.while_waiting(sweep(ctx, &share)).await {
                debug!(
                    reason = failure.message(),
                    "leftovers of earlier runs stay for now"
                );
            }
        }
        heart.while_waiting(ctx.share_came_up.notified()).await;
    }
}

/// Those that are served, and those of volumes whose class is gone.
fn shares(ctx: &Context) -> Vec<Share> {
    let mut all: Vec<Share> = ctx.stores.served().all().cloned().collect();
    let mut others = unused::of_volumes(ctx);
    others.retain(|share| !all.contains(share));
    all.extend(others);
    all
}

async fn sweep(ctx: &Context, share: &Share) -> Result<(), Failure> {
    let (target, export) = away::open(ctx, share);
    let Ok(hidden) = names::hidden() else {
        return Ok(());
    };
    let entries = export
        .list(Some(&hidden), AT_MOST)
        .await
        .map_err(Failure::share(&target))?;
    let is_whole = entries.len() < AT_MOST;
    // All are looked at before the first is removed, which may take long: a volume can go meanwhile.
    let leftovers: Vec<String> = entries
        .into_iter()
        .filter_map(|Entry { name, .. }| String::from_utf8(name).ok())
        .filter(|name| is_leftover(ctx, name))
        .collect();
    if is_whole {
        ctx.paths.searched(&share.root);
    }
    for name in leftovers {
        let Ok(trash) = hidden.join(&name) else {
            continue;
        };
        let removed = match away::empty(ctx, &export, &target, &trash).await {
            Ok(removed) => removed,
            // One that cannot go is no reason for the others to stay.
            Err(Failure::Share { source, .. }) if !source.is_share_down() => {
                debug!(
                    volume = name,
                    reason = chain(&source),
                    "leftover of an earlier run stays for now"
                );
                continue;
            }
            Err(failure) => return Err(failure),
        };
        // Entries bear the names of their volumes.
        info!(
            volume = name,
            server = target.server,
            path = target.path,
            files = removed.files,
            "leftover of an earlier run removed"
        );
    }
    Ok(())
}

/// Whether no volume answers for an entry any more. One that is there is told of it: its own attempt knows whether that is to go on, or to come back.
fn is_leftover(ctx: &Context, name: &str) -> bool {
    let Some(volume) = ctx.stores.volume(name) else {
        return !is_outlived(ctx, name);
    };
    if volume.ours {
        ctx.paths.trashed(&volume);
        ctx.queues.volumes.add(volume.name.clone());
    }
    false
}

/// Whether it belongs to a volume that is gone, and was to be kept.
fn is_outlived(ctx: &Context, name: &str) -> bool {
    let last = ctx.paths.last_of(name);
    last.is_some_and(|volume| WayBack::outlives(&volume))
}

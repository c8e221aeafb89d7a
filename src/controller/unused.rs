//! Shares that nobody needs any more: their connections are ended. One of a class that is gone would be dialled, and reported as down, until the next start.

use std::collections::HashSet;
use std::time::Duration;

use nfs_export::Target;

use super::Context;
use crate::plan::shares::Share;

/// Between two looks into memory.
const EVERY: Duration = Duration::from_secs(10);

/// Looks now and then; for ever.
pub async fn run(ctx: &Context) {
    loop {
        tokio::time::sleep(EVERY).await;
        if ctx.stores.is_synced() {
            close(ctx);
        }
    }
}

fn close(ctx: &Context) {
    let served: HashSet<Target> = ctx.stores.served().all().map(Target::from).collect();
    let mut others: HashSet<Target> = ctx.shares.targets().into_iter().collect();
    others.retain(|target| !served.contains(target));
    if others.is_empty() {
        return;
    }
    for share in of_volumes(ctx) {
        others.remove(&Target::from(&share));
    }
    for target in &others {
        ctx.shares.close(target);
    }
}

/// The shares that volumes of ours are on, whether a class names them or not.
pub(super) fn of_volumes(ctx: &Context) -> HashSet<Share> {
    let (served, mut found) = (ctx.stores.served(), HashSet::new());
    ctx.stores.each_volume(|volume| {
        if volume.ours
            && let Some(place) = volume.place()
            && let Ok((share, _)) = served.locate(place, &volume.recorded)
        {
            found.insert(share);
        }
    });
    found
}

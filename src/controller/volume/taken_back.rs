//! A volume that somebody takes back while its directory is being removed: what is left of the data gets its old name again.
//!
//! ```text
//! Released ─ RENAME ─ removal fails ─ set to Retain, or given to another claim ──> RENAME back, or an archive where the name is taken; an event
//! ```
//! The object may go too before the data is back. So it is remembered what was last seen of it; where nobody was there to see it, the data is a leftover
//! like any other. And an object is not given up before it is known whether there is data to bring back: until the sweep has been on the share, which can
//! take hours, that is looked up.

use std::sync::Arc;

use tracing::{info, warn};

use super::{VolumeKey, report_failure};
use crate::controller::Context;
use crate::controller::away::{self, Back};
use crate::controller::failure::Failure;
use crate::controller::queue::Done;
use crate::plan::facts::Volume;
use crate::plan::volume::WayBack;

/// Brings back what there may be in the hidden folder of a volume that is to be kept; `goes` where its object is given up next.
pub(super) async fn bring_back(ctx: &Context, volume: &Volume, goes: bool) -> Result<(), Failure> {
    if !goes && !ctx.paths.is_trashed(&volume.name) {
        return Ok(()); // the sweep tells of it
    }
    let served = ctx.stores.served();
    let way = ctx
        .stores
        .occupied(|occupied| WayBack::of(volume, &served, occupied));
    let Some(way) = way else {
        return Ok(());
    };
    if !is_trashed(ctx, volume, &way).await? {
        return Ok(());
    }
    let found = away::bring_back(ctx, volume, &way).await?; // share
    ctx.paths.emptied(&volume.name);
    let was = way.share.place(&way.dir);
    let words = match found {
        Back::Untouched => return Ok(()),
        Back::Lost => {
            warn!(%was, "volume taken back when its data was removed already");
            format!("its data in {was} was removed before that, and nothing of it is left")
        }
        Back::At(place) if place == was => {
            info!(%place, "directory brought back");
            format!("what is left of its data is back in {place}")
        }
        Back::At(place) => {
            warn!(%place, %was, "directory brought back; another bears the old name");
            format!(
                "what is left of its data is in {place}, because {was} is another directory now"
            )
        }
    };
    let message = format!("this volume was being deleted, and is to be kept now: {words}");
    ctx.warn(volume, "VolumeFailedDelete", message);
    Ok(())
}

/// Whether the data may be in the hidden folder: what the sweep has not seen yet, only the share knows.
async fn is_trashed(ctx: &Context, volume: &Volume, way: &WayBack) -> Result<bool, Failure> {
    if !ctx.paths.is_trashed(&volume.name) && ctx.paths.is_unsearched(&way.share.root) {
        let (target, export) = away::open(ctx, &way.share);
        let found = export.stat(&way.trash).await;
        if found.map_err(Failure::share(&target))?.is_some() {
            ctx.paths.trashed(volume);
        }
    }
    Ok(ctx.paths.is_trashed(&volume.name))
}

/// The object is gone.
pub(super) async fn gone(ctx: &Context, key: &VolumeKey) -> Done {
    let last: Option<Arc<Volume>> = ctx.paths.last_of(key);
    let Some(volume) = last.filter(|volume| WayBack::outlives(volume)) else {
        ctx.paths.emptied(key); // what there may be is the sweep's
        return Done::Settled;
    };
    match bring_back(ctx, &volume, true).await {
        Ok(()) => Done::Settled,
        Err(failure) => report_failure(ctx, &volume, &failure),
    }
}

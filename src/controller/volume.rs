//! One volume whose claim is gone: observe, plan, act, report.
//!
//! ```text
//! stores ──> plan::volume::decide ──> directory away, then the PV object, then our finalizer ──> event, log, when to look again
//! ```
//! Each step can be repeated, and each leaves a state from which the plan finds the next one: a crash anywhere is finished by whoever comes next.
//! No decision is taken here.

use std::sync::Arc;
use std::time::Duration;

use nfs_export::{Export, Removed, Renamed, SubDir, Target};
use tracing::field::display;
use tracing::{Span, debug, info, info_span, warn};

use super::access::Write;
use super::failure::Failure;
use super::queue::Done;
use super::stores::VolumeKey;
use super::{Context, parents};
use crate::plan::facts::{Class, Volume};
use crate::plan::shares::Share;
use crate::plan::volume::{self as plan, Archive, Delete, KeepData, Surroundings, VolumePlan};
use crate::telemetry::metrics::Attempt;

/// How soon to look again where only another attempt of this process is in the way.
const MOMENT: Duration = Duration::from_millis(200);

/// How soon to look again where another volume goes first, which can take as long as its removal does.
const WHILE: Duration = Duration::from_secs(3);

/// A volume and its class, as the stores have them.
struct Observed {
    volume: Arc<Volume>,
    class: Option<Arc<Class>>,
}

/// What every line about a volume bears: its claim's name and its own, in the same fields as the lines about the claim.
pub(super) fn span(ctx: &Context, key: &VolumeKey) -> Span {
    let volume = ctx.stores.volume(key);
    let claim = volume.and_then(|volume| volume.claim.clone()).map(display);
    info_span!("volume", claim, volume = %key)
}

/// Works on one volume once, within its [`span`].
pub(super) async fn attempt(ctx: &Context, key: VolumeKey) -> Done {
    let Some((seen, plan)) = look(ctx, &key).await else {
        return Done::Settled; // gone
    };
    match &plan {
        VolumePlan::Ignore(why) => {
            debug!(?why, "nothing to do");
            Done::Settled
        }
        VolumePlan::Wait(what) => {
            debug!(?what, "not yet");
            Done::Later(match what {
                plan::Wait::DirectoryIsArriving(_) => MOMENT,
                plan::Wait::GoesLater(_) => WHILE,
            })
        }
        VolumePlan::Refuse(refusal) => {
            // Brought back by a change of a class or of the volume, and by the clock: what serves its share may change without either.
            warn!(reason = refusal.message, "volume not deleted");
            ctx.warn(&*seen.volume, "VolumeFailedDelete", refusal.message.clone());
            ctx.metrics.delete().begin(&seen.volume.class).failed();
            Done::Failed
        }
        work => {
            let timing = ctx.metrics.delete().begin(&seen.volume.class);
            let outcome = act(ctx, &seen.volume, work).await; // share and API server
            report(ctx, &seen.volume, work, outcome, timing)
        }
    }
}

/// What there is, and what is to be done about it; decided on a view as late as the decision needs.
async fn look(ctx: &Context, key: &VolumeKey) -> Option<(Observed, VolumePlan)> {
    loop {
        let seen = observe(ctx, key)?;
        let plan = decide(ctx, &seen); // no client
        if !plan.takes_directory_away() || ctx.hindsight.is_clear() {
            return Some((seen, plan));
        }
        ctx.hindsight.clear_up(&ctx.stores).await; // API server, once a term
    }
}

// --- observe ---

fn observe(ctx: &Context, key: &VolumeKey) -> Option<Observed> {
    let volume = ctx.stores.volume(key)?;
    let class = ctx.stores.class(&volume.class);
    Some(Observed { volume, class })
}

// --- plan ---

fn decide(ctx: &Context, seen: &Observed) -> VolumePlan {
    let (served, parting) = (ctx.stores.served(), ctx.paths.parting());
    let arriving = ctx.paths.arriving(&seen.volume.name);
    ctx.stores.occupied(|occupied| {
        let around = Surroundings {
            served: &served,
            class: seen.class.as_deref(),
            occupied,
            arriving: &arriving,
            parting: &parting,
        };
        plan::decide(&seen.volume, &around)
    })
}

// --- act ---

async fn act(ctx: &Context, volume: &Volume, plan: &VolumePlan) -> Result<(), Failure> {
    match plan {
        VolumePlan::Archive(archive) => move_to_archive(ctx, volume, archive).await?,
        VolumePlan::Delete(delete) => remove(ctx, volume, delete).await?,
        VolumePlan::KeepData(keep) => return part(ctx, volume, keep).await,
        VolumePlan::RemoveFinalizer => return release(ctx, volume).await,
        VolumePlan::Retain
        | VolumePlan::Ignore(_)
        | VolumePlan::Wait(_)
        | VolumePlan::Refuse(_) => {}
    }
    give_up(ctx, volume).await
}

async fn give_up(ctx: &Context, volume: &Volume) -> Result<(), Failure> {
    ctx.fence()?;
    ctx.volumes.delete(volume).await?;
    release(ctx, volume).await
}

/// Leaves the directory to the others who have a part in it. None of them may count on this volume any more, from the decision on.
async fn part(ctx: &Context, volume: &Volume, keep: &KeepData) -> Result<(), Failure> {
    let parting = ctx.paths.part(&volume.name);
    drop_leftovers(ctx, keep).await?;
    give_up(ctx, volume).await?;
    parting.gone();
    Ok(())
}

/// Renames the directory to the first name that is free. A directory that is gone already needs no archive.
async fn move_to_archive(ctx: &Context, volume: &Volume, archive: &Archive) -> Result<(), Failure> {
    let (target, export) = open(ctx, &archive.share);
    let moving = ctx
        .paths
        .move_away(&volume.name, archive.share.place(&archive.from))?;
    for to in &archive.candidates {
        ctx.fence()?;
        match export
            .rename(&archive.from, to)
            .await
            .map_err(Failure::share(&target))?
        {
            Renamed::Done => info!(
                dir = archive.from.as_str(),
                archive = to.as_str(),
                "directory archived"
            ),
            Renamed::NoSource => info!(dir = archive.from.as_str(), "directory is gone already"),
            Renamed::TargetExists => {
                debug!(archive = to.as_str(), "name is taken by another archive");
                continue;
            }
        }
        drop(moving);
        parents::remove_empty(ctx, &archive.share, &archive.from, &volume.name).await;
        return Ok(());
    }
    Err(Failure::NoArchiveName(archive.from.as_str().to_owned()))
}

/// Renames the directory away, so that nothing written under its name from here on can be hit, then removes it.
async fn remove(ctx: &Context, volume: &Volume, delete: &Delete) -> Result<(), Failure> {
    let (target, export) = open(ctx, &delete.share);
    let moving = ctx
        .paths
        .move_away(&volume.name, delete.share.place(&delete.dir))?;
    ctx.fence()?;
    if let Some(hidden) = delete.trash.parent() {
        export
            .create_dir_all(&hidden, HIDDEN_MODE)
            .await
            .map_err(Failure::share(&target))?;
    }
    ctx.fence()?;
    let renamed = export
        .rename(&delete.dir, &delete.trash)
        .await
        .map_err(Failure::share(&target))?;
    drop(moving);
    debug!(?renamed, "directory moved away");
    let removed = empty(ctx, &export, &target, &delete.trash).await?;
    if renamed == Renamed::TargetExists {
        // An earlier attempt moved the data there. What bears the old name now was made since then: a volume's that left it to this one, or
        // somebody else's. The plan says which, when it is asked anew.
        return Err(Failure::NameTakenAnew);
    }
    info!(
        dir = delete.dir.as_str(),
        directories = removed.directories,
        files = removed.files,
        "directory removed"
    );
    parents::remove_empty(ctx, &delete.share, &delete.dir, &volume.name).await;
    Ok(())
}

/// Nobody but the provisioner looks into the hidden folder: what is on its way out may have been private.
const HIDDEN_MODE: u32 = 0o700;

async fn drop_leftovers(ctx: &Context, keep: &KeepData) -> Result<(), Failure> {
    let (target, export) = open(ctx, &keep.share);
    empty(ctx, &export, &target, &keep.trash).await.map(drop)
}

/// Removes what was renamed away.
pub(super) async fn empty(
    ctx: &Context,
    export: &Export,
    target: &Target,
    trash: &SubDir,
) -> Result<Removed, Failure> {
    ctx.fence()?;
    export
        .remove_dir_all(trash)
        .await
        .map_err(Failure::share(target))
}

/// The export of a share.
pub(super) fn open(ctx: &Context, share: &Share) -> (Target, Export) {
    let target = Target::from(share);
    let export = ctx.shares.export(&target);
    (target, export)
}

async fn release(ctx: &Context, volume: &Volume) -> Result<(), Failure> {
    if !volume.finalizer {
        return Ok(());
    }
    // Where the rules do not allow it (any more), the refusal tells the administrator: else the volume would be Terminating for ever, and nobody knew why.
    let how = ctx.access.borrow().volume_finalizer;
    ctx.fence()?;
    ctx.volumes
        .release(volume, how.unwrap_or(Write::Patch))
        .await
}

// --- report ---

fn report(
    ctx: &Context,
    volume: &Volume,
    plan: &VolumePlan,
    outcome: Result<(), Failure>,
    timing: Attempt,
) -> Done {
    match outcome {
        Ok(()) => {
            timing.succeeded();
            if let VolumePlan::KeepData(keep) = plan {
                warn!(holder = %keep.holder, "directory kept for another volume");
                ctx.warn(volume, "VolumeFailedDelete", keep.message.clone());
            }
            info!("volume deleted");
            Done::Settled
        }
        Err(not_yet @ (Failure::Busy(_) | Failure::NameTakenAnew | Failure::NotLeading)) => {
            debug!(reason = %not_yet, "not yet");
            Done::Later(MOMENT)
        }
        Err(failure) => {
            timing.failed();
            let reason = failure.message();
            ctx.note(&failure, &reason, "deletion failed");
            ctx.warn(volume, "VolumeFailedDelete", reason);
            Done::Failed
        }
    }
}

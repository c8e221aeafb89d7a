//! One volume whose claim is gone: observe, plan, act, report.
//!
//! ```text
//! stores ──> plan::volume::decide ──> directory away, then the PV object, then our finalizer ──> event, log, when to look again
//! ```
//! Each step can be repeated, and each leaves a state from which the plan finds the next one: a crash anywhere is finished by whoever comes next.
//! No decision is taken here.

use std::sync::Arc;
use std::time::Duration;

use tracing::field::display;
use tracing::{Span, debug, info, info_span, warn};

use super::access::Write;
use super::failure::Failure;
use super::queue::Done;
use super::stores::VolumeKey;
use super::{Context, away};
use crate::plan::facts::Volume;
use crate::plan::place::Place;
use crate::plan::volume::{self as plan, KeepData, Surroundings, VolumePlan};
use crate::telemetry::metrics::Attempt;

pub(super) use decided::{Decided, Site};

mod decided;
mod taken_back;

/// How soon to look again where only another attempt of this process is in the way.
const MOMENT: Duration = Duration::from_millis(200);

/// How soon to look again where another volume goes first, which can take as long as its removal does.
const WHILE: Duration = Duration::from_secs(3);

/// What every line about a volume bears: its claim's name and its own, in the same fields as the lines about the claim.
pub(super) fn span(ctx: &Context, key: &VolumeKey) -> Span {
    let volume = ctx.stores.volume(key);
    let claim = volume.and_then(|volume| volume.claim.clone()).map(display);
    info_span!("volume", claim, volume = %key)
}

/// The share that its directory is on: a share that hangs is to keep no other's volumes waiting.
pub(super) fn share(ctx: &Context, key: &VolumeKey) -> Option<Place> {
    let volume = ctx.stores.volume(key)?;
    let located = ctx
        .stores
        .served()
        .locate(volume.place()?, &volume.recorded);
    located.ok().map(|(share, _)| share.root)
}

/// At the beginning of a term: what an earlier one has decided, the server may be about to do.
pub(super) fn inherit(ctx: &Context) {
    for key in ctx.stores.wanting() {
        let Some(volume) = ctx.stores.volume(&key) else {
            continue;
        };
        if let Some(place) = volume.place()
            && decide(ctx, &volume).takes_directory_away()
        {
            ctx.paths.inherit(&key, place.clone());
        }
    }
}

/// Works on one volume once, within its [`span`].
pub(super) async fn attempt(ctx: &Context, key: VolumeKey) -> Done {
    let Some((volume, plan)) = look(ctx, &key).await else {
        ctx.paths.stayed(&key);
        ctx.volumes_waiting.over(&key);
        return taken_back::gone(ctx, &key).await;
    };
    if !plan.takes_directory_away() {
        ctx.paths.stayed(&key);
    }
    if plan.calls_removal_off()
        && let Err(failure) =
            taken_back::bring_back(ctx, &volume, plan.lets_go_of_what_is_kept()).await
    {
        return report_failure(ctx, &volume, &failure);
    }
    tell_of_wait(ctx, &volume, &plan);
    match &plan {
        VolumePlan::Ignore(why) => {
            debug!(?why, "nothing to do");
            Done::Settled
        }
        VolumePlan::Wait(what @ plan::Wait::DirectoryIsArriving(_)) => later(what, MOMENT),
        VolumePlan::Wait(what @ (plan::Wait::GoesLater(_) | plan::Wait::LeavesLater(_))) => {
            later(what, WHILE)
        }
        // Brought back by a change of a class or of the volume, and by the clock: what serves its share may change without either.
        VolumePlan::Wait(plan::Wait::IsHeldUp(why)) | VolumePlan::Refuse(why) => {
            warn!(reason = why.message, "volume not deleted");
            ctx.warn(&*volume, "VolumeFailedDelete", why.message.clone());
            ctx.metrics.delete().begin(&volume.class).failed();
            Done::Failed
        }
        work => {
            let counts = !matches!(work, VolumePlan::RemoveFinalizer(_));
            let timing = counts.then(|| ctx.metrics.delete().begin(&volume.class));
            let outcome = act(ctx, &Decided::new(&volume, work)).await; // share and API server
            if let Err(Failure::Outdated) = outcome {
                ctx.hindsight.clear_up(&ctx.stores).await; // API server, where the watch has missed something
            }
            report(ctx, &volume, work, outcome, timing)
        }
    }
}

/// Tells of a wait that lasts: what goes first may be held up by what this process knows nothing of.
fn tell_of_wait(ctx: &Context, volume: &Volume, plan: &VolumePlan) {
    let lasting = |occupied: &_| match plan {
        VolumePlan::Wait(what) => what.lasting(volume, occupied),
        _ => None,
    };
    let message = ctx.stores.occupied(lasting);
    if let Some(message) = ctx.volumes_waiting.due(&volume.name, message) {
        warn!(reason = message, "volume not deleted");
        ctx.warn(volume, "VolumeFailedDelete", message);
    }
}

fn later(what: &plan::Wait, delay: Duration) -> Done {
    debug!(?what, "not yet");
    Done::Later(delay)
}

/// What there is, and what is to be done about it; decided on a view as late as the decision needs.
async fn look(ctx: &Context, key: &VolumeKey) -> Option<(Arc<Volume>, VolumePlan)> {
    loop {
        let volume = ctx.stores.volume(key)?;
        let plan = decide(ctx, &volume); // no client
        if !plan.takes_directory_away() || ctx.hindsight.is_clear() {
            return Some((volume, plan));
        }
        ctx.hindsight.clear_up(&ctx.stores).await; // API server, once a term
    }
}

// --- plan ---

fn decide(ctx: &Context, volume: &Volume) -> VolumePlan {
    let (served, classes) = (ctx.stores.served(), ctx.stores.classes());
    let (parting, arriving) = (ctx.paths.parting(), ctx.paths.arriving(&volume.name));
    ctx.stores.occupied(|occupied| {
        let around = Surroundings {
            provisioner: &ctx.provisioner,
            served: &served,
            classes: &classes,
            occupied,
            arriving: &arriving,
            parting: &parting,
        };
        plan::decide(volume, &around)
    })
}

// --- act ---

async fn act(ctx: &Context, decided: &Decided<'_>) -> Result<(), Failure> {
    let volume = decided.volume();
    match decided.plan {
        VolumePlan::Archive(archive) => away::archive(ctx, decided, archive).await?,
        VolumePlan::Delete(delete) => away::remove(ctx, decided, delete).await?,
        VolumePlan::KeepData(keep) => return part(ctx, decided, keep).await,
        VolumePlan::RemoveFinalizer(_) => {
            decided.still_holds(ctx).await?;
            return release(ctx, volume).await;
        }
        VolumePlan::Retain
        | VolumePlan::Ignore(_)
        | VolumePlan::Wait(_)
        | VolumePlan::Refuse(_) => decided.still_holds(ctx).await?,
    }
    give_up(ctx, volume).await
}

async fn give_up(ctx: &Context, volume: &Volume) -> Result<(), Failure> {
    ctx.fence()?;
    ctx.volumes.delete(volume).await?;
    release(ctx, volume).await
}

/// Leaves the directory to the others who have a part in it. None of them may count on this volume any more, from the decision on.
async fn part(ctx: &Context, decided: &Decided<'_>, keep: &KeepData) -> Result<(), Failure> {
    let volume = decided.volume();
    let parting = ctx.paths.part(&volume.name);
    decided.still_holds(ctx).await?;
    if !keep.is_archived {
        away::drop_leftovers(ctx, decided, keep).await?;
    }
    give_up(ctx, volume).await?;
    parting.gone();
    Ok(())
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
    timing: Option<Attempt>,
) -> Done {
    match outcome {
        Ok(()) => {
            if let Some(timing) = timing {
                timing.succeeded();
            }
            done(ctx, volume, plan);
            Done::Settled
        }
        Err(failure) => {
            if let Some(timing) = timing
                && !is_passing(&failure)
            {
                timing.failed();
            }
            report_failure(ctx, volume, &failure)
        }
    }
}

/// Only something else of this process is in the way, or the view was old.
fn is_passing(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Busy(_) | Failure::NameTakenAnew | Failure::NotLeading | Failure::Outdated
    )
}

fn report_failure(ctx: &Context, volume: &Volume, failure: &Failure) -> Done {
    if is_passing(failure) {
        debug!(reason = %failure, "not yet");
        return Done::Later(MOMENT);
    }
    let reason = failure.message();
    ctx.note(failure, &reason, "deletion failed");
    ctx.warn(volume, "VolumeFailedDelete", reason);
    failure.retry_after().map_or(Done::Failed, Done::Later)
}

/// What was done, beside what was said of the directory where it was moved.
fn done(ctx: &Context, volume: &Volume, plan: &VolumePlan) {
    let place = volume.place().map(display);
    match plan {
        VolumePlan::RemoveFinalizer(farewell) => {
            if let Some(message) = &farewell.message {
                ctx.warn(volume, "VolumeFailedDelete", message.clone());
            }
            info!(place, "finalizer removed, directory stays");
            return;
        }
        VolumePlan::KeepData(keep) => {
            warn!(holder = %keep.holder, "directory kept for another volume");
            ctx.warn(volume, "VolumeFailedDelete", keep.message.clone());
        }
        VolumePlan::Retain => info!(place, "directory stays"),
        _ => {}
    }
    info!("volume deleted");
}

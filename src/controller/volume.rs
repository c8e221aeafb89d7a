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
use crate::plan::facts::{Class, Volume};
use crate::plan::volume::{self as plan, KeepData, Surroundings, VolumePlan};
use crate::telemetry::metrics::Attempt;

pub(super) use decided::Decided;

mod decided;

/// How soon to look again where only another attempt of this process is in the way.
const MOMENT: Duration = Duration::from_millis(200);

/// How soon to look again where another volume goes first, which can take as long as its removal does.
const WHILE: Duration = Duration::from_secs(3);

/// A volume and its class, as the stores have them.
#[derive(Debug)]
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
        ctx.paths.stayed(&key);
        return Done::Settled; // gone
    };
    if !plan.takes_directory_away() {
        ctx.paths.stayed(&key);
    }
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
            let outcome = act(ctx, &Decided::new(&seen, work)).await; // share and API server
            if let Err(Failure::Outdated) = outcome {
                ctx.hindsight.clear_up(&ctx.stores).await; // API server, where the watch has missed something
            }
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
    Some(beside_its_class(ctx, ctx.stores.volume(key)?))
}

fn beside_its_class(ctx: &Context, volume: Arc<Volume>) -> Observed {
    let class = ctx.stores.class(&volume.class);
    Observed { volume, class }
}

// --- plan ---

fn decide(ctx: &Context, seen: &Observed) -> VolumePlan {
    let (served, parting) = (ctx.stores.served(), ctx.paths.parting());
    let arriving = ctx.paths.arriving(&seen.volume.name);
    ctx.stores.occupied(|occupied| {
        let around = Surroundings {
            served: &served,
            class: plan::deciding(&seen.volume, seen.class.as_deref(), &ctx.provisioner),
            occupied,
            arriving: &arriving,
            parting: &parting,
        };
        plan::decide(&seen.volume, &around)
    })
}

// --- act ---

async fn act(ctx: &Context, decided: &Decided<'_>) -> Result<(), Failure> {
    let volume = decided.volume();
    match decided.plan {
        VolumePlan::Archive(archive) => away::archive(ctx, decided, archive).await?,
        VolumePlan::Delete(delete) => away::remove(ctx, decided, delete).await?,
        VolumePlan::KeepData(keep) => return part(ctx, decided, keep).await,
        VolumePlan::RemoveFinalizer => {
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
    away::drop_leftovers(ctx, keep).await?;
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
        Err(
            not_yet @ (Failure::Busy(_)
            | Failure::NameTakenAnew
            | Failure::NotLeading
            | Failure::Outdated),
        ) => {
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

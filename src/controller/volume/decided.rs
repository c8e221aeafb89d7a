//! What was decided about a volume, and whether that holds when its turn comes.
//!
//! ```text
//! store ──> plan ──> hold on the directory ──> the volume itself, read from the API server ──> the same plan? ──> effect
//! ```
//! A watch may be behind by minutes and not know it, and what an effect takes away does not come back: somebody may have set the volume to
//! `Retain` or given it to another claim. So no effect goes by the watch's word alone.

use tracing::debug;

use super::decide;
use crate::controller::Context;
use crate::controller::failure::Failure;
use crate::plan::facts::Volume;
use crate::plan::volume::VolumePlan;

/// A plan, and what it was made of.
#[derive(Debug)]
pub(in crate::controller) struct Decided<'a> {
    volume: &'a Volume,
    /// What is to be done.
    pub(super) plan: &'a VolumePlan,
}

// === impl Decided ===

impl<'a> Decided<'a> {
    pub(super) fn new(volume: &'a Volume, plan: &'a VolumePlan) -> Self {
        Self { volume, plan }
    }

    /// The volume as the store had it.
    pub(in crate::controller) fn volume(&self) -> &'a Volume {
        self.volume
    }

    /// Reads the volume once, and decides once more: what surrounds it may have changed too since the decision.
    ///
    /// # Errors
    /// [`Failure::Outdated`] where it would be decided otherwise now; what reading the volume may meet.
    pub(in crate::controller) async fn still_holds(&self, ctx: &Context) -> Result<(), Failure> {
        let seen = self.volume;
        let live = ctx.volumes.read(&seen.name).await?;
        let live = live.map(|object| Volume::from_object(object, &ctx.provisioner));
        let Some(live) = live.filter(|live| live.uid == seen.uid) else {
            debug!("volume is gone, and the watch has not told");
            ctx.hindsight.forget();
            return Err(Failure::Outdated);
        };
        let plan = decide(ctx, &live); // no client
        if plan == *self.plan {
            return Ok(());
        }
        if live != *seen {
            debug!(?plan, "volume has changed, and the watch has not told");
            ctx.hindsight.forget();
        }
        Err(Failure::Outdated)
    }
}

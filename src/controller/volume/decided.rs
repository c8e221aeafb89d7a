//! What was decided about a volume, and whether that holds when its turn comes.
//!
//! ```text
//! store ──> plan ──> hold on the directory ──> the volume itself, read from the API server ──> the same plan? ──> effect
//! ```
//! A watch may be behind by minutes and not know it, and what an effect takes away does not come back: somebody may have set the volume to
//! `Retain` or given it to another claim. So no effect goes by the watch's word alone.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{debug, info};

use super::decide;
use crate::controller::Context;
use crate::controller::failure::Failure;
use crate::plan::facts::Volume;
use crate::plan::volume::{VolumePlan, WayBack};

/// A plan, and what it was made of.
#[derive(Debug)]
pub(in crate::controller) struct Decided<'a> {
    volume: &'a Volume,
    /// What is to be done.
    pub(super) plan: &'a VolumePlan,
}

/// Where a directory is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controller) enum Site {
    /// In the hidden folder, where it is nobody's.
    Hidden,
    /// Under its own name, where others may get a part in it.
    Own,
}

/// How long it may go unseen that others have got a part in a directory: of their volumes nobody tells.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

// === impl Decided ===

impl<'a> Decided<'a> {
    pub(super) fn new(volume: &'a Volume, plan: &'a VolumePlan) -> Self {
        Self { volume, plan }
    }

    /// The volume as the store had it.
    pub(in crate::controller) fn volume(&self) -> &'a Volume {
        self.volume
    }

    /// Does what can take hours, and drops it where the store shows meanwhile that the data is to be kept after all: what is left of it comes back
    /// with the next attempt.
    ///
    /// # Errors
    /// [`Failure::Outdated`] where that was dropped, or came to its end just then; what `work` may meet.
    pub(in crate::controller) async fn until_called_off<T>(
        &self,
        ctx: &Context,
        site: Site,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let watch = async {
            loop {
                let told = ctx.paths.told();
                if self.is_called_off(ctx, site) {
                    return;
                }
                let _ = timeout(LOOK_AGAIN, told).await;
            }
        };
        let done = tokio::select! {
            biased;
            () = watch => None,
            done = work => Some(done?),
        };
        done.filter(|_| !self.is_called_off(ctx, site))
            .ok_or_else(|| {
                info!("volume taken back while its directory was being removed");
                Failure::Outdated
            })
    }

    /// Whether the store shows that the data is to be kept.
    fn is_called_off(&self, ctx: &Context, site: Site) -> bool {
        let name = &self.volume.name;
        if let Some(now) = ctx.stores.volume(name) {
            return site.is_called_off(&decide(ctx, &now));
        }
        let last = ctx.paths.last_of(name);
        last.is_some_and(|last| WayBack::outlives(&last))
    }

    /// Reads the volume once more after work that took long: the object of one whose data was to be kept in the end is not given up.
    ///
    /// # Errors
    /// [`Failure::Outdated`] where it was taken back; what reading the volume may meet.
    pub(in crate::controller) async fn was_not_called_off(
        &self,
        ctx: &Context,
        site: Site,
    ) -> Result<(), Failure> {
        let live = ctx.volumes.read(&self.volume.name).await?;
        let live = live.map(|object| Volume::from_object(object, &ctx.provisioner));
        let Some(live) = live else {
            return Ok(());
        };
        if live.uid == self.volume.uid && !site.is_called_off(&decide(ctx, &live)) {
            return Ok(());
        }
        debug!("volume was taken back, and the watch has not told");
        ctx.hindsight.forget();
        Err(Failure::Outdated)
    }

    /// Reads the volume once, and decides once more: what surrounds it may have changed too since the decision.
    ///
    /// # Errors
    /// [`Failure::Outdated`] where it would be decided otherwise now; what reading the volume may meet.
    pub(in crate::controller) async fn still_holds(&self, ctx: &Context) -> Result<(), Failure> {
        let seen = self.volume;
        if self.plan.takes_directory_away() {
            // Once more: until the hold was there, a volume could be made unseen.
            ctx.hindsight.clear_up(&ctx.stores).await;
        }
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

// === impl Site ===

impl Site {
    fn is_called_off(self, plan: &VolumePlan) -> bool {
        match self {
            Self::Hidden => plan.calls_removal_off(),
            Self::Own => plan.calls_removal_off() || plan.shares_directory(),
        }
    }
}

//! A claim that waits. What it waits for takes moments as a rule; where it does not, its owner is told.

use std::time::Duration;

use tracing::{debug, warn};

use super::super::Context;
use super::super::queue::Done;
use super::super::stores::ClaimKey;
use super::{CLASS_FOLLOWS, MOMENT, Observed, class_name};
use crate::plan::claim::{ClaimPlan, Wait};

/// How soon to look again where the end of what is waited for brings the key back, and only the wait itself may be to tell of.
const WHILE: Duration = Duration::from_secs(5);

/// Tells of a wait that lasts.
pub(super) fn tell(ctx: &Context, key: &ClaimKey, seen: &Observed, plan: &ClaimPlan) {
    let message = match plan {
        ClaimPlan::Wait(what) => what.lasting(class_name(seen)),
        _ => None,
    };
    if let Some(message) = ctx.claims_waiting.due(key, message) {
        warn!(reason = message, "claim waits");
        ctx.warn(&*seen.claim, "ProvisioningFailed", message);
    }
}

/// When to look again.
pub(super) fn look_again(ctx: &Context, key: &ClaimKey, what: &Wait) -> Done {
    debug!(?what, "not yet");
    let after = match what {
        Wait::NodeNotSelected => return Done::Settled, // the annotation is a change of the claim
        Wait::ClassMayFollow => CLASS_FOLLOWS,
        Wait::DirectoryIsLeaving { .. } => MOMENT,
        Wait::VolumeIsLeaving(_) => {
            ctx.made.forget(key);
            WHILE
        }
    };
    Done::Later(after)
}

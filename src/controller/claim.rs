//! One claim: observe, plan, act, report.
//!
//! ```text
//! stores ──> plan::claim::decide ──> hold, MKDIR, create PV ──> event, log, when to look again
//! ```
//! No decision is taken here; what is refused and why is the plan's.

use std::time::Duration;

use nfs_export::Target;
use tracing::field::display;
use tracing::{Span, debug, info, info_span, warn};

use super::failure::Failure;
use super::queue::Done;
use super::stores::ClaimKey;
use super::volumes_api::Creation;
use super::waits::RETELL;
use super::{Context, made};
use crate::plan::claim::{self as plan, ClaimPlan, Ignore, Provision, Surroundings};
use crate::plan::facts::{Claim, Class, Request, Standing};
use crate::plan::place::Place;
use crate::plan::{names, pv};
use crate::telemetry::metrics::Attempt;

mod found;
mod waiting;

/// How soon to look again where only another attempt of this process is in the way.
const MOMENT: Duration = Duration::from_millis(200);

/// How long a class may be missing before its claim is told so.
const CLASS_FOLLOWS: Duration = Duration::from_secs(2);

/// A claim and the class it names, as the stores have them.
struct Observed {
    claim: std::sync::Arc<Claim>,
    class: Option<std::sync::Arc<Class>>,
}

/// How a plan to provision ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provisioned {
    /// Directory and volume are there.
    Whole,
    /// Its volume was made by somebody, with its data elsewhere.
    Elsewhere,
    /// The claim went away meanwhile: what was made for it is given back by the next look.
    ClaimGone,
}

/// What every line about a claim bears: its name, and its volume's.
pub(super) fn span(ctx: &Context, key: &ClaimKey) -> Span {
    let claim = ctx.stores.claim(key);
    let volume = claim.map(|claim| display(names::volume(&claim.uid)));
    info_span!("claim", claim = %key, volume)
}

/// The share that its class chooses: a share that hangs is to keep no other's claims waiting.
pub(super) fn share(ctx: &Context, key: &ClaimKey) -> Option<Place> {
    let class = observe(ctx, key)?.class?;
    let params = class.params.share.as_ref().ok()?;
    Some(ctx.stores.served().chosen_by(params).root)
}

/// Works on one claim once, within its [`span`].
pub(super) async fn attempt(ctx: &Context, key: ClaimKey) -> Done {
    let seen = observe(ctx, &key);
    let volume = seen.as_ref().map(|seen| names::volume(&seen.claim.uid));
    if let Some(left) = ctx.made.left(&key, volume.as_deref()) {
        if let Err(failure) = made::give_back(ctx, &left).await {
            debug!(
                reason = failure.message(),
                dir = left.dir.as_str(),
                "directory of a claim that is gone stays for now"
            );
            if seen.is_none() {
                return failure.retry_after().map_or(Done::Failed, Done::Later);
            }
            // Another claim has the name by now, and perhaps another share, which answers.
            ctx.queues.claims.add(ctx.made.set_aside(&key, left));
        }
        ctx.made.forget(&key);
    }
    let Some(seen) = seen else {
        ctx.claims_waiting.over(&key);
        return Done::Settled; // gone, bound, or never ours
    };
    let plan = decide(ctx, &seen); // no client
    waiting::tell(ctx, &key, &seen, &plan);
    match plan {
        ClaimPlan::Ignore(why) => {
            if why == Ignore::VolumeExists {
                ctx.made.forget(&key);
            }
            ignored(why)
        }
        ClaimPlan::Wait(what) => waiting::look_again(ctx, &key, &what),
        ClaimPlan::Refuse(refusal) => {
            // A change of the claim or of a class brings the key back at once; otherwise only the event is due again.
            if ctx
                .repeats
                .say(&format!("{key}: {}", refusal.message))
                .is_some()
            {
                warn!(reason = refusal.message, "claim refused");
            }
            ctx.warn(&*seen.claim, "ProvisioningFailed", refusal.message);
            ctx.metrics.provision().begin(class_name(&seen)).failed();
            Done::Later(RETELL)
        }
        ClaimPlan::Provision(provision) => {
            let timing = ctx.metrics.provision().begin(class_name(&seen));
            let outcome = act(ctx, &seen, &provision).await; // share and API server
            report(ctx, &seen, &provision, outcome, timing)
        }
    }
}

// --- observe ---

fn observe(ctx: &Context, key: &ClaimKey) -> Option<Observed> {
    let claim = ctx.stores.claim(key)?;
    let class = request(&claim)?
        .class
        .as_deref()
        .and_then(|name| ctx.stores.class(name));
    Some(Observed { claim, class })
}

fn request(claim: &Claim) -> Option<&Request> {
    match &claim.standing {
        Standing::Wanting(request) => Some(request),
        Standing::Bound | Standing::Foreign => None,
    }
}

fn class_name(seen: &Observed) -> &str {
    request(&seen.claim)
        .and_then(|request| request.class.as_deref())
        .unwrap_or_default()
}

// --- plan ---

fn decide(ctx: &Context, seen: &Observed) -> ClaimPlan {
    let volume = names::volume(&seen.claim.uid);
    let there = ctx.stores.volume(&volume);
    let served = ctx.stores.served();
    let (class_may_follow, volume_created) =
        (class_may_follow(ctx, seen), ctx.paths.is_created(&volume));
    ctx.paths.leaving(|leaving| {
        let around = Surroundings {
            provisioner: &ctx.provisioner,
            served: &served,
            class: seen.class.as_deref(),
            class_may_follow,
            volume_created,
            volume: there.as_deref(),
            leaving,
        };
        plan::decide(&seen.claim, &around)
    })
}

/// Whether a class that is not there has been missed for a moment only.
fn class_may_follow(ctx: &Context, seen: &Observed) -> bool {
    let key = ClaimKey::from(&*seen.claim);
    if seen.class.is_some() {
        ctx.classless.over(&key);
        return false;
    }
    ctx.classless.since(&key) < CLASS_FOLLOWS
}

// --- act ---

async fn act(
    ctx: &Context,
    seen: &Observed,
    provision: &Provision,
) -> Result<Provisioned, Failure> {
    let target = Target::from(&provision.share);
    let hold = ctx
        .paths
        .hold(&provision.volume, provision.share.place(&provision.dir))?;
    let message = format!(
        "External provisioner is provisioning volume for claim \"{}\"",
        seen.claim.key()
    );
    ctx.tell(&*seen.claim, "Provisioning", message);

    let export = ctx.shares.export(&target);
    ctx.fence()?;
    let created = export.create_dir_all(&provision.dir, provision.mode).await;
    let key = ClaimKey::from(&*seen.claim);
    made::note(ctx, &key, provision, &created).await;
    created.map_err(Failure::share(&target))?;
    if !still_wanted(ctx, &seen.claim) {
        return Ok(Provisioned::ClaimGone);
    }
    let Some(volume) = build(ctx, seen, provision) else {
        return Ok(Provisioned::ClaimGone);
    };
    ctx.fence()?;
    match ctx.volumes.create(&volume).await {
        Ok(Creation::Created) => {}
        Ok(Creation::Existed) => match found::look(ctx, seen, provision).await? {
            Provisioned::Whole => {}
            otherwise => return Ok(otherwise),
        },
        Err(failure) => {
            let may_be_anothers = !provision.bears_volume_name() || made::is_shared(ctx, provision);
            if failure.is_in_doubt() && may_be_anothers {
                // The volume may be there, and in use, before the store shows it: the hold ends here, and whoever takes the directory away must not
                // trust the store.
                ctx.hindsight.forget();
            }
            return Err(failure);
        }
    }
    hold.created();
    ctx.made.forget(&key);
    Ok(Provisioned::Whole)
}

fn build(
    ctx: &Context,
    seen: &Observed,
    provision: &Provision,
) -> Option<k8s_openapi::api::core::v1::PersistentVolume> {
    let parts = pv::Parts {
        provisioner: &ctx.provisioner,
        served: &ctx.stores.served(),
        claim: &seen.claim,
        request: request(&seen.claim)?,
        class: seen.class.as_deref()?,
        provision,
        finalizer: ctx.access.borrow().volume_finalizer.is_some(),
    };
    Some(pv::build(&parts))
}

/// Whether the store still has this very claim; one made anew under the same name is another.
fn still_wanted(ctx: &Context, claim: &Claim) -> bool {
    ctx.stores
        .claim(&ClaimKey::from(claim))
        .is_some_and(|now| now.uid == claim.uid)
}

// --- report ---

fn ignored(why: Ignore) -> Done {
    debug!(?why, "nothing to do");
    Done::Settled
}

fn report(
    ctx: &Context,
    seen: &Observed,
    provision: &Provision,
    outcome: Result<Provisioned, Failure>,
    timing: Attempt,
) -> Done {
    match outcome {
        Ok(how @ (Provisioned::Whole | Provisioned::Elsewhere)) => {
            timing.succeeded();
            if how == Provisioned::Whole {
                info!(dir = provision.dir.as_str(), "volume provisioned");
            }
            let message = format!("Successfully provisioned volume {}", provision.volume);
            ctx.tell(&*seen.claim, "ProvisioningSucceeded", message);
            Done::Settled
        }
        Ok(Provisioned::ClaimGone) => {
            info!("claim is gone; no volume was made for it");
            Done::Later(Duration::ZERO)
        }
        Err(not_yet @ (Failure::Busy(_) | Failure::NotLeading | Failure::Outdated)) => {
            debug!(reason = %not_yet, "not yet");
            Done::Later(MOMENT)
        }
        Err(failure) => {
            timing.failed();
            let reason = failure.message();
            ctx.note(&failure, &reason, "provisioning failed");
            let message = format!(
                "failed to provision volume with StorageClass \"{}\": {reason}",
                class_name(seen)
            );
            ctx.warn(&*seen.claim, "ProvisioningFailed", message);
            failure.retry_after().map_or(Done::Failed, Done::Later)
        }
    }
}

//! The creation of a volume has run into one that is there: most often into that of an earlier attempt whose answer was lost. What is there decides.

use tracing::{info, warn};

use super::super::failure::Failure;
use super::super::stores::ClaimKey;
use super::super::{Context, made};
use super::{Observed, Provisioned};
use crate::plan::claim::{Found, NameTaken, Provision, found};

/// Whether, and how, the claim is served by what is there. Where it is not, the volume may all the same have a part in the directory, and the store
/// does not show it yet.
pub(super) async fn look(
    ctx: &Context,
    seen: &Observed,
    provision: &Provision,
) -> Result<Provisioned, Failure> {
    look_at(ctx, seen, provision)
        .await
        .inspect_err(|_| ctx.hindsight.forget())
}

async fn look_at(
    ctx: &Context,
    seen: &Observed,
    provision: &Provision,
) -> Result<Provisioned, Failure> {
    let Some(object) = ctx.volumes.read(&provision.volume).await? else {
        return Err(Failure::Outdated); // gone between the two requests
    };
    let meant = provision.share.place(&provision.dir);
    match found(object, &seen.claim, &meant, &ctx.provisioner) {
        Found::Meant => Ok(Provisioned::Whole),
        Found::Leaving => Err(Failure::Outdated),
        Found::Elsewhere(place) => {
            let place = place.map(tracing::field::display);
            info!(place, "volume is there, with its directory elsewhere");
            let key = ClaimKey::from(&*seen.claim);
            if let Some(unused) = ctx.made.left(&key, None) {
                if let Err(failure) = made::give_back(ctx, &unused).await {
                    let (reason, dir) = (failure.message(), unused.dir.as_str());
                    warn!(reason, dir, "directory that was made and is not used stays");
                    ctx.paths.stayed(&unused.volume);
                }
                ctx.made.forget(&key);
            }
            Ok(Provisioned::Elsewhere)
        }
        Found::Foreign(holder) => Err(NameTaken::new(&provision.volume, holder.as_deref()).into()),
    }
}

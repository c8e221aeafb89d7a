//! Directories that attempts of this term have made, or may have made, for claims that have no volume yet: whose they are is known nowhere else, so
//! when such a claim goes, the directory would be nobody's.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nfs_export::{Created, Error, Target};
use tracing::info;

use super::failure::Failure;
use super::stores::ClaimKey;
use super::{Context, parents};
use crate::plan::claim::Provision;
use crate::plan::facts::{Phase, Reclaim, Volume};

/// Directories kept in mind at most: of more than so many claims that fail at a time, some may leave an empty one.
const KEPT: usize = 4096;

/// By claim, the directory that was made for it.
#[derive(Debug, Default)]
pub struct Made(Mutex<HashMap<ClaimKey, Provision>>);

// === impl Made ===

impl Made {
    /// A directory is new. Returns another one that was made for the claim before its labels changed.
    pub(super) fn put(&self, key: &ClaimKey, provision: &Provision) -> Option<Provision> {
        let mut kept = self.lock();
        if kept.len() >= KEPT && !kept.contains_key(key) {
            return None;
        }
        kept.insert(key.clone(), provision.clone())
            .filter(|before| before.volume != provision.volume || before.dir != provision.dir)
    }

    /// The directory that was made for a claim of this name which is gone: another one than that of `volume`, which is wanted still.
    pub(super) fn left(&self, key: &ClaimKey, volume: Option<&str>) -> Option<Provision> {
        let kept = self.lock();
        let made = kept.get(key)?;
        (Some(&*made.volume) != volume).then(|| made.clone())
    }

    /// What was made for a claim that is gone is not to stand in the way of another claim of its name: returns the key under which it is from here on.
    pub(super) fn set_aside(&self, key: &ClaimKey, left: Provision) -> ClaimKey {
        let aside = key.left_by(&left.volume);
        let mut kept = self.lock();
        kept.remove(key);
        kept.insert(aside.clone(), left);
        aside
    }

    /// It has its volume, or is gone.
    pub(super) fn forget(&self, key: &ClaimKey) {
        self.lock().remove(key);
    }

    /// Another process has led meanwhile.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClaimKey, Provision>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps in mind what an attempt has made, or may have made, for a claim.
pub(super) async fn note(
    ctx: &Context,
    key: &ClaimKey,
    provision: &Provision,
    created: &Result<Created, Error>,
) {
    let may_be_ours = match created {
        Ok(Created::New) => true,
        // What an attempt without an answer has made, be it another process's, is told from what was there before by its name alone.
        Ok(Created::Existed) => provision.bears_volume_name(),
        Err(error) => error.is_in_doubt() && provision.bears_volume_name(),
    };
    if may_be_ours && let Some(before) = ctx.made.put(key, provision) {
        // Its labels chose another one then; an empty directory too many is no reason to keep the claim waiting.
        if give_back(ctx, &before).await.is_err() {
            ctx.paths.stayed(&before.volume); // nobody asks again
        }
    }
}

/// Whether a volume that is there has a part in the directory, and may take it along when it goes.
pub(super) fn is_shared(ctx: &Context, provision: &Provision) -> bool {
    let place = provision.share.place(&provision.dir);
    ctx.stores
        .occupied(|occupied| occupied.around(&place, "").next().is_some())
}

/// Takes back a directory that was made for a claim that is gone, or has its volume elsewhere. Only an empty one, only one that this process made
/// or that bears the volume's name, only while nobody else has a part in it.
///
/// Whoever does not ask again after an error lets the directory go by [`Paths::stayed`](super::paths::Paths::stayed).
pub(super) async fn give_back(ctx: &Context, made: &Provision) -> Result<(), Failure> {
    let place = made.share.place(&made.dir);
    // A claim is also gone from the store when it is bound to the volume that an attempt without an answer has made.
    if let Some(live) = ctx.volumes.read(&made.volume).await? {
        let live = Volume::from_object(live, &ctx.provisioner);
        if live.place().is_none_or(|at| at.relation(&place).is_some()) {
            if !is_going(&live) {
                ctx.paths.stayed(&made.volume);
            }
            return Ok(());
        }
    }
    let Ok(moving) = ctx.paths.move_away(&made.volume, place) else {
        ctx.paths.stayed(&made.volume);
        return Ok(()); // another claim with the same pattern has it by now
    };
    // Only behind the hold: until then another claim could get the directory.
    ctx.hindsight.clear_up(&ctx.stores).await; // API server, where a volume may have been made unseen
    if is_shared(ctx, made) {
        moving.settled();
        return Ok(());
    }
    ctx.fence()?;
    let target = Target::from(&made.share);
    let removed = ctx.shares.export(&target).remove_empty_dir(&made.dir).await;
    match &removed {
        Ok(_) => moving.settled(),
        // A server that wakes may yet do it: nobody gets the directory until another removal has an answer.
        Err(error) if error.is_in_doubt() => moving.unsettled(),
        // Not even sent, or refused: that says nothing about one that was sent before.
        Err(_) => {}
    }
    if removed.map_err(Failure::share(&target))? {
        info!(
            dir = made.dir.as_str(),
            "directory that was made and is not used removed"
        );
        parents::remove_empty(ctx, &made.share, &made.dir, &made.volume).await?;
    }
    drop(moving);
    Ok(())
}

/// Whether a deletion is at work in the volume's directory, or will be: what that does not know of it is not settled here.
fn is_going(volume: &Volume) -> bool {
    let is_released = matches!(volume.phase, Phase::Released | Phase::Failed);
    volume.deleting || (is_released && volume.reclaim == Reclaim::Delete)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use http::StatusCode;
    use nfs_export::SubDir;
    use serde_json::json;
    use testkit::nfs::{Effect, Procedure, Rule, Server};

    use super::*;
    use crate::controller::double::{OURS, mk_client, mk_context, mk_share, status};
    use crate::controller::leader::Leadership;

    /// A server that wakes may yet remove the directory, then another claim's.
    #[tokio::test]
    async fn a_directory_of_which_nobody_knows_whether_it_was_removed_is_given_to_nobody() {
        for is_bound in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("data")).unwrap();
            let server = Server::builder(folder.path()).start().await.unwrap();
            let made = Provision {
                volume: "pvc-1".to_owned(),
                share: mk_share(&server),
                dir: SubDir::parse("data").unwrap(),
                mode: 0o777,
            };
            let place = made.share.place(&made.dir);
            let bound = Arc::new(AtomicBool::new(false));
            let (is_there, path) = (bound.clone(), place.path().to_owned());
            let (client, _log) = mk_client(move |_| {
                let volume = json!({
                    "metadata": {"name": "pvc-1", "annotations": {"pv.kubernetes.io/provisioned-by": OURS}},
                    "spec": {"nfs": {"server": "127.0.0.1", "path": path}},
                    "status": {"phase": "Bound"},
                });
                let answer = if is_there.load(Ordering::SeqCst) {
                    (StatusCode::OK, volume)
                } else {
                    status(StatusCode::NOT_FOUND, "NotFound")
                };
                async move { answer }
            });
            let ctx = mk_context(client, &made.share, Leadership::always());
            server
                .faults()
                .inject(Rule::on(Procedure::RMDIR, Effect::Ignore).times(1));
            let failure = give_back(&ctx, &made).await.unwrap_err();
            assert!(failure.message().contains("no answer"), "{failure:?}");
            assert!(ctx.paths.hold("pvc-2", place.clone()).is_err());

            // An attempt without an answer has made the volume after all; or the next removal has an answer.
            bound.store(is_bound, Ordering::SeqCst);
            give_back(&ctx, &made).await.unwrap();
            assert_eq!(folder.path().join("data").exists(), is_bound);
            assert!(ctx.paths.hold("pvc-2", place).is_ok());
        }
    }
}

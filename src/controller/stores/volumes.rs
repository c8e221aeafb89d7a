//! All volumes, in a few words each, and which directories they occupy.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;

use super::follow::Sink;
use super::{Stores, VolumeKey, write};
use crate::plan::facts::{Named, Phase, Volume};
use crate::plan::occupied::Occupied;
use crate::plan::volume::WayBack;

/// Volumes by name and by place.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    by_name: HashMap<VolumeKey, Arc<Volume>>,
    occupied: Occupied,
}

/// Takes volumes in from the watch.
pub(super) struct Intake {
    stores: Arc<Stores>,
    listing: Volumes,
    token: u64,
    /// The number that its lists bear: see `Stores::see_volumes_afresh`.
    number: u64,
}

// === impl Volumes ===

impl Volumes {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Volume>> {
        self.by_name.get(name).cloned()
    }

    pub(super) fn each(&self, look: impl FnMut(&Volume)) {
        self.by_name.values().map(AsRef::as_ref).for_each(look);
    }

    pub(super) fn occupied(&self) -> &Occupied {
        &self.occupied
    }

    /// Names of the volumes that may be ours to reclaim.
    pub(super) fn wanting(&self) -> impl Iterator<Item = VolumeKey> {
        self.by_name
            .values()
            .filter(|volume| may_want_work(volume))
            .map(|volume| volume.name.clone())
    }

    fn put(&mut self, volume: &Arc<Volume>) {
        if let Some(old) = self.by_name.insert(volume.name.clone(), volume.clone())
            && old.place() != volume.place()
        {
            // Deleted and made again under the same name, with another directory.
            self.occupied.remove(&old);
        }
        self.occupied.put(volume);
    }

    fn remove(&mut self, name: &str) {
        if let Some(old) = self.by_name.remove(name) {
            self.occupied.remove(&old);
        }
    }
}

/// Whether a look at the volume can lead to anything; the decision itself is the plan's.
fn may_want_work(volume: &Volume) -> bool {
    volume.ours && (volume.deleting || matches!(volume.phase, Phase::Released | Phase::Failed))
}

// === impl Intake ===

impl Intake {
    pub(super) fn new(stores: Arc<Stores>, number: u64) -> Self {
        Self {
            stores,
            listing: Volumes::default(),
            token: 0,
            number,
        }
    }

    fn read(&self, object: PersistentVolume) -> Volume {
        Volume::from_object(object, &self.stores.provisioner)
    }

    /// What a list shows of volumes on their way out: they may have been taken back, or have gone, while nobody watched. Before the store has it, for the
    /// sweep goes by both. Returns those that are there still.
    fn see_trashed(&self, listed: &Volumes) -> Vec<VolumeKey> {
        let mut names = self.stores.paths.all_trashed();
        names.retain(|name| {
            let now = listed.get(name);
            let is_there = now.is_some();
            if let Some(last) = now.or_else(|| self.stores.volume(name)) {
                self.stores.paths.last_seen(&last);
            }
            is_there
        });
        names
    }

    /// A volume that was to be kept goes before it is known whether its data is in the hidden folder. Before the store lets go of it, for the sweep goes by
    /// both.
    fn see_going(&self, volume: &Volume) {
        let (served, paths) = (self.stores.served(), &self.stores.paths);
        if WayBack::outlives(volume)
            && let Some(place) = volume.place()
            && let Ok((share, _)) = served.locate(place, &volume.recorded)
            && paths.is_unsearched(&share.root)
        {
            paths.trashed(volume);
        }
    }

    /// A claim whose volume went before it was bound wants another, and nothing about the claim itself changes.
    fn gone(&self, volume: &Volume) {
        self.stores.paths.left(&volume.name);
        if self.stores.paths.is_trashed(&volume.name) {
            self.stores.paths.tell();
            self.stores.queues.volumes.add(volume.name.clone());
        }
        if let Some(claim) = &volume.claim {
            self.stores.enqueue_claim(claim);
        }
        if volume.named != Named::ForItsClaim {
            // It may have had the name of another claim's volume.
            self.stores.enqueue_claim_of(&volume.name);
        }
    }
}

impl Sink<PersistentVolume> for Intake {
    fn begin(&mut self) {
        self.listing = Volumes::default();
        self.token = self.stores.paths.list_begins();
    }

    fn listed(&mut self, object: PersistentVolume) {
        let volume = self.read(object);
        // What has not changed is not held twice while all are listed anew.
        let known = self.stores.volume(&volume.name);
        let known = known.filter(|known| **known == volume);
        self.listing.put(&known.unwrap_or_else(|| Arc::new(volume)));
    }

    fn complete(&mut self) {
        let listed = std::mem::take(&mut self.listing);
        self.stores.each_volume(|volume| {
            if listed.get(&volume.name).is_none() {
                self.see_going(volume);
            }
        });
        let mut wanting = self.see_trashed(&listed);
        wanting.extend(listed.wanting());
        let before = std::mem::replace(&mut *write(&self.stores.volumes), listed);
        // A list shows what no event will: from here on the store speaks for these directories.
        let held = self.stores.paths.held().into_iter();
        for name in held.filter(|name| self.stores.volume(name).is_some()) {
            self.stores.paths.seen(&name);
        }
        for name in self.stores.paths.list_ended(self.token) {
            self.stores.enqueue_claim_of(&name);
        }
        for name in wanting {
            self.stores.queues.volumes.add(name);
        }
        for volume in before.by_name.into_values() {
            if self.stores.volume(&volume.name).is_none() {
                self.gone(&volume);
            }
        }
        self.stores.paths.tell();
        self.stores
            .mark(|synced| synced.volumes = Some(self.number));
    }

    fn apply(&mut self, object: PersistentVolume) {
        let volume = self.read(object);
        let name = volume.name.clone();
        // One that is taken back in the middle of its deletion wants its data back.
        let is_trashed = self.stores.paths.is_trashed(&name);
        let wants = may_want_work(&volume) || is_trashed;
        self.stores.paths.last_seen(&volume);
        let goes = volume.deleting;
        write(&self.stores.volumes).put(&Arc::new(volume));
        if goes {
            self.stores.paths.left(&name);
        }
        // Only now: from here on the store speaks for the directory.
        self.stores.paths.seen(&name);
        if is_trashed {
            self.stores.paths.tell();
        }
        if wants {
            self.stores.queues.volumes.add(name);
        }
    }

    fn delete(&mut self, object: PersistentVolume) {
        let volume = self.read(object);
        self.stores.paths.last_seen(&volume);
        self.see_going(&volume);
        write(&self.stores.volumes).remove(&volume.name);
        self.stores.paths.seen(&volume.name);
        self.gone(&volume);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::paths::Paths;
    use crate::controller::queue::{Done, Queue};
    use crate::controller::stores::{Queues, claims};
    use crate::plan::facts::Reclaim;
    use crate::plan::place::Place;
    use crate::plan::shares::Share;
    use futures::FutureExt;
    use serde_json::json;
    use std::time::Duration;

    const OURS: &str = "example.org/nfs";

    /// Stores of a leader that know one claim, its queues, and the claim's volume as the API server has it.
    fn mk_world() -> (Arc<Stores>, Arc<Queues>, impl Fn() -> PersistentVolume) {
        let backoff = |_| Duration::from_secs(1);
        let queues = Arc::new(Queues {
            claims: Queue::new(backoff),
            volumes: Queue::new(backoff),
        });
        queues.open();
        let share = Share {
            root: Place::new("nfs", "/data").unwrap(),
            nfs_port: None,
            mount_port: None,
        };
        let stores = Stores::new(OURS, share, queues.clone(), Paths::default());
        let stores = Arc::new(stores);
        let claim = json!({"metadata": {"namespace": "default", "name": "data", "uid": "u1",
            "annotations": {"volume.kubernetes.io/storage-provisioner": OURS}}});
        claims::Intake::new(stores.clone()).apply(serde_json::from_value(claim).unwrap());
        settle(&queues);
        let volume = json!({"metadata": {"name": "pvc-u1", "uid": "u2"},
            "spec": {"claimRef": {"namespace": "default", "name": "data"}}});
        let volume = move || serde_json::from_value::<PersistentVolume>(volume.clone()).unwrap();
        (stores, queues, volume)
    }

    /// The claim's attempt is over.
    fn settle(queues: &Queues) {
        let key = queues.claims.next().now_or_never().unwrap();
        assert_eq!(queues.claims.done(&key, Done::Settled), None);
        assert_eq!(queues.claims.depth().ready, 0);
    }

    /// The claim itself does not change when its volume goes.
    #[test]
    fn a_claim_whose_volume_goes_before_it_is_bound_is_looked_at_again() {
        let (stores, queues, volume) = mk_world();
        let mut volumes = Intake::new(stores, 0);
        volumes.apply(volume());
        assert_eq!(queues.claims.depth().ready, 0);
        volumes.delete(volume());
        assert_eq!(queues.claims.depth().ready, 1, "deleted");
        settle(&queues);
        volumes.apply(volume());
        volumes.begin();
        volumes.complete();
        assert_eq!(queues.claims.depth().ready, 1, "not in the list any more");
    }

    /// Between two lists, or in a gap of the watch, no event tells.
    #[test]
    fn of_a_volume_on_its_way_out_the_last_that_a_list_showed_is_remembered() {
        let (stores, queues, volume) = mk_world();
        let mut volumes = Intake::new(stores.clone(), 0);
        let under = |policy: &str| {
            let mut volume = volume();
            let spec = volume.spec.as_mut().unwrap();
            spec.persistent_volume_reclaim_policy = Some(policy.into());
            volume
        };
        volumes.apply(under("Delete"));
        stores.paths.trashed(&stores.volume("pvc-u1").unwrap());
        let reclaim = || stores.paths.last_of("pvc-u1").unwrap().reclaim;
        let looked_at = || {
            let key = queues.volumes.next().now_or_never();
            queues
                .volumes
                .done(&key.expect("in the queue"), Done::Settled);
        };
        assert_eq!(reclaim(), Reclaim::Delete);

        volumes.begin();
        volumes.listed(under("Retain"));
        volumes.complete();
        assert_eq!(reclaim(), Reclaim::Keep);
        looked_at();
        volumes.begin();
        volumes.complete();
        assert_eq!(reclaim(), Reclaim::Keep);
        looked_at();
    }

    /// Nothing about the claim changes when its volume's name is free again.
    #[test]
    fn a_claim_whose_volume_s_name_was_taken_is_looked_at_when_that_volume_goes() {
        let (stores, queues, _) = mk_world();
        let mut volumes = Intake::new(stores, 0);
        let other = json!({"namespace": "default", "name": "other", "uid": "u9"});
        for holder in [json!(null), other] {
            let taken = json!({"metadata": {"name": "pvc-u1"}, "spec": {"claimRef": holder}});
            let taken = || serde_json::from_value::<PersistentVolume>(taken.clone()).unwrap();
            volumes.apply(taken());
            volumes.delete(taken());
            assert_eq!(queues.claims.depth().ready, 1, "{holder}");
            settle(&queues);
        }
        let elsewhere = json!({"metadata": {"name": "by-hand"}});
        volumes.delete(serde_json::from_value(elsewhere).unwrap());
        assert_eq!(queues.claims.depth().ready, 0);
    }

    #[test]
    fn a_claim_whose_volume_came_and_went_while_nobody_watched_is_looked_at_again() {
        let (stores, queues, _) = mk_world();
        let mut volumes = Intake::new(stores.clone(), 0);
        let place = Place::new("nfs", "/data/dir").unwrap();
        stores.paths.hold("pvc-u1", place).unwrap().created();
        volumes.begin();
        volumes.complete();
        assert!(!stores.paths.is_created("pvc-u1"));
        assert_eq!(queues.claims.depth().ready, 1);
    }

    /// Bound by the time the list shows it, it may not change again for years.
    #[test]
    fn a_volume_that_is_made_while_a_list_is_under_way_and_shown_by_it_is_held_no_longer() {
        let (stores, queues, volume) = mk_world();
        let mut volumes = Intake::new(stores.clone(), 0);
        volumes.begin();
        let place = Place::new("nfs", "/data/dir").unwrap();
        stores
            .paths
            .hold("pvc-u1", place.clone())
            .unwrap()
            .created();
        volumes.listed(volume());
        volumes.complete();
        assert!(!stores.paths.is_created("pvc-u1"));
        assert!(stores.paths.move_away("another", place).is_ok());
        assert_eq!(queues.claims.depth().ready, 0);
    }

    /// It may be set to Retain, given to another claim, or gone; none of that is to wait for the end of the removal.
    #[test]
    fn whatever_is_seen_of_a_volume_on_its_way_out_is_told_to_its_removal() {
        let (stores, _, volume) = mk_world();
        let mut volumes = Intake::new(stores.clone(), 0);
        let sights: [fn(&mut Intake, PersistentVolume); 3] = [
            Intake::apply,
            |volumes, _| {
                volumes.begin();
                volumes.complete();
            },
            Intake::delete,
        ];
        volumes.apply(volume());
        let told = stores.paths.told();
        volumes.apply(volume());
        assert!(told.now_or_never().is_none(), "nothing is removed");
        stores.paths.trashed(&stores.volume("pvc-u1").unwrap());
        for see in sights {
            let told = stores.paths.told();
            see(&mut volumes, volume());
            assert!(told.now_or_never().is_some());
        }
    }
}

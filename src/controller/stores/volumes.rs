//! All volumes, in a few words each, and which directories they occupy.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;

use super::follow::Sink;
use super::{Stores, VolumeKey, write};
use crate::plan::facts::{Phase, Volume};
use crate::plan::occupied::Occupied;

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

    fn put(&mut self, volume: Volume) {
        let volume = Arc::new(volume);
        if let Some(old) = self.by_name.insert(volume.name.clone(), volume.clone())
            && old.place() != volume.place()
        {
            // Deleted and made again under the same name, with another directory.
            self.occupied.remove(&old);
        }
        self.occupied.put(&volume);
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
}

impl Sink<PersistentVolume> for Intake {
    fn begin(&mut self) {
        self.listing = Volumes::default();
        self.token = self.stores.paths.list_begins();
    }

    fn listed(&mut self, object: PersistentVolume) {
        let volume = self.read(object);
        self.listing.put(volume);
    }

    fn complete(&mut self) {
        let listed = std::mem::take(&mut self.listing);
        let wanting: Vec<VolumeKey> = listed.wanting().collect();
        *write(&self.stores.volumes) = listed;
        self.stores.paths.list_ended(self.token);
        for name in wanting {
            self.stores.queues.volumes.add(name);
        }
        self.stores
            .mark(|synced| synced.volumes = Some(self.number));
    }

    fn apply(&mut self, object: PersistentVolume) {
        let volume = self.read(object);
        let (name, wants) = (volume.name.clone(), may_want_work(&volume));
        let goes = volume.deleting;
        write(&self.stores.volumes).put(volume);
        if goes {
            self.stores.paths.left(&name);
        }
        // Only now: from here on the store speaks for the directory.
        self.stores.paths.seen(&name);
        if wants {
            self.stores.queues.volumes.add(name);
        }
    }

    fn delete(&mut self, object: PersistentVolume) {
        let volume = self.read(object);
        write(&self.stores.volumes).remove(&volume.name);
        self.stores.paths.seen(&volume.name);
        self.stores.paths.left(&volume.name);
    }
}

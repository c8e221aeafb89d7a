//! The claims that are annotated with our name and have no volume. All others are forgotten as soon as they are seen.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use tracing::info;

use super::follow::Sink;
use super::{ClaimKey, Stores, write};
use crate::plan::facts::{Claim, Standing};
use crate::plan::names;

/// Claims by key.
#[derive(Debug, Default)]
pub(super) struct Claims {
    wanting: HashMap<ClaimKey, Arc<Claim>>,
}

/// Takes claims in from the watch.
pub(super) struct Intake {
    stores: Arc<Stores>,
    listing: HashMap<ClaimKey, Arc<Claim>>,
}

// === impl Claims ===

impl Claims {
    pub(super) fn get(&self, key: &ClaimKey) -> Option<Arc<Claim>> {
        self.wanting.get(key).cloned()
    }

    pub(super) fn each(&self, look: impl FnMut(&Claim)) {
        self.wanting.values().map(AsRef::as_ref).for_each(look);
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &ClaimKey> {
        self.wanting.keys()
    }
}

// === impl Intake ===

impl Intake {
    pub(super) fn new(stores: Arc<Stores>) -> Self {
        Self {
            stores,
            listing: HashMap::new(),
        }
    }

    /// The claim, if it is one that wants a volume of us.
    fn read(&self, object: PersistentVolumeClaim) -> (ClaimKey, Option<Arc<Claim>>) {
        let claim = Claim::from_object(object, &self.stores.provisioner);
        let key = ClaimKey::from(&claim);
        let wants = matches!(claim.standing, Standing::Wanting(_));
        (key, wants.then(|| Arc::new(claim)))
    }
}

impl Sink<PersistentVolumeClaim> for Intake {
    fn begin(&mut self) {
        self.listing.clear();
    }

    fn listed(&mut self, object: PersistentVolumeClaim) {
        if let (key, Some(claim)) = self.read(object) {
            if self.stores.claim(&key).is_none() {
                say_seen(&key, &claim);
            }
            self.listing.insert(key, claim);
        }
    }

    fn complete(&mut self) {
        let listed = std::mem::take(&mut self.listing);
        let keys: Vec<ClaimKey> = listed.keys().cloned().collect();
        write(&self.stores.claims).wanting = listed;
        for key in keys {
            self.stores.queues.claims.add(key);
        }
        self.stores.mark(|synced| synced.claims = true);
    }

    fn apply(&mut self, object: PersistentVolumeClaim) {
        let volume = volume_of(&object);
        let (key, claim) = self.read(object);
        let Some(claim) = claim else {
            let wanted = write(&self.stores.claims).wanting.remove(&key);
            if let Some(volume) = volume.filter(|_| wanted.is_some()) {
                info!(claim = %key, %volume, "claim bound");
            }
            return;
        };
        let before = write(&self.stores.claims)
            .wanting
            .insert(key.clone(), claim.clone());
        if before.is_none() {
            say_seen(&key, &claim);
        }
        self.stores.queues.claims.add(key);
    }

    fn delete(&mut self, object: PersistentVolumeClaim) {
        let (key, _) = self.read(object);
        let wanted = write(&self.stores.claims).wanting.remove(&key);
        if let Some(claim) = wanted {
            let volume = names::volume(&claim.uid);
            info!(claim = %key, %volume, "claim deleted before it was bound");
            // What was made for it is nobody's now.
            self.stores.queues.claims.add(key);
        }
    }
}

/// The volume that the claim is given to.
fn volume_of(object: &PersistentVolumeClaim) -> Option<String> {
    object.spec.as_ref()?.volume_name.clone()
}

fn say_seen(key: &ClaimKey, claim: &Claim) {
    info!(claim = %key, volume = %names::volume(&claim.uid), "claim seen");
}

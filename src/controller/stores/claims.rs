//! The claims that are annotated with our name and have no volume. All others are forgotten as soon as they are seen.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::follow::Sink;
use super::{ClaimKey, Stores, write};
use crate::plan::facts::{Claim, Standing};

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
        let (key, claim) = self.read(object);
        let mut claims = write(&self.stores.claims);
        match claim {
            Some(claim) => {
                claims.wanting.insert(key.clone(), claim);
                drop(claims);
                self.stores.queues.claims.add(key);
            }
            None => {
                claims.wanting.remove(&key);
            }
        }
    }

    fn delete(&mut self, object: PersistentVolumeClaim) {
        let (key, _) = self.read(object);
        write(&self.stores.claims).wanting.remove(&key);
    }
}

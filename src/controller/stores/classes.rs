//! All classes, and the shares that those of ours name.

use std::sync::Arc;

use k8s_openapi::api::storage::v1::StorageClass;

use super::follow::Sink;
use super::{Stores, write};
use crate::plan::facts::Class;
use crate::plan::shares::{Served, Share};
use crate::plan::volume::Classes as ByName;

/// Classes by name.
#[derive(Debug)]
pub(super) struct Classes {
    provisioner: Box<str>,
    by_name: Arc<ByName>,
    served: Arc<Served>,
}

/// Takes classes in from the watch.
pub(super) struct Intake {
    stores: Arc<Stores>,
    listing: ByName,
}

// === impl Classes ===

impl Classes {
    pub(super) fn new(provisioner: &str, default: Share) -> Self {
        Self {
            provisioner: provisioner.into(),
            by_name: Arc::default(),
            served: Arc::new(Served::new(default, [])),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Class>> {
        self.by_name.get(name).cloned()
    }

    pub(super) fn all(&self) -> Arc<ByName> {
        self.by_name.clone()
    }

    pub(super) fn served(&self) -> Arc<Served> {
        self.served.clone()
    }

    /// Those whose provisioner we are.
    pub(super) fn ours(&self) -> impl Iterator<Item = &Class> {
        self.by_name
            .values()
            .map(AsRef::as_ref)
            .filter(|class| class.provisioner == self.provisioner)
    }

    fn refresh_served(&mut self) {
        let ours = self.ours();
        let served = Served::new(
            self.served.default_share().clone(),
            ours.filter_map(|class| class.params.share.as_ref().ok()),
        );
        self.served = Arc::new(served);
    }
}

// === impl Intake ===

impl Intake {
    pub(super) fn new(stores: Arc<Stores>) -> Self {
        Self {
            stores,
            listing: ByName::default(),
        }
    }

    /// A change of classes can be the cure of any claim or volume that waits.
    fn change(&self, change: impl FnOnce(&mut ByName)) {
        let mut classes = write(&self.stores.classes);
        change(Arc::make_mut(&mut classes.by_name));
        classes.refresh_served();
        drop(classes);
        self.stores.queues.wake_all();
        self.stores.enqueue_claims();
        // What is being removed may be to be archived now.
        self.stores.paths.tell();
    }
}

impl Sink<StorageClass> for Intake {
    fn begin(&mut self) {
        self.listing.clear();
    }

    fn listed(&mut self, object: StorageClass) {
        let class = Class::from_object(object);
        self.listing.insert(class.name.clone(), Arc::new(class));
    }

    fn complete(&mut self) {
        let listed = std::mem::take(&mut self.listing);
        self.change(|by_name| *by_name = listed);
        self.stores.mark(|synced| synced.classes = true);
    }

    fn apply(&mut self, object: StorageClass) {
        let class = Arc::new(Class::from_object(object));
        self.change(|by_name| {
            by_name.insert(class.name.clone(), class);
        });
    }

    fn delete(&mut self, object: StorageClass) {
        let class = Class::from_object(object);
        self.change(|by_name| {
            by_name.remove(&class.name);
        });
    }
}

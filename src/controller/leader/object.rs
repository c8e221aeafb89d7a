//! The object that the lock is written on: a Lease, or an Endpoints object with client-go's annotation.
//!
//! Every write names the version that was last seen here, or creates what was not there: a conflict means that somebody else wrote.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{coordination::v1::Lease, core::v1::Endpoints},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    controller::events::Regarding,
    plan::lock::{ANNOTATION, Record},
};

/// On our Lease: the version of the Endpoints object whose holder was seen to be gone. A process that starts later need not
/// wait for that holder again.
const OUTLIVED: &str = "nfs-subdir-external-provisioner/outlived-endpoints";

/// One lock object, as last seen.
#[derive(Debug)]
pub(super) enum LockObject {
    Lease(Slot<Lease>),
    Endpoints(Slot<Endpoints>),
}

/// A place for one object of kind `K`, which may be empty.
pub(super) struct Slot<K> {
    api: Api<K>,
    name: String,
    namespace: String,
    seen: Option<K>,
}

/// What holds a record.
pub(super) trait Holds:
    k8s_openapi::Resource<Scope = NamespaceResourceScope>
    + k8s_openapi::Metadata<Ty = ObjectMeta>
    + Clone
    + Debug
    + Default
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    fn record(&self) -> Option<Record>;
    fn put(&mut self, record: &Record);
}

// === impl LockObject ===

impl LockObject {
    pub(super) fn lease(client: &Client, namespace: &str, name: &str) -> Self {
        Self::Lease(Slot::new(client, namespace, name))
    }

    pub(super) fn endpoints(client: &Client, namespace: &str, name: &str) -> Self {
        Self::Endpoints(Slot::new(client, namespace, name))
    }

    /// Asks the API server; `None`: there is no object, or nothing about a leader on it.
    pub(super) async fn read(&mut self) -> Result<Option<Record>, kube::Error> {
        match self {
            Self::Lease(slot) => slot.read().await,
            Self::Endpoints(slot) => slot.read().await,
        }
    }

    /// Writes on the version last seen. `outlived` is kept on a Lease beside the record.
    pub(super) async fn write(
        &mut self,
        record: &Record,
        outlived: Option<&str>,
    ) -> Result<(), kube::Error> {
        match self {
            Self::Lease(slot) => {
                slot.write(record, outlived.map(|version| (OUTLIVED, version)))
                    .await
            }
            Self::Endpoints(slot) => slot.write(record, None).await,
        }
    }

    /// Version of the object last seen.
    pub(super) fn version(&self) -> Option<&str> {
        self.metadata()?.resource_version.as_deref()
    }

    /// See [`OUTLIVED`].
    pub(super) fn outlived(&self) -> Option<&str> {
        self.metadata()?
            .annotations
            .as_ref()?
            .get(OUTLIVED)
            .map(String::as_str)
    }

    /// For events on the object last seen.
    pub(super) fn regarding(&self) -> Regarding {
        match self {
            Self::Lease(slot) => slot.regarding(),
            Self::Endpoints(slot) => slot.regarding(),
        }
    }

    fn metadata(&self) -> Option<&ObjectMeta> {
        match self {
            Self::Lease(slot) => slot.seen.as_ref().map(|lease| &lease.metadata),
            Self::Endpoints(slot) => slot.seen.as_ref().map(|endpoints| &endpoints.metadata),
        }
    }
}

// === impl Slot ===

impl<K: Holds> Slot<K> {
    fn new(client: &Client, namespace: &str, name: &str) -> Self
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            seen: None,
        }
    }

    async fn read(&mut self) -> Result<Option<Record>, kube::Error> {
        self.seen = self.api.get_opt(&self.name).await?;
        Ok(self.seen.as_ref().and_then(K::record))
    }

    async fn write(
        &mut self,
        record: &Record,
        note: Option<(&str, &str)>,
    ) -> Result<(), kube::Error> {
        let mut object = self.seen.clone().unwrap_or_default();
        object.put(record);
        if let Some((key, value)) = note {
            object
                .metadata_mut()
                .annotations
                .get_or_insert_default()
                .insert(key.to_owned(), value.to_owned());
        }
        let parameters = PostParams::default();
        let written = if self.seen.is_some() {
            self.api.replace(&self.name, &parameters, &object).await?
        } else {
            let metadata = object.metadata_mut();
            metadata.name = Some(self.name.clone());
            metadata.namespace = Some(self.namespace.clone());
            self.api.create(&parameters, &object).await?
        };
        self.seen = Some(written);
        Ok(())
    }

    fn regarding(&self) -> Regarding {
        let metadata = self
            .seen
            .as_ref()
            .map(|object| object.metadata().clone())
            .unwrap_or_default();
        Regarding {
            api_version: K::API_VERSION,
            kind: K::KIND,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: metadata.uid.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
        }
    }
}

impl<K: Debug> Debug for Slot<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

// === impl Holds ===

impl Holds for Lease {
    fn record(&self) -> Option<Record> {
        self.spec.as_ref().map(Record::from_lease)
    }

    fn put(&mut self, record: &Record) {
        self.spec = Some(record.to_lease());
    }
}

impl Holds for Endpoints {
    fn record(&self) -> Option<Record> {
        self.metadata
            .annotations
            .as_ref()?
            .get(ANNOTATION)
            .map(|text| Record::from_annotation(text))
    }

    fn put(&mut self, record: &Record) {
        let annotations = self.metadata.annotations.get_or_insert_default();
        annotations.insert(ANNOTATION.to_owned(), record.to_annotation());
    }
}

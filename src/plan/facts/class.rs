//! A class, with its parameters parsed.

use crate::plan::class::ClassParams;
use k8s_openapi::api::storage::v1::StorageClass;

/// A StorageClass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: Box<str>,
    /// Whose it is.
    pub provisioner: Box<str>,
    /// What it asks of us.
    pub params: ClassParams,
    /// `Delete` or `Retain`, as it goes into the volume.
    pub reclaim_policy: Box<str>,
    /// As they go into the volume.
    pub mount_options: Vec<String>,
    /// Volumes are made when a node is chosen, not before.
    pub wait_for_first_consumer: bool,
}

// === impl Class ===

impl Class {
    /// What `object` says.
    pub fn from_object(object: StorageClass) -> Self {
        Self {
            name: object.metadata.name.unwrap_or_default().into(),
            provisioner: object.provisioner.into(),
            params: ClassParams::parse(&object.parameters.unwrap_or_default()),
            reclaim_policy: object
                .reclaim_policy
                .unwrap_or_else(|| "Delete".into())
                .into(),
            mount_options: object.mount_options.unwrap_or_default(),
            wait_for_first_consumer: object.volume_binding_mode.as_deref()
                == Some("WaitForFirstConsumer"),
        }
    }
}

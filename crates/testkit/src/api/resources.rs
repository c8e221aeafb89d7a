//! The kinds that the server knows: one row each, and nothing is kind-specific that can be a column here.
//!
//! A body is read through k8s-openapi's type of its kind, so wrong types are refused and unknown fields
//! dropped, as the real server does.

use k8s_openapi::{
    Resource as Typed,
    api::{apps::v1 as apps, coordination::v1 as coordination, core::v1 as core},
    api::{policy::v1 as policy, rbac::v1 as rbac, storage::v1 as storage},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// One kind that is stored.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent columns of a table of kinds"
)]
pub(crate) struct Resource {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
    /// Has a `/status` that is written apart from the rest.
    pub(crate) status: bool,
    /// DELETE answers with the object; the other kinds answer with a Status.
    pub(crate) returns_deleted: bool,
    /// PUT creates what is not there.
    pub(crate) upsert: bool,
    /// PUT without a resourceVersion is refused.
    pub(crate) needs_version: bool,
    /// Fields that a selector may name, besides `metadata.name` and `metadata.namespace`.
    pub(crate) fields: &'static [&'static str],
    decode: fn(Value) -> Result<Value, serde_json::Error>,
}

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const POD_FIELDS: &[&str] = &["spec.nodeName", "status.phase", "spec.serviceAccountName"];

/// Every kind, in the order in which discovery lists them.
pub(crate) static RESOURCES: &[Resource] = &[
    of::<core::ConfigMap>("configmap", &["cm"]).namespaced(),
    of::<core::Endpoints>("endpoints", &["ep"])
        .namespaced()
        .upsert(),
    of::<core::Event>("event", &["ev"])
        .namespaced()
        .upsert()
        .fields(EVENT_FIELDS),
    of::<core::Namespace>("namespace", &["ns"])
        .status()
        .fields(&["status.phase"]),
    of::<core::Node>("node", &["no"])
        .status()
        .fields(&["spec.unschedulable"]),
    of::<core::PersistentVolumeClaim>("persistentvolumeclaim", &["pvc"])
        .namespaced()
        .status()
        .returns_deleted(),
    of::<core::PersistentVolume>("persistentvolume", &["pv"])
        .status()
        .returns_deleted(),
    of::<core::Pod>("pod", &["po"])
        .namespaced()
        .status()
        .returns_deleted()
        .fields(POD_FIELDS),
    of::<core::Secret>("secret", &[])
        .namespaced()
        .fields(&["type"]),
    of::<core::ServiceAccount>("serviceaccount", &["sa"])
        .namespaced()
        .returns_deleted(),
    of::<core::Service>("service", &["svc"])
        .namespaced()
        .status()
        .returns_deleted(),
    of::<apps::Deployment>("deployment", &["deploy"])
        .namespaced()
        .status(),
    of::<apps::StatefulSet>("statefulset", &["sts"])
        .namespaced()
        .status(),
    of::<coordination::Lease>("lease", &[])
        .namespaced()
        .upsert()
        .needs_version(),
    of::<policy::PodDisruptionBudget>("poddisruptionbudget", &["pdb"])
        .namespaced()
        .status(),
    of::<rbac::ClusterRoleBinding>("clusterrolebinding", &[]),
    of::<rbac::ClusterRole>("clusterrole", &[]),
    of::<rbac::RoleBinding>("rolebinding", &[]).namespaced(),
    of::<rbac::Role>("role", &[]).namespaced(),
    of::<storage::StorageClass>("storageclass", &["sc"]).returns_deleted(),
];

/// The row of a kind, by its API group and plural name.
pub(crate) fn find(group: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|r| r.group == group && r.plural == plural)
}

/// The row of a kind, by its `apiVersion` and `kind`.
pub(crate) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|r| r.kind == kind && r.api_version() == api_version)
}

/// The row of a kind that this crate itself relies on, by its plural name.
///
/// # Panics
/// If the table above lost that row, which is a defect of this file.
pub(crate) fn known(plural: &str) -> &'static Resource {
    RESOURCES
        .iter()
        .find(|r| r.plural == plural)
        .unwrap_or_else(|| panic!("no row for {plural}"))
}

const fn of<K>(singular: &'static str, short: &'static [&'static str]) -> Resource
where
    K: Typed + Serialize + DeserializeOwned,
{
    Resource {
        group: K::GROUP,
        version: K::VERSION,
        kind: K::KIND,
        plural: K::URL_PATH_SEGMENT,
        singular,
        short,
        namespaced: false,
        status: false,
        returns_deleted: false,
        upsert: false,
        needs_version: false,
        fields: &[],
        decode: decode::<K>,
    }
}

fn decode<K>(value: Value) -> Result<Value, serde_json::Error>
where
    K: Serialize + DeserializeOwned,
{
    serde_json::to_value(serde_json::from_value::<K>(value)?)
}

// === impl Resource ===

impl Resource {
    const fn namespaced(mut self) -> Self {
        self.namespaced = true;
        self
    }

    const fn status(mut self) -> Self {
        self.status = true;
        self
    }

    const fn returns_deleted(mut self) -> Self {
        self.returns_deleted = true;
        self
    }

    const fn upsert(mut self) -> Self {
        self.upsert = true;
        self
    }

    const fn needs_version(mut self) -> Self {
        self.needs_version = true;
        self
    }

    const fn fields(mut self, fields: &'static [&'static str]) -> Self {
        self.fields = fields;
        self
    }

    /// `v1`, or `GROUP/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The plural as messages name it: `leases.coordination.k8s.io`.
    pub(crate) fn qualified(&self) -> String {
        qualify(self.plural, self.group)
    }

    /// The kind as messages name it: `Lease.coordination.k8s.io`.
    pub(crate) fn qualified_kind(&self) -> String {
        qualify(self.kind, self.group)
    }

    /// The object as the real server would hold it: known fields only, with `kind` and `apiVersion`.
    ///
    /// # Errors
    /// When a field has the wrong type.
    pub(crate) fn decode(&self, value: Value) -> Result<Value, serde_json::Error> {
        (self.decode)(value)
    }
}

/// `PLURAL.GROUP`, or the plural alone in the core group.
pub(crate) fn qualify(plural: &str, group: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

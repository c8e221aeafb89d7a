//! A claim, slim: in full only while it wants a volume of us.

use super::{BETA_STORAGE_CLASS, BETA_STORAGE_PROVISIONER, SELECTED_NODE, STORAGE_PROVISIONER};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use std::collections::BTreeMap;

/// A PersistentVolumeClaim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its UID; the volume's name comes from it.
    pub uid: Box<str>,
    /// How it stands to us.
    pub standing: Standing,
}

/// How a claim stands to this provisioner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It has a volume (`spec.volumeName`).
    Bound,
    /// It has none, and is not for us.
    Foreign,
    /// It has none, and is annotated with our name.
    Wanting(Box<Request>),
}

/// What a claim wants.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field or annotation of its own on the object"
)]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Goes into the volume's claimRef.
    pub resource_version: Box<str>,
    /// The class by annotation, else by field; `None` where neither names one.
    pub class: Option<Box<str>>,
    /// The scheduler has chosen a node.
    pub node_selected: bool,
    /// There is a `spec.selector`.
    pub selector: bool,
    /// `volumeMode: Block`.
    pub block: bool,
    /// What the volume shall be filled from, for people to read: `PersistentVolumeClaim "source"`.
    pub data_source: Option<Box<str>>,
    /// As written.
    pub access_modes: Vec<String>,
    /// `spec.resources.requests.storage` as written, for example `1Gi`.
    pub storage: String,
    /// For `pathPattern`.
    pub labels: Pairs,
    /// For `pathPattern`.
    pub annotations: Pairs,
    /// It has a deletionTimestamp.
    pub deleting: bool,
    /// When it was made, by the API server's clock; seconds since 1970.
    pub created: Option<i64>,
}

/// Labels or annotations: sorted pairs in one allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pairs(Box<[(Box<str>, Box<str>)]>);

// === impl Claim ===

impl Claim {
    /// What `object` says to the provisioner of the name `provisioner`.
    pub fn from_object(object: PersistentVolumeClaim, provisioner: &str) -> Self {
        let meta = object.metadata;
        let spec = object.spec.unwrap_or_default();
        let annotations = meta.annotations.unwrap_or_default();
        let standing = if spec
            .volume_name
            .as_deref()
            .is_some_and(|name| !name.is_empty())
        {
            Standing::Bound
        } else if !is_for(&annotations, provisioner) {
            Standing::Foreign
        } else {
            let mut request = Request::from_spec(spec, annotations);
            request.resource_version = meta.resource_version.unwrap_or_default().into();
            request.labels = meta.labels.unwrap_or_default().into();
            request.deleting = meta.deletion_timestamp.is_some();
            request.created = meta.creation_timestamp.map(|at| at.0.as_second());
            Standing::Wanting(Box::new(request))
        };
        Self {
            namespace: meta.namespace.unwrap_or_default().into(),
            name: meta.name.unwrap_or_default().into(),
            uid: meta.uid.unwrap_or_default().into(),
            standing,
        }
    }

    /// `NAMESPACE/NAME`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// The newer annotation decides where both are there, as in the Go library.
fn is_for(annotations: &BTreeMap<String, String>, provisioner: &str) -> bool {
    annotations
        .get(STORAGE_PROVISIONER)
        .or_else(|| annotations.get(BETA_STORAGE_PROVISIONER))
        .is_some_and(|name| name == provisioner)
}

// === impl Request ===

impl Request {
    fn from_spec(spec: PersistentVolumeClaimSpec, annotations: BTreeMap<String, String>) -> Self {
        let data_source = data_source(&spec);
        let class = annotations
            .get(BETA_STORAGE_CLASS)
            .cloned()
            .or(spec.storage_class_name);
        let storage = spec
            .resources
            .and_then(|resources| resources.requests)
            .and_then(|mut requests| requests.remove("storage"));
        Self {
            class: class.filter(|name| !name.is_empty()).map(Into::into),
            node_selected: annotations
                .get(SELECTED_NODE)
                .is_some_and(|node| !node.is_empty()),
            selector: spec.selector.is_some(),
            block: spec.volume_mode.as_deref() == Some("Block"),
            data_source,
            access_modes: spec.access_modes.unwrap_or_default(),
            storage: storage.map_or_else(|| "0".into(), |quantity| quantity.0),
            annotations: annotations.into(),
            ..Self::default()
        }
    }
}

fn data_source(spec: &PersistentVolumeClaimSpec) -> Option<Box<str>> {
    let reference = spec
        .data_source_ref
        .as_ref()
        .map(|source| (&source.kind, &source.name));
    let (kind, name) = reference.or_else(|| {
        spec.data_source
            .as_ref()
            .map(|source| (&source.kind, &source.name))
    })?;
    Some(format!("{kind} \"{name}\"").into())
}

// === impl Pairs ===

impl Pairs {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self
            .0
            .binary_search_by(|(name, _)| (**name).cmp(key))
            .ok()?;
        self.0.get(found).map(|(_, value)| &**value)
    }
}

impl From<BTreeMap<String, String>> for Pairs {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self(
            map.into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::mk_claim;
    use serde_json::json;

    fn request(claim: Claim) -> Request {
        match claim.standing {
            Standing::Wanting(request) => *request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_claim_that_wants_nothing_of_us_keeps_nothing_but_its_name() {
        assert!(size_of::<Claim>() <= 64, "{}", size_of::<Claim>());
        let bound = mk_claim(json!({"spec": {"volumeName": "pv"}}));
        assert_eq!(
            (bound.key().as_str(), &*bound.uid, bound.standing),
            ("default/data", "u1", Standing::Bound)
        );
    }

    #[test]
    fn a_request_is_what_the_claim_says() {
        let mut fields = request(mk_claim(
            json!({"metadata": {"labels": {"b": "2", "a": "1"}}}),
        ));
        assert_eq!(
            (
                fields.labels.get("a"),
                fields.labels.get("b"),
                fields.labels.get("c")
            ),
            (Some("1"), Some("2"), None)
        );
        assert_eq!(
            fields.annotations.get(STORAGE_PROVISIONER),
            Some(crate::plan::mk::OURS)
        );
        fields.labels = Pairs::default();
        fields.annotations = Pairs::default();
        let expected = Request {
            resource_version: "7".into(),
            class: Some("nfs-client".into()),
            access_modes: vec!["ReadWriteMany".into()],
            storage: "1Gi".into(),
            ..Request::default()
        };
        assert_eq!(fields, expected);
    }

    #[test]
    fn an_empty_class_is_none_and_so_is_an_empty_volume_name() {
        let fields = request(mk_claim(
            json!({"spec": {"storageClassName": "", "volumeName": ""}}),
        ));
        assert_eq!(fields.class, None);
    }
}

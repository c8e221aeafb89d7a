//! A volume, slim. Those of other provisioners are kept too: their directories are not to be touched.

use super::{
    BETA_STORAGE_CLASS, FINALIZER, MIGRATED_TO, PROVISIONED_BY, RECORDED_MOUNT_PORT,
    RECORDED_NFS_PORT, RECORDED_ON_DELETE, RECORDED_SHARE,
};
use crate::plan::class::Disposal;
use crate::plan::names;
use crate::plan::place::Place;
use crate::plan::quantity;
use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeSpec,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The driver whose volumes are directories on NFS servers as well.
const CSI_NFS_DRIVER: &str = "nfs.csi.k8s.io";

/// The chart's label on the volume that it mounts for the provisioner.
const CHART_LABEL: &str = "nfs-subdir-external-provisioner";

/// A PersistentVolume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: Arc<str>,
    /// Its UID.
    pub uid: Box<str>,
    /// `provisioned-by` is there, and it or `migrated-to` names us.
    pub ours: bool,
    /// How far it is.
    pub phase: Phase,
    /// What is to happen when its claim is gone.
    pub reclaim: Reclaim,
    /// It has a deletionTimestamp.
    pub deleting: bool,
    /// It has [`FINALIZER`].
    pub finalizer: bool,
    /// Its class; empty where it has none.
    pub class: Box<str>,
    /// `spec.capacity.storage` in bytes; 0 where it is not said.
    pub capacity: u64,
    /// Where its data is.
    pub source: Source,
    /// `NAMESPACE/NAME` of the claim that it is, or was, bound to.
    pub claim: Option<Box<str>>,
    /// Whether it is the volume of the claim whose UID is in its name.
    pub named: Named,
    /// What we wrote down when we made it.
    pub recorded: Recorded,
}

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not looked at yet by the volume controller.
    Pending,
    /// Free.
    Available,
    /// A claim has it.
    Bound,
    /// Its claim is gone.
    Released,
    /// The volume controller tried to reclaim it by itself and failed.
    Failed,
}

/// What a volume is to the claim whose UID is in its name, as far as its claimRef says it: kept in place of the claimRef's UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// It is for that very claim.
    ForItsClaim,
    /// It is for any claim of the name in its claimRef, which has no UID.
    ForAnyOfThatName,
    /// It is for another claim, or for none; or there is no UID in its name.
    ForAnother,
}

/// `spec.persistentVolumeReclaimPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// Object and data go with the claim.
    Delete,
    /// Retain, or the forgotten Recycle: not for us to do.
    Keep,
}

/// Where a volume's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `spec.nfs`.
    Nfs {
        /// Server and path.
        place: Place,
        /// The path was written with a `..` component.
        backsteps: bool,
    },
    /// `spec.csi` of csi-driver-nfs.
    CsiNfs {
        /// Server, and share joined with the sub-directory.
        place: Place,
    },
    /// Not on an NFS server, or not said where.
    Other,
}

/// What we wrote into a volume's annotations when we made it; all empty on volumes that the Go provisioner made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// What becomes of the data.
    pub disposal: Option<Disposal>,
    /// The root of the share, where it was not the default one.
    pub share: Option<Box<str>>,
    /// The server's NFS port.
    pub nfs_port: Option<u16>,
    /// The server's MOUNT port.
    pub mount_port: Option<u16>,
}

// === impl Volume ===

impl Volume {
    /// What `object` says to the provisioner of the name `provisioner`.
    pub fn from_object(object: PersistentVolume, provisioner: &str) -> Self {
        let meta = object.metadata;
        let spec = object.spec.unwrap_or_default();
        let annotations = meta.annotations.unwrap_or_default();
        let says_us = |key| annotations.get(key).is_some_and(|name| name == provisioner);
        let class = annotations
            .get(BETA_STORAGE_CLASS)
            .cloned()
            .or_else(|| spec.storage_class_name.clone());
        let claim = spec.claim_ref.as_ref().map(|claim| {
            format!(
                "{}/{}",
                claim.namespace.as_deref().unwrap_or_default(),
                claim.name.as_deref().unwrap_or_default()
            )
            .into()
        });
        let name = meta.name.unwrap_or_default();
        let named = Named::parse(&name, spec.claim_ref.as_ref());
        Self {
            name: name.into(),
            uid: meta.uid.unwrap_or_default().into(),
            ours: says_us(PROVISIONED_BY)
                || (annotations.contains_key(PROVISIONED_BY) && says_us(MIGRATED_TO)),
            phase: Phase::parse(object.status.and_then(|status| status.phase).as_deref()),
            reclaim: Reclaim::parse(spec.persistent_volume_reclaim_policy.as_deref()),
            deleting: meta.deletion_timestamp.is_some(),
            finalizer: meta
                .finalizers
                .is_some_and(|all| all.iter().any(|name| name == FINALIZER)),
            class: class.unwrap_or_default().into(),
            capacity: capacity(&spec).unwrap_or_default(),
            source: if is_own_view(meta.labels.as_ref(), &annotations) {
                Source::Other
            } else {
                Source::from_spec(&spec)
            },
            claim,
            named,
            recorded: Recorded::from_annotations(&annotations),
        }
    }

    /// Where its data is, when that is on an NFS server.
    pub fn place(&self) -> Option<&Place> {
        match &self.source {
            Source::Nfs { place, .. } | Source::CsiNfs { place } => Some(place),
            Source::Other => None,
        }
    }
}

fn capacity(spec: &PersistentVolumeSpec) -> Option<u64> {
    quantity::bytes(&spec.capacity.as_ref()?.get("storage")?.0)
}

// === impl Phase ===

impl Phase {
    /// As `status.phase` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Available => "Available",
            Self::Bound => "Bound",
            Self::Released => "Released",
            Self::Failed => "Failed",
        }
    }

    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("Available") => Self::Available,
            Some("Bound") => Self::Bound,
            Some("Released") => Self::Released,
            Some("Failed") => Self::Failed,
            _ => Self::Pending,
        }
    }
}

// === impl Named ===

impl Named {
    fn parse(volume: &str, claim: Option<&ObjectReference>) -> Self {
        let uid = |claim: &ObjectReference| claim.uid.clone().filter(|uid| !uid.is_empty());
        match claim.map(uid) {
            Some(Some(uid)) if names::claim_uid(volume) == Some(&uid) => Self::ForItsClaim,
            Some(None) => Self::ForAnyOfThatName,
            _ => Self::ForAnother,
        }
    }
}

// === impl Reclaim ===

impl Reclaim {
    fn parse(text: Option<&str>) -> Self {
        if text == Some("Delete") {
            Self::Delete
        } else {
            Self::Keep
        }
    }
}

// === impl Source ===

impl Source {
    fn from_spec(spec: &PersistentVolumeSpec) -> Self {
        if let Some(nfs) = &spec.nfs {
            let backsteps = nfs.path.split('/').any(|component| component == "..");
            return Place::new(&nfs.server, &nfs.path)
                .map_or(Self::Other, |place| Self::Nfs { place, backsteps });
        }
        spec.csi
            .as_ref()
            .and_then(csi_place)
            .map_or(Self::Other, |place| Self::CsiNfs { place })
    }
}

/// Whether this is the volume through which the Go provisioner's chart mounts the whole share for the provisioner itself (`nfs.mountOptions`). It
/// is no tenant: if it counted as one, it would hold every directory of the share.
fn is_own_view(
    labels: Option<&BTreeMap<String, String>>,
    annotations: &BTreeMap<String, String>,
) -> bool {
    let marked = labels.is_some_and(|labels| labels.contains_key(CHART_LABEL));
    marked && !annotations.contains_key(PROVISIONED_BY)
}

/// csi-driver-nfs takes its attribute names in any case, and treats a missing sub-directory as the share itself.
fn csi_place(csi: &CSIPersistentVolumeSource) -> Option<Place> {
    if csi.driver != CSI_NFS_DRIVER {
        return None;
    }
    let attributes = csi.volume_attributes.as_ref()?;
    let get = |key: &str| {
        attributes
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_str())
    };
    Place::new(
        get("server")?,
        &format!("/{}/{}", get("share")?, get("subdir").unwrap_or_default()),
    )
}

// === impl Recorded ===

impl Recorded {
    fn from_annotations(annotations: &BTreeMap<String, String>) -> Self {
        let port = |key| {
            annotations
                .get(key)
                .and_then(|text| text.parse().ok())
                .filter(|port| *port != 0)
        };
        Self {
            disposal: annotations
                .get(RECORDED_ON_DELETE)
                .and_then(|text| Disposal::from_record(text)),
            share: annotations
                .get(RECORDED_SHARE)
                .map(|root| root.as_str().into()),
            nfs_port: port(RECORDED_NFS_PORT),
            mount_port: port(RECORDED_MOUNT_PORT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::{SERVER, mk_place, mk_volume};
    use serde_json::{Value, json};

    #[test]
    fn a_volume_is_slim() {
        // 100,000 of them have to fit beside everything else.
        assert!(size_of::<Volume>() <= 192, "{}", size_of::<Volume>());
    }

    #[test]
    fn a_volume_is_ours_by_who_made_it_or_took_it_over() {
        for (outcome, made, taken, ours) in [
            (
                "made by us",
                json!("k8s-sigs.io/nfs-subdir-external-provisioner"),
                Value::Null,
                true,
            ),
            ("made by another", json!("x"), Value::Null, false),
            (
                "taken over from another",
                json!("x"),
                json!("k8s-sigs.io/nfs-subdir-external-provisioner"),
                true,
            ),
            (
                "taken over, but made by nobody",
                Value::Null,
                json!("k8s-sigs.io/nfs-subdir-external-provisioner"),
                false,
            ),
        ] {
            let annotations =
                json!({"metadata": {"annotations": {PROVISIONED_BY: made, MIGRATED_TO: taken}}});
            assert_eq!(mk_volume("v", "/a", annotations).ours, ours, "{outcome}");
        }
    }

    #[test]
    fn the_charts_own_volume_of_the_whole_share_is_no_tenant() {
        let labels =
            json!({"nfs-subdir-external-provisioner": "nfs-nfs-subdir-external-provisioner"});
        for (outcome, made, place) in [
            ("the chart's", Value::Null, None),
            ("labelled, but provisioned", json!("x"), Some("/data/nfs")),
        ] {
            let metadata =
                json!({"metadata": {"labels": labels, "annotations": {PROVISIONED_BY: made}}});
            let volume = mk_volume("v", "/data/nfs", metadata);
            assert_eq!(volume.place().map(Place::path), place, "{outcome}");
        }
    }

    #[test]
    fn the_place_of_a_volume_is_known_for_both_kinds_of_nfs() {
        let csi = |driver: &str, attributes: Value| json!({"spec": {"nfs": null, "csi": {"driver": driver, "volumeHandle": "h", "volumeAttributes": attributes}}});
        let whole = json!({"server": SERVER, "share": "/data//nfs/", "subdir": "a/b"});
        for (outcome, patch, place) in [
            (
                "in-tree",
                json!({"spec": {"nfs": {"path": "/data/nfs/a/"}}}),
                Some("/data/nfs/a"),
            ),
            (
                "in-tree, relative",
                json!({"spec": {"nfs": {"path": "data"}}}),
                None,
            ),
            (
                "csi",
                csi(CSI_NFS_DRIVER, whole.clone()),
                Some("/data/nfs/a/b"),
            ),
            (
                "csi in another spelling",
                csi(
                    CSI_NFS_DRIVER,
                    json!({"Server": SERVER, "Share": "data", "subDir": "/a"}),
                ),
                Some("/data/a"),
            ),
            (
                "csi, the share itself",
                csi(CSI_NFS_DRIVER, json!({"server": SERVER, "share": "/data"})),
                Some("/data"),
            ),
            (
                "csi without a server",
                csi(CSI_NFS_DRIVER, json!({"share": "/data"})),
                None,
            ),
            ("another driver", csi("other.csi.io", whole), None),
            (
                "no NFS",
                json!({"spec": {"nfs": null, "hostPath": {"path": "/a"}}}),
                None,
            ),
        ] {
            assert_eq!(
                mk_volume("v", "/a", patch).place(),
                place.map(mk_place).as_ref(),
                "{outcome}"
            );
        }
    }

    #[test]
    fn what_was_recorded_and_is_nonsense_counts_as_not_recorded() {
        let notes = json!({"metadata": {"annotations": {RECORDED_ON_DELETE: "shred", RECORDED_NFS_PORT: "0", RECORDED_MOUNT_PORT: "x"}}});
        assert_eq!(mk_volume("v", "/a", notes).recorded, Recorded::default());
    }

    #[test]
    fn class_by_annotation_wins_over_the_field() {
        assert_eq!(
            &*mk_volume(
                "v",
                "/a",
                json!({"metadata": {"annotations": {BETA_STORAGE_CLASS: "old"}}})
            )
            .class,
            "old"
        );
        assert_eq!(&*mk_volume("v", "/a", json!({})).class, "nfs-client");
        assert_eq!(
            &*mk_volume("v", "/a", json!({"spec": {"storageClassName": null}})).class,
            ""
        );
    }
}

//! Fixtures for the tests of the rooms beside: objects as the API server would deliver them, parsed as the stores parse them.

use crate::plan::claim::Surroundings;
use crate::plan::class::ShareParams;
use crate::plan::facts::{Claim, Class, Volume};
use crate::plan::leaving::Leaving;
use crate::plan::place::Place;
use crate::plan::shares::{Served, Share};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::LazyLock;

pub(super) const OURS: &str = "k8s-sigs.io/nfs-subdir-external-provisioner";
pub(super) const SERVER: &str = "192.168.10.14";

pub(super) fn mk_place(path: &str) -> Place {
    Place::new(SERVER, path).unwrap()
}

pub(super) fn mk_share(path: &str) -> Share {
    Share {
        root: mk_place(path),
        nfs_port: None,
        mount_port: None,
    }
}

/// The default share `/data/nfs`, and shares of classes on the same server.
pub(super) fn mk_served(roots: &[&str]) -> Served {
    let params: Vec<ShareParams> = roots
        .iter()
        .map(|root| ShareParams {
            root: Some((*root).into()),
            ..ShareParams::default()
        })
        .collect();
    Served::new(mk_share("/data/nfs"), &params)
}

/// A claim `default/data` of class `nfs-client` that is ours, changed by a JSON merge patch.
pub(super) fn mk_claim(patch: Value) -> Claim {
    let mut object = json!({
        "metadata": {
            "namespace": "default", "name": "data", "uid": "u1", "resourceVersion": "7",
            "annotations": {"volume.kubernetes.io/storage-provisioner": OURS},
        },
        "spec": {
            "accessModes": ["ReadWriteMany"], "storageClassName": "nfs-client",
            "resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem",
        },
    });
    merge(&mut object, patch);
    Claim::from_object(mk_object::<PersistentVolumeClaim>(object), OURS)
}

/// A class `nfs-client` of ours.
pub(super) fn mk_class(parameters: &[(&str, &str)]) -> Class {
    let parameters: Value = parameters
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    mk_class_of(json!({"parameters": parameters}))
}

/// A class `nfs-client` of ours, changed by a JSON merge patch.
pub(super) fn mk_class_of(patch: Value) -> Class {
    let mut object =
        json!({"metadata": {"name": "nfs-client"}, "provisioner": OURS, "reclaimPolicy": "Delete"});
    merge(&mut object, patch);
    Class::from_object(mk_object::<StorageClass>(object))
}

/// Around a claim: nothing but its class and what is served.
pub(super) fn mk_surroundings<'a>(
    served: &'a Served,
    class: Option<&'a Class>,
) -> Surroundings<'a> {
    static NOTHING: LazyLock<Leaving> = LazyLock::new(Leaving::default);
    Surroundings {
        provisioner: OURS,
        served,
        class,
        class_may_follow: false,
        volume_created: false,
        volume: None,
        leaving: &NOTHING,
    }
}

/// A released volume of ours at a path on [`SERVER`], changed by a JSON merge patch.
pub(super) fn mk_volume(name: &str, path: &str, changes: Value) -> Volume {
    let mut object = json!({
        "metadata": {"name": name, "uid": format!("{name}-uid"), "annotations": {"pv.kubernetes.io/provisioned-by": OURS}},
        "spec": {
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "nfs-client",
            "nfs": {"server": SERVER, "path": path},
            "claimRef": {"namespace": "default", "name": "data", "uid": "u1"},
        },
        "status": {"phase": "Released"},
    });
    merge(&mut object, changes);
    Volume::from_object(mk_object::<PersistentVolume>(object), OURS)
}

pub(super) fn mk_object<T: DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

/// RFC 7386.
fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(fields) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in fields {
                let map = target.as_object_mut().unwrap();
                if value.is_null() {
                    map.remove(&key);
                } else {
                    merge(map.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        other => *target = other,
    }
}

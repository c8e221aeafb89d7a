//! Objects as users write them.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};

/// A claim of 1Gi as in the tutorial.
pub fn mk_claim(name: &str, class: &str) -> PersistentVolumeClaim {
    mk_claim_from(name, class, json!({}))
}

/// The same with something merged in.
pub fn mk_claim_from(name: &str, class: &str, more: Value) -> PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": class,
        },
    });
    merge(&mut claim, more);
    serde_json::from_value(claim).expect("a claim")
}

/// A class with these fields beside its name and provisioner.
pub fn mk_class(name: &str, provisioner: &str, fields: Value) -> StorageClass {
    let mut class = json!({"metadata": {"name": name}, "provisioner": provisioner});
    merge(&mut class, fields);
    serde_json::from_value(class).expect("a class")
}

/// A volume that somebody made by hand or another program made.
pub fn mk_volume(name: &str, server: &str, path: &str, more: Value) -> PersistentVolume {
    let mut volume = json!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "nobody",
            "nfs": {"server": server, "path": path},
        },
    });
    merge(&mut volume, more);
    serde_json::from_value(volume).expect("a volume")
}

/// As a merge patch does it: maps are merged, null removes, the rest replaces.
pub fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from,
    }
}

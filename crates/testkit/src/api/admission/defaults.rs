//! What the real server fills in at creation: defaults of the kinds, and what its admission plugins add.

use std::cmp::Reverse;

use serde_json::{Value, json};

use crate::api::{
    object,
    resources::{Resource, known},
    store::{Object, Transaction},
};

/// Fills in what the body left out.
pub(super) fn fill(tx: &Transaction<'_>, resource: &Resource, value: &mut Value) {
    let mut default = |path: &[&str], fallback: Value| {
        let pointer = format!("/{}", path.join("/"));
        if value.pointer(&pointer).is_none() {
            object::set(value, path, fallback);
        }
    };
    match resource.kind {
        "PersistentVolumeClaim" => {
            default(&["spec", "volumeMode"], "Filesystem".into());
            default(&["status"], json!({"phase": "Pending"}));
            default_class(tx, value);
            mirror_data_source(value);
        }
        "PersistentVolume" => {
            default(&["spec", "volumeMode"], "Filesystem".into());
            default(&["spec", "persistentVolumeReclaimPolicy"], "Retain".into());
            let status = json!({"phase": "Pending", "lastPhaseTransitionTime": object::now()});
            default(&["status"], status);
        }
        "StorageClass" => {
            default(&["reclaimPolicy"], "Delete".into());
            default(&["volumeBindingMode"], "Immediate".into());
        }
        "Namespace" => {
            default(&["status"], json!({"phase": "Active"}));
            default(&["spec", "finalizers"], json!(["kubernetes"]));
            let name = object::name(value).to_owned();
            let path = ["metadata", "labels", "kubernetes.io/metadata.name"];
            object::set(value, &path, name.into());
        }
        "Pod" => default(&["status"], json!({"phase": "Pending"})),
        "Deployment" | "StatefulSet" => default(&["spec", "replicas"], 1.into()),
        _ => {}
    }
}

/// The DefaultStorageClass plugin: of several defaults the newest, then the first by name.
fn default_class(tx: &Transaction<'_>, claim: &mut Value) {
    let beta = object::annotation(claim, "volume.beta.kubernetes.io/storage-class");
    if beta.is_some() || claim["spec"].get("storageClassName").is_some() {
        return;
    }
    let mut classes = tx.all(known("storageclasses"));
    classes.retain(|class| {
        let names = [
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ];
        names
            .iter()
            .any(|name| object::annotation(class, name) == Some("true"))
    });
    let made = |class: &Object| object::text(class, "/metadata/creationTimestamp").to_owned();
    classes.sort_by_key(|class| Reverse(made(class)));
    if let Some(class) = classes.first() {
        let name = object::name(class).to_owned();
        object::set(claim, &["spec", "storageClassName"], name.into());
    }
}

fn mirror_data_source(claim: &mut Value) {
    let spec = &mut claim["spec"];
    for (from, to) in [
        ("dataSource", "dataSourceRef"),
        ("dataSourceRef", "dataSource"),
    ] {
        if let (Some(source), None) = (spec.get(from).cloned(), spec.get(to))
            && source.get("namespace").is_none()
        {
            spec[to] = source;
        }
    }
}

/// The StorageObjectInUseProtection plugin.
pub(super) fn protect(resource: &Resource, value: &mut Value) {
    let finalizer = match resource.kind {
        "PersistentVolumeClaim" => "kubernetes.io/pvc-protection",
        "PersistentVolume" => "kubernetes.io/pv-protection",
        _ => return,
    };
    let mut held = object::strings(value, "/metadata/finalizers");
    if !held.iter().any(|f| f == finalizer) {
        held.push(finalizer.to_owned());
        object::set(value, &["metadata", "finalizers"], held.into());
    }
}

//! A claim: bound to the volume made for it, or to one that fits, or handed to its provisioner.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{claims_of_pod, events, volume};
use crate::api::{
    object, quantity,
    resources::known,
    store::{Key, Object, Transaction},
    verbs,
};

const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONER: [&str; 2] = [
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
];

/// Brings one claim on its way; `named` are the volumes whose claimRef names it, `free` those that name none. True if it
/// waits for a volume.
pub(super) fn sync(
    tx: &mut Transaction<'_>,
    key: &Key,
    named: &BTreeSet<Key>,
    free: &BTreeSet<Key>,
) -> bool {
    let Some(claim) = tx.get(known("persistentvolumeclaims"), key) else {
        return false;
    };
    if object::deleting(&claim) {
        release(tx, key, &claim);
        return false;
    }
    let chosen = object::text(&claim, "/spec/volumeName");
    if !chosen.is_empty() {
        return sync_chosen(tx, &claim, chosen);
    }
    let class = class_of(tx, &claim);
    let delayed = class.as_ref().is_some_and(|class| {
        class["volumeBindingMode"] == "WaitForFirstConsumer"
            && object::annotation(&claim, SELECTED_NODE).is_none()
    });
    let made = named.iter().find_map(|name| {
        let volume = tx.get(known("persistentvolumes"), name)?;
        (volume::is_for(&volume, &claim) && fits(&volume, &claim)).then_some(volume)
    });
    let volume = made.or_else(|| {
        if delayed {
            None
        } else {
            best_free(tx, &claim, free)
        }
    });
    if let Some(volume) = volume {
        volume::bind(tx, &volume, &claim);
        return false;
    }
    if delayed {
        let message = "waiting for first consumer to be created before binding";
        events::emit(tx, &claim, "Normal", "WaitForFirstConsumer", message);
    } else {
        provision(tx, &claim, class.as_ref());
    }
    true
}

/// The name of a claim's class; empty for none.
pub(super) fn class_name(claim: &Value) -> &str {
    object::annotation(claim, BETA_CLASS).unwrap_or(object::text(claim, "/spec/storageClassName"))
}

/// A claim that is being deleted goes when no pod on a node uses it.
fn release(tx: &mut Transaction<'_>, key: &Key, claim: &Value) {
    let in_use = tx.all(known("pods")).iter().any(|pod| {
        !object::text(pod, "/spec/nodeName").is_empty() && claims_of_pod(pod).contains(key)
    });
    if in_use {
        return;
    }
    let mut claim = claim.clone();
    object::drop_finalizer(&mut claim, "kubernetes.io/pvc-protection");
    verbs::store_or_finish(tx, known("persistentvolumeclaims"), claim);
}

/// A claim that names its volume, by its user or since it was bound.
fn sync_chosen(tx: &mut Transaction<'_>, claim: &Value, chosen: &str) -> bool {
    let was_bound = object::annotation(claim, "pv.kubernetes.io/bind-completed").is_some();
    let volume = tx.get(known("persistentvolumes"), &Key::new("", chosen));
    match volume {
        Some(volume)
            if volume["spec"].get("claimRef").is_none() || volume::is_for(&volume, claim) =>
        {
            volume::bind(tx, &volume, claim);
            false
        }
        other if was_bound => {
            let (reason, message) = if other.is_some() {
                (
                    "ClaimMisbound",
                    "Two claims are bound to the same volume, this one is bound incorrectly",
                )
            } else {
                (
                    "ClaimLost",
                    "Bound claim has lost its PersistentVolume. Data on the claim is lost!",
                )
            };
            lose(tx, claim, reason, message);
            false
        }
        _ => true,
    }
}

fn lose(tx: &mut Transaction<'_>, claim: &Value, reason: &str, message: &str) {
    if claim["status"]["phase"] == "Lost" {
        return;
    }
    let mut lost = claim.clone();
    lost["status"] = json!({"phase": "Lost"});
    tx.put(known("persistentvolumeclaims"), lost);
    events::emit(tx, claim, "Warning", reason, message);
}

fn class_of(tx: &Transaction<'_>, claim: &Value) -> Option<Object> {
    tx.get(known("storageclasses"), &Key::new("", class_name(claim)))
}

/// Names the provisioner on the claim, which is how it learns that the claim is its own.
fn provision(tx: &mut Transaction<'_>, claim: &Value, class: Option<&Object>) {
    let name = class_name(claim);
    if name.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        events::emit(tx, claim, "Normal", "FailedBinding", message);
        return;
    }
    let Some(class) = class else {
        let message = format!("storageclass.storage.k8s.io \"{name}\" not found");
        events::emit(tx, claim, "Warning", "ProvisioningFailed", &message);
        return;
    };
    let provisioner = object::text(class, "/provisioner");
    if provisioner.starts_with("kubernetes.io/") {
        return;
    }
    let mut named = claim.clone();
    for annotation in PROVISIONER {
        let path = ["metadata", "annotations", annotation];
        object::set(&mut named, &path, provisioner.into());
    }
    let named = tx.put(known("persistentvolumeclaims"), named);
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    events::emit(tx, &named, "Normal", "ExternalProvisioning", &message);
}

/// The smallest volume that nobody has and that fits.
fn best_free(tx: &Transaction<'_>, claim: &Value, free: &BTreeSet<Key>) -> Option<Object> {
    let volumes = free
        .iter()
        .filter_map(|key| tx.get(known("persistentvolumes"), key));
    let fitting = volumes.filter(|volume| {
        volume["spec"].get("claimRef").is_none()
            && volume["status"]["phase"] == "Available"
            && class_name(volume) == class_name(claim)
            && labels_fit(volume, claim)
            && fits(volume, claim)
    });
    fitting.min_by(|a, b| size(a).total_cmp(&size(b)))
}

fn fits(volume: &Value, claim: &Value) -> bool {
    let offered = object::strings(volume, "/spec/accessModes");
    let wanted = object::strings(claim, "/spec/accessModes");
    let request = object::text(claim, "/spec/resources/requests/storage");
    !object::deleting(volume)
        && wanted.iter().all(|mode| offered.contains(mode))
        && volume["spec"]["volumeMode"] == claim["spec"]["volumeMode"]
        && size(volume) >= quantity::value(request).unwrap_or(0.0)
}

fn labels_fit(volume: &Value, claim: &Value) -> bool {
    let wanted = claim["spec"]["selector"]["matchLabels"].as_object();
    wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| volume["metadata"]["labels"].get(key) == Some(value))
}

fn size(volume: &Value) -> f64 {
    quantity::value(object::text(volume, "/spec/capacity/storage")).unwrap_or(0.0)
}

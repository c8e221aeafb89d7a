//! A volume: available, bound, released when its claim is gone, let go when it is deleted.

use serde_json::{Value, json};

use super::{claim_key, events};
use crate::api::{
    admission, object,
    resources::known,
    store::{Key, Object, Transaction},
    verbs,
};

const BOUND_BY: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Brings one volume's phase up to date.
pub(super) fn sync(tx: &mut Transaction<'_>, key: &Key) {
    let volumes = known("persistentvolumes");
    let Some(volume) = tx.get(volumes, key) else {
        return;
    };
    let reference = volume["spec"].get("claimRef");
    let owner = reference.filter(|reference| !object::text(reference, "/uid").is_empty());
    let Some(owner) = owner else {
        set_phase(tx, &volume, "Available");
        let_go(tx, key);
        return;
    };
    let claim = tx.get(known("persistentvolumeclaims"), &claim_key(owner));
    let claim = claim.filter(|claim| is_for(&volume, claim));
    let abandoned = match &claim {
        None => true,
        Some(claim) => {
            let chosen = object::text(claim, "/spec/volumeName");
            let elsewhere = !chosen.is_empty() && chosen != object::name(&volume);
            elsewhere && object::annotation(&volume, PROVISIONED_BY).is_some()
        }
    };
    if abandoned {
        reclaim(tx, &volume);
    }
    let_go(tx, key);
}

/// Whether a volume's claimRef means this very claim.
pub(super) fn is_for(volume: &Value, claim: &Value) -> bool {
    let Some(reference) = volume["spec"].get("claimRef") else {
        return false;
    };
    let uid = object::text(reference, "/uid");
    claim_key(reference) == Key::of(claim) && (uid.is_empty() || uid == object::uid(claim))
}

/// Binds a claim and a volume, in the steps in which the real controller does.
pub(super) fn bind(tx: &mut Transaction<'_>, volume: &Value, claim: &Value) {
    let volume = point_at(tx, volume, claim);
    set_phase(tx, &volume, "Bound");
    let claims = known("persistentvolumeclaims");
    let mut bound = claim.clone();
    if object::text(&bound, "/spec/volumeName").is_empty() {
        bound["spec"]["volumeName"] = object::name(&volume).into();
        object::set(
            &mut bound,
            &["metadata", "annotations", BOUND_BY],
            "yes".into(),
        );
    }
    let completed = "pv.kubernetes.io/bind-completed";
    object::set(
        &mut bound,
        &["metadata", "annotations", completed],
        "yes".into(),
    );
    let mut bound = (*tx.put(claims, bound)).clone();
    bound["status"] = json!({
        "phase": "Bound",
        "accessModes": volume["spec"]["accessModes"],
        "capacity": volume["spec"]["capacity"],
    });
    tx.put(claims, bound);
}

/// Completes the volume's claimRef.
fn point_at(tx: &mut Transaction<'_>, volume: &Value, claim: &Value) -> Object {
    let mut pointed = volume.clone();
    if object::text(volume, "/spec/claimRef/uid").is_empty() {
        if volume["spec"].get("claimRef").is_none() {
            object::set(
                &mut pointed,
                &["metadata", "annotations", BOUND_BY],
                "yes".into(),
            );
        }
        pointed["spec"]["claimRef"] = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": object::namespace(claim), "name": object::name(claim),
            "uid": object::uid(claim), "resourceVersion": object::resource_version(claim),
        });
    }
    tx.put(known("persistentvolumes"), pointed)
}

/// The claim is gone: the data may go, and somebody else does that.
fn reclaim(tx: &mut Transaction<'_>, volume: &Value) {
    if ["Released", "Failed"]
        .iter()
        .any(|phase| volume["status"]["phase"] == *phase)
    {
        return;
    }
    let released = set_phase(tx, volume, "Released");
    let deletes = volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete";
    if deletes && object::annotation(volume, PROVISIONED_BY).is_none() {
        let name = object::name(volume);
        let message = format!(
            "error getting deleter volume plugin for volume \"{name}\": no volume plugin matched"
        );
        set_phase(tx, &released, "Failed");
        events::emit(tx, volume, "Warning", "VolumeFailedDelete", &message);
    }
}

/// The protection finalizer holds a volume for as long as it is bound.
fn let_go(tx: &mut Transaction<'_>, key: &Key) {
    let volumes = known("persistentvolumes");
    let Some(volume) = tx.get(volumes, key) else {
        return;
    };
    if object::deleting(&volume) && volume["status"]["phase"] != "Bound" {
        let mut volume = (*volume).clone();
        object::drop_finalizer(&mut volume, "kubernetes.io/pv-protection");
        verbs::store_or_finish(tx, volumes, volume);
    }
}

fn set_phase(tx: &mut Transaction<'_>, volume: &Value, phase: &str) -> Object {
    let volumes = known("persistentvolumes");
    let mut changed = volume.clone();
    object::set(&mut changed, &["status", "phase"], phase.into());
    admission::stamp_phase(volumes, volume, &mut changed);
    tx.put(volumes, changed)
}

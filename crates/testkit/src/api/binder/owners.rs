//! What owners do to their own: a StatefulSet makes its claims, a namespace takes its content along.

use serde_json::{Value, json};

use crate::api::{
    admission::{self, Intake},
    object,
    resources::{RESOURCES, known},
    store::{Key, Transaction},
    verbs,
};

/// Makes the claims `TEMPLATE-SET-ORDINAL` of all replicas at once, as though each pod were ready as soon as it is there.
pub(super) fn sync_set(tx: &mut Transaction<'_>, key: &Key) {
    let Some(set) = tx.get(known("statefulsets"), key) else {
        return;
    };
    if object::deleting(&set) {
        return;
    }
    let replicas = set["spec"]["replicas"].as_u64().unwrap_or(1);
    let templates = set["spec"]["volumeClaimTemplates"].as_array();
    for template in templates.into_iter().flatten() {
        for ordinal in 0..replicas {
            make_claim(tx, &set, template, ordinal);
        }
    }
}

/// Deletes what is in a namespace, and the namespace once it is empty. True while it stays.
pub(super) fn empty_namespace(tx: &mut Transaction<'_>, key: &Key) -> bool {
    let namespaces = known("namespaces");
    let Some(namespace) = tx.get(namespaces, key) else {
        return false;
    };
    let mut left = false;
    for resource in RESOURCES.iter().filter(|r| r.namespaced) {
        for object in tx.all(resource) {
            if object::namespace(&object) == key.name {
                left |= !verbs::remove(tx, resource, &object).1;
            }
        }
    }
    if !left {
        let mut last = (*namespace).clone();
        object::unset(&mut last, &["spec", "finalizers"]);
        verbs::store_or_finish(tx, namespaces, last);
    }
    left
}

fn make_claim(tx: &mut Transaction<'_>, set: &Value, template: &Value, ordinal: u64) {
    let claims = known("persistentvolumeclaims");
    let (space, owner) = (object::namespace(set), object::name(set));
    let name = format!("{}-{owner}-{ordinal}", object::name(template));
    if tx.get(claims, &Key::new(space, &name)).is_some() {
        return;
    }
    let mut labels = template["metadata"]["labels"].clone();
    json_patch::merge(&mut labels, &set["spec"]["selector"]["matchLabels"]);
    let claim = json!({
        "metadata": {
            "name": name, "namespace": space, "labels": labels,
            "annotations": template["metadata"]["annotations"],
        },
        "spec": template["spec"],
    });
    let intake = Intake { protect: true };
    let made = admission::decode(claims, claim, false)
        .and_then(|claim| admission::create(tx, claims, space, claim, intake));
    match made {
        Ok(claim) => {
            tx.put(claims, claim);
        }
        Err(why) => tracing::warn!(error = &why as &dyn std::error::Error, "claim not made"),
    }
}

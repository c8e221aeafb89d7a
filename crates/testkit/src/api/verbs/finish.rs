//! How objects end: at once, or when their last finalizer is gone.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{
    object,
    resources::Resource,
    status::Failure,
    store::{Key, Object, Transaction},
};

/// Stores an object, or takes it out if it was only waiting for its last finalizer.
pub(crate) fn store_or_finish(tx: &mut Transaction<'_>, resource: &Resource, new: Value) -> Object {
    let waiting = object::strings(&new, "/metadata/finalizers");
    if object::deleting(&new) && waiting.is_empty() && !held_as_namespace(resource, &new) {
        // Watchers are told of the last stored state, with the finalizer still on it; the writer gets what it wrote.
        if let Some(held) = tx.get(resource, &Key::of(&new)) {
            tx.remove(resource, (*held).clone());
        }
        Arc::new(new)
    } else {
        tx.put(resource, new)
    }
}

/// Deletes an object, or marks it where finalizers hold it. True if it is gone.
pub(crate) fn remove(
    tx: &mut Transaction<'_>,
    resource: &Resource,
    held: &Value,
) -> (Object, bool) {
    let mut last = held.clone();
    let waiting = object::strings(held, "/metadata/finalizers");
    if waiting.is_empty() && !held_as_namespace(resource, held) {
        return (tx.remove(resource, last), true);
    }
    if !object::deleting(held) {
        let metadata = &mut last["metadata"];
        metadata["deletionTimestamp"] = object::now().into();
        metadata["deletionGracePeriodSeconds"] = 0.into();
        if resource.kind == "Namespace" {
            last["status"]["phase"] = "Terminating".into();
        }
    }
    (tx.put(resource, last), false)
}

/// A namespace stays until it is empty; the finalizer in its spec says so.
fn held_as_namespace(resource: &Resource, object: &Value) -> bool {
    resource.kind == "Namespace" && !object::strings(object, "/spec/finalizers").is_empty()
}

pub(super) fn check_namespace_may_go(resource: &Resource, name: &str) -> Result<(), Failure> {
    let kept = ["default", "kube-system", "kube-public"];
    if resource.kind == "Namespace" && kept.contains(&name) {
        let message =
            format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted");
        return Err(Failure::forbidden(message).about(resource, resource.plural, name));
    }
    Ok(())
}

pub(super) fn check_preconditions(
    resource: &Resource,
    held: &Value,
    want: &Value,
) -> Result<(), Failure> {
    let name = object::name(held);
    let (asked, is) = (object::text(want, "/uid"), object::uid(held));
    if !asked.is_empty() && asked != is {
        let why = format!(
            "the UID in the precondition ({asked}) does not match the UID in record ({is}). The object might have been deleted and then recreated"
        );
        return Err(Failure::precondition(resource, name, &why));
    }
    let (asked, is) = (
        object::text(want, "/resourceVersion"),
        object::resource_version(held),
    );
    if !asked.is_empty() && asked != is {
        let why = format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record ({is}). The object might have been modified"
        );
        return Err(Failure::precondition(resource, name, &why));
    }
    Ok(())
}

pub(super) fn success(resource: &Resource, gone: &Value) -> Value {
    let mut details = json!({
        "name": object::name(gone), "kind": resource.plural, "uid": object::uid(gone),
    });
    if !resource.group.is_empty() {
        details["group"] = resource.group.into();
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    })
}

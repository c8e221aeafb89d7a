//! The events that the real volume controller writes.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use crate::api::{
    object,
    resources::known,
    store::{Key, Transaction},
};

/// Writes an event about an object, once.
pub(super) fn emit(
    tx: &mut Transaction<'_>,
    about: &Value,
    severity: &str,
    reason: &str,
    message: &str,
) {
    let events = known("events");
    let mut hasher = DefaultHasher::new();
    (object::uid(about), reason, message).hash(&mut hasher);
    let name = format!("{}.{:016x}", object::name(about), hasher.finish());
    let namespace = match object::namespace(about) {
        "" => "default",
        namespace => namespace,
    };
    if tx.get(events, &Key::new(namespace, &name)).is_some() {
        return;
    }
    let now = object::now();
    let mut involved = json!({
        "apiVersion": about["apiVersion"], "kind": about["kind"], "name": object::name(about),
        "uid": object::uid(about), "resourceVersion": object::resource_version(about),
    });
    if !object::namespace(about).is_empty() {
        involved["namespace"] = object::namespace(about).into();
    }
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {
            "name": name, "namespace": namespace, "creationTimestamp": now,
            "uid": uuid::Uuid::new_v4().to_string(),
        },
        "involvedObject": involved, "type": severity, "reason": reason, "message": message,
        "source": {"component": "persistentvolume-controller"}, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
        "reportingComponent": "persistentvolume-controller", "reportingInstance": "",
    });
    tx.put(events, event);
}

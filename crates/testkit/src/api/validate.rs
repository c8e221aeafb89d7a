//! What the real server refuses with 422: names, required fields, fields that may not change.
//!
//! Holds the rules of the kinds that a volume provisioner meets; the other kinds are checked for their names only.

use serde_json::Value;

use super::{
    object, quantity,
    resources::Resource,
    status::{Cause, Failure},
};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// Fields of a volume's spec that are not its source.
const VOLUME_FIELDS: &[&str] = &[
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

/// Checks an object that is about to be created.
///
/// # Errors
/// 422, with each field that is at fault.
pub(crate) fn created(resource: &Resource, object: &Value) -> Result<(), Failure> {
    let mut causes = Vec::new();
    check_name(resource, object, &mut causes);
    check_content(resource, object, &mut causes);
    refuse(resource, object, &causes)
}

/// Checks an object that is about to take another's place.
///
/// # Errors
/// 422, with each field that is at fault.
pub(crate) fn updated(resource: &Resource, old: &Value, new: &Value) -> Result<(), Failure> {
    let mut causes = Vec::new();
    check_finalizers(old, new, &mut causes);
    check_content(resource, new, &mut causes);
    match resource.kind {
        "PersistentVolumeClaim" => check_claim_update(old, new, &mut causes),
        "PersistentVolume" => check_volume_update(old, new, &mut causes),
        "StorageClass" => {
            for field in [
                "parameters",
                "provisioner",
                "reclaimPolicy",
                "volumeBindingMode",
            ] {
                if old[field] != new[field] {
                    let detail = format!("updates to {field} are forbidden.");
                    causes.push(Cause::forbidden(field, &detail));
                }
            }
        }
        _ => {}
    }
    refuse(resource, new, &causes)
}

/// Whether a time is written as `metav1.MicroTime` demands: with exactly six digits of fraction.
pub(crate) fn is_micro_time(text: &str) -> bool {
    let fraction = text.get(19..26);
    text.parse::<jiff::Timestamp>().is_ok()
        && fraction
            .is_some_and(|f| f.starts_with('.') && f[1..].bytes().all(|b| b.is_ascii_digit()))
        && text
            .get(26..)
            .is_some_and(|zone| !zone.starts_with(|c: char| c.is_ascii_digit()))
}

fn refuse(resource: &Resource, object: &Value, causes: &[Cause]) -> Result<(), Failure> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(resource, object::name(object), causes))
}

fn check_name(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let name = object::name(object);
    if resource.group.starts_with("rbac") {
        return;
    }
    let label_only = matches!(resource.kind, "Namespace" | "Service");
    let is_label = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        part.bytes().all(|b| inner(b) || b == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().last().is_some_and(inner)
    };
    let (fits, rule) = if label_only {
        (is_label(name) && name.len() <= 63, LABEL)
    } else {
        (
            name.split('.').all(is_label) && name.len() <= 253,
            SUBDOMAIN,
        )
    };
    if !fits {
        causes.push(Cause::invalid(
            "metadata.name",
            &object["metadata"]["name"],
            rule,
        ));
    }
}

fn check_content(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    match resource.kind {
        "PersistentVolumeClaim" => check_claim(object, causes),
        "PersistentVolume" => check_volume(object, causes),
        "StorageClass" if object::text(object, "/provisioner").is_empty() => {
            causes.push(Cause::required("provisioner", ""));
        }
        "Event" => check_event(object, causes),
        "Lease" => {
            let seconds = &object["spec"]["leaseDurationSeconds"];
            if seconds.as_i64().is_some_and(|seconds| seconds <= 0) {
                let field = "spec.leaseDurationSeconds";
                causes.push(Cause::invalid(field, seconds, "must be greater than 0"));
            }
        }
        _ => {}
    }
}

fn check_claim(claim: &Value, causes: &mut Vec<Cause>) {
    if object::strings(claim, "/spec/accessModes").is_empty() {
        let detail = "at least 1 access mode is required";
        causes.push(Cause::required("spec.accessModes", detail));
    }
    match &claim["spec"]["resources"]["requests"]["storage"] {
        Value::Null => causes.push(Cause::required("spec.resources[storage]", "")),
        size => check_size("spec.resources[storage]", size, causes),
    }
}

fn check_volume(volume: &Value, causes: &mut Vec<Cause>) {
    let spec = &volume["spec"];
    if object::strings(volume, "/spec/accessModes").is_empty() {
        causes.push(Cause::required("spec.accessModes", ""));
    }
    match &spec["capacity"]["storage"] {
        Value::Null => causes.push(Cause::required("spec.capacity", "")),
        size => check_size("spec.capacity[storage]", size, causes),
    }
    if source(spec).is_empty() {
        causes.push(Cause::required("spec", "must specify a volume type"));
    }
    if let Some(nfs) = spec.get("nfs") {
        for field in ["server", "path"] {
            if object::text(nfs, &format!("/{field}")).is_empty() {
                causes.push(Cause::required(&format!("spec.nfs.{field}"), ""));
            }
        }
        let path = object::text(nfs, "/path");
        if !path.is_empty() && !path.starts_with('/') {
            let detail = "must be an absolute path";
            causes.push(Cause::invalid("spec.nfs.path", &nfs["path"], detail));
        }
    }
}

fn check_size(field: &str, size: &Value, causes: &mut Vec<Cause>) {
    let value = size.as_str().and_then(quantity::value);
    if value.is_none_or(|value| value <= 0.0) {
        causes.push(Cause::invalid(field, size, "must be greater than zero"));
    }
}

fn check_event(event: &Value, causes: &mut Vec<Cause>) {
    let place = object::namespace(event);
    let about = object::text(event, "/involvedObject/namespace");
    // Events about kinds of the cluster live in the namespace "default".
    if about != place && !(about.is_empty() && place == "default") {
        let detail = "does not match event.namespace";
        causes.push(Cause::invalid(
            "involvedObject.namespace",
            &about.into(),
            detail,
        ));
    }
}

fn check_finalizers(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if !object::deleting(old) {
        return;
    }
    let held = object::strings(old, "/metadata/finalizers");
    let mut added = object::strings(new, "/metadata/finalizers");
    added.retain(|finalizer| !held.contains(finalizer));
    if !added.is_empty() {
        let list: Vec<_> = added.iter().map(|f| format!("{f:?}")).collect();
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            list.join(", ")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &detail));
    }
}

fn check_claim_update(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let (mut before, mut after) = (old["spec"].clone(), new["spec"].clone());
    if object::text(&before, "/volumeName").is_empty() {
        // Binding sets the volume, and the default class may come late.
        for field in ["volumeName", "storageClassName"] {
            if before.get(field).is_none() {
                object::unset(&mut after, &[field]);
            }
        }
    } else {
        for spec in [&mut before, &mut after] {
            object::unset(spec, &["resources"]);
            object::unset(spec, &["volumeAttributesClassName"]);
        }
    }
    if before != after {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        causes.push(Cause::forbidden("spec", detail));
    }
}

fn check_volume_update(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if source(&old["spec"]) != source(&new["spec"]) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        causes.push(Cause::forbidden("spec.persistentvolumesource", detail));
    }
    if old["spec"]["volumeMode"] != new["spec"]["volumeMode"] {
        let value = &new["spec"]["volumeMode"];
        causes.push(Cause::invalid(
            "spec.volumeMode",
            value,
            "field is immutable",
        ));
    }
}

/// The part of a volume's spec that says where its data is.
fn source(spec: &Value) -> Vec<(&String, &Value)> {
    let fields = spec.as_object().into_iter().flatten();
    fields
        .filter(|(field, _)| !VOLUME_FIELDS.contains(&field.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_micro_time;

    #[test]
    fn micro_time_wants_six_digits() {
        for (text, expected) in [
            ("2026-11-22T14:03:27.123456Z", true),
            ("2026-11-22T14:03:27.123456+01:00", true),
            ("2026-11-22T14:03:27Z", false),
            ("2026-11-22T14:03:27.123Z", false),
            ("2026-11-22T14:03:27.123456789Z", false),
            ("soon", false),
        ] {
            assert_eq!(is_micro_time(text), expected, "{text}");
        }
    }
}

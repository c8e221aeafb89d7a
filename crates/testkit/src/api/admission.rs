//! From a body to an object that may be stored: decoding, defaults, and what the admission plugins of a real server add.

mod decode;
mod defaults;

use serde_json::Value;

pub(crate) use self::decode::decode;

use super::{
    object,
    resources::{Resource, known},
    status::{Cause, Failure},
    store::{Key, Transaction},
    validate,
};

/// How a request wants its body to be taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intake {
    /// Put the protection finalizers on claims and volumes, because somebody is there to take them off.
    pub(crate) protect: bool,
}

/// Makes a decoded body into the object to create.
///
/// # Errors
/// 404 without its namespace, 403 in one that is being deleted, 400 and 422 as validation has it.
pub(crate) fn create(
    tx: &Transaction<'_>,
    resource: &Resource,
    namespace: &str,
    mut value: Value,
    intake: Intake,
) -> Result<Value, Failure> {
    place(resource, namespace, &mut value)?;
    check_namespace(tx, resource, namespace, &value)?;
    name(resource, &mut value)?;
    if !object::resource_version(&value).is_empty() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Failure::bad_request(message));
    }
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
    ] {
        object::unset(&mut value, &["metadata", field]);
    }
    let uid = uuid::Uuid::new_v4().to_string();
    object::set(&mut value, &["metadata", "uid"], uid.into());
    object::set(
        &mut value,
        &["metadata", "creationTimestamp"],
        object::now().into(),
    );
    if resource.status {
        object::unset(&mut value, &["status"]);
    }
    defaults::fill(tx, resource, &mut value);
    if intake.protect {
        defaults::protect(resource, &mut value);
    }
    validate::created(resource, &value)?;
    Ok(value)
}

/// Makes a decoded body into the object that takes the place of `old`.
///
/// # Errors
/// 409 when it is about another object or an older version, 422 as validation has it.
pub(crate) fn update(
    resource: &Resource,
    subresource: &str,
    old: &Value,
    mut new: Value,
) -> Result<Value, Failure> {
    let name = object::name(old);
    let (had, has) = (object::uid(old), object::uid(&new));
    if !has.is_empty() && has != had {
        let why =
            format!("Precondition failed: UID in precondition: {has}, UID in object meta: {had}");
        return Err(Failure::conflict(resource, name, &why));
    }
    let version = object::resource_version(&new);
    if !version.is_empty() && version != object::resource_version(old) {
        return Err(Failure::modified(resource, name));
    }
    if version.is_empty() && resource.needs_version {
        return Err(Failure::unversioned(resource, name));
    }
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
    ] {
        keep(old, &mut new, &["metadata", field]);
    }
    if subresource == "status" {
        let status = new.get("status").cloned();
        let metadata = new["metadata"].take();
        new = old.clone();
        new["metadata"] = metadata;
        match status {
            Some(status) => new["status"] = status,
            None => object::unset(&mut new, &["status"]),
        }
    } else if resource.status {
        keep(old, &mut new, &["status"]);
    }
    stamp_phase(resource, old, &mut new);
    validate::updated(resource, old, &new)?;
    Ok(new)
}

/// A name with the five random letters that the real server appends.
pub(crate) fn generated_name(prefix: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut name: String = prefix.chars().take(58).collect();
    for _ in 0..5 {
        name.push(char::from(LETTERS[fastrand::usize(..LETTERS.len())]));
    }
    name
}

/// Volumes note when their phase changed, as the real strategy does.
pub(crate) fn stamp_phase(resource: &Resource, old: &Value, new: &mut Value) {
    let (before, after) = (&old["status"]["phase"], &new["status"]["phase"]);
    if resource.kind == "PersistentVolume" && !after.is_null() && before != after {
        let path = ["status", "lastPhaseTransitionTime"];
        object::set(new, &path, object::now().into());
    }
}

fn place(resource: &Resource, namespace: &str, value: &mut Value) -> Result<(), Failure> {
    let said = object::namespace(value);
    if !resource.namespaced {
        object::unset(value, &["metadata", "namespace"]);
        return Ok(());
    }
    if !said.is_empty() && said != namespace {
        let message =
            "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Failure::bad_request(message));
    }
    object::set(value, &["metadata", "namespace"], namespace.into());
    Ok(())
}

fn check_namespace(
    tx: &Transaction<'_>,
    resource: &Resource,
    namespace: &str,
    value: &Value,
) -> Result<(), Failure> {
    if !resource.namespaced {
        return Ok(());
    }
    let namespaces = known("namespaces");
    let Some(held) = tx.get(namespaces, &Key::new("", namespace)) else {
        return Err(Failure::not_found(namespaces, namespace));
    };
    if object::deleting(&held) {
        let name = object::name(value);
        let message = format!(
            "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
            resource.qualified()
        );
        return Err(Failure::forbidden(message).about(resource, resource.plural, name));
    }
    Ok(())
}

fn name(resource: &Resource, value: &mut Value) -> Result<(), Failure> {
    if !object::name(value).is_empty() {
        return Ok(());
    }
    let prefix = object::text(value, "/metadata/generateName");
    if prefix.is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(Failure::invalid(resource, "", &[cause]));
    }
    let name = generated_name(prefix);
    object::set(value, &["metadata", "name"], name.into());
    Ok(())
}

fn keep(old: &Value, new: &mut Value, path: &[&str]) {
    let pointer = format!("/{}", path.join("/"));
    match old.pointer(&pointer) {
        Some(value) => object::set(new, path, value.clone()),
        None => object::unset(new, path),
    }
}

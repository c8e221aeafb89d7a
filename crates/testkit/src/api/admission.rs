//! From a body to an object that may be stored: decoding, defaults, and what the admission plugins of a real server add.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::{
    object,
    resources::{Resource, known},
    status::{Cause, Failure},
    store::{Key, Object, Transaction},
    validate,
};

/// How a request wants its body to be taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intake {
    /// Put the protection finalizers on claims and volumes, because somebody is there to take them off.
    pub(crate) protect: bool,
}

/// Reads a body as an object of a kind, known fields only.
///
/// # Errors
/// 400 for another kind, wrong types, and (if strict) unknown fields.
pub(crate) fn decode(resource: &Resource, mut body: Value, strict: bool) -> Result<Value, Failure> {
    let kind = resource.kind;
    let version = resource.version;
    let cannot = |why: String| {
        let message =
            format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}");
        Failure::bad_request(message)
    };
    if !body.is_object() {
        return Err(cannot("the body is no object".to_owned()));
    }
    let said = object::text(&body, "/kind");
    let said_version = object::text(&body, "/apiVersion");
    if (!said.is_empty() && said != kind)
        || (!said_version.is_empty() && said_version != resource.api_version())
    {
        let message = format!(
            "{said} in version \"{said_version}\" cannot be handled as a {kind}: converting to {kind}: unknown conversion"
        );
        return Err(Failure::bad_request(message));
    }
    body["kind"] = kind.into();
    body["apiVersion"] = resource.api_version().into();
    check_micro_times(&body).map_err(cannot)?;
    object::unset(&mut body, &["metadata", "managedFields"]);
    let asked = strict.then(|| body.clone());
    let mut decoded = resource
        .decode(body)
        .map_err(|why| cannot(format!("json: {why}")))?;
    if let Some(field) = asked.and_then(|asked| unknown_field(&asked, &decoded, "")) {
        return Err(cannot(format!(
            "strict decoding error: unknown field \"{field}\""
        )));
    }
    drop_zero_values(&mut decoded);
    Ok(decoded)
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
    defaults(tx, resource, &mut value);
    if intake.protect {
        protect(resource, &mut value);
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

fn defaults(tx: &Transaction<'_>, resource: &Resource, value: &mut Value) {
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
fn protect(resource: &Resource, value: &mut Value) {
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

fn keep(old: &Value, new: &mut Value, path: &[&str]) {
    let pointer = format!("/{}", path.join("/"));
    match old.pointer(&pointer) {
        Some(value) => object::set(new, path, value.clone()),
        None => object::unset(new, path),
    }
}

/// What Go's `omitempty` leaves out.
fn drop_zero_values(value: &mut Value) {
    let empty = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null => true,
        _ => false,
    };
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.retain(|_, field| !empty(field));
    }
    if value.pointer("/spec/nfs/readOnly") == Some(&Value::Bool(false)) {
        object::unset(value, &["spec", "nfs", "readOnly"]);
    }
}

fn check_micro_times(body: &Value) -> Result<(), String> {
    for pointer in ["/spec/acquireTime", "/spec/renewTime", "/eventTime"] {
        let time = object::text(body, pointer);
        if !time.is_empty() && !validate::is_micro_time(time) {
            return Err(format!(
                "parsing time {time:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse"
            ));
        }
    }
    Ok(())
}

/// The path of a field that was sent and is not known.
fn unknown_field(sent: &Value, known: &Value, path: &str) -> Option<String> {
    match (sent, known) {
        (Value::Object(sent), Value::Object(known)) => sent.iter().find_map(|(field, value)| {
            let path = if path.is_empty() {
                field.clone()
            } else {
                format!("{path}.{field}")
            };
            match known.get(field) {
                Some(known) => unknown_field(value, known, &path),
                None if value.is_null() => None,
                None => Some(path),
            }
        }),
        (Value::Array(sent), Value::Array(known)) => {
            let pairs = sent.iter().zip(known).enumerate();
            pairs
                .into_iter()
                .find_map(|(i, (sent, known))| unknown_field(sent, known, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

//! Reading and writing fields of an object held as JSON.
//!
//! Missing text reads as empty, as in Go's zero values, so that callers compare instead of unwrapping.

use serde_json::{Map, Value};

/// The text at a JSON pointer, empty when there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("")
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(crate) fn resource_version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

/// Whether deletion was asked for and finalizers still hold the object.
pub(crate) fn deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(key)?.as_str()
}

/// The strings of the array at a pointer, nothing when there is no array.
pub(crate) fn strings(object: &Value, pointer: &str) -> Vec<String> {
    let array = object.pointer(pointer).and_then(Value::as_array);
    array
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Sets the field at a path, making the maps on the way.
pub(crate) fn set(object: &mut Value, path: &[&str], value: Value) {
    let mut at = object;
    for step in path {
        at = map(at).entry((*step).to_owned()).or_insert(Value::Null);
    }
    *at = value;
}

/// Removes the field at a path, if it is there.
pub(crate) fn unset(object: &mut Value, path: &[&str]) {
    let Some((last, way)) = path.split_last() else {
        return;
    };
    let mut at = object;
    for step in way {
        let Some(next) = at.get_mut(*step) else {
            return;
        };
        at = next;
    }
    if let Some(map) = at.as_object_mut() {
        map.remove(*last);
    }
}

/// Takes one finalizer off; the field goes with its last entry, as on a real server.
pub(crate) fn drop_finalizer(object: &mut Value, finalizer: &str) {
    let mut left = strings(object, "/metadata/finalizers");
    left.retain(|held| held != finalizer);
    if left.is_empty() {
        unset(object, &["metadata", "finalizers"]);
    } else {
        set(object, &["metadata", "finalizers"], left.into());
    }
}

/// The time format of `metav1.Time`: whole seconds, UTC.
pub(crate) fn now() -> String {
    let seconds = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(seconds)
        .map(|at| at.to_string())
        .unwrap_or_default()
}

fn map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

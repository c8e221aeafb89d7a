//! Strategic merge: a merge patch that knows which lists are sets and which are keyed.
//!
//! Covers the lists of the kinds served here and the directives that clients send: `$patch: delete|replace|merge`,
//! `$deleteFromPrimitiveList/F`, `$setElementOrder/F` and `$retainKeys` (the last two only order and prune; order is kept as
//! merged here).

use serde_json::{Map, Value};

/// How two lists of the same field come together.
enum ListRule {
    Replace,
    /// Union of plain values.
    Set,
    /// Maps matched by this field.
    Keyed(&'static str),
}

/// Merges a patch into an object.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if directive(patch) == "replace" {
        *target = Value::Object(without_directives(patch));
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else {
        return;
    };
    for (field, value) in patch {
        merge_field(target, field, value);
    }
}

fn merge_field(target: &mut Map<String, Value>, field: &str, value: &Value) {
    if let Some(list) = field.strip_prefix("$deleteFromPrimitiveList/") {
        let gone = value.as_array().cloned().unwrap_or_default();
        if let Some(Value::Array(held)) = target.get_mut(list) {
            held.retain(|item| !gone.contains(item));
        }
        return;
    }
    if field.starts_with('$') {
        return;
    }
    match value {
        Value::Null => {
            target.remove(field);
        }
        Value::Object(map) if directive(map) == "delete" => {
            target.remove(field);
        }
        Value::Array(items) => {
            let held = target.entry(field).or_insert(Value::Array(Vec::new()));
            merge_list(held, field, items);
        }
        _ => merge(target.entry(field).or_insert(Value::Null), value),
    }
}

fn merge_list(held: &mut Value, field: &str, items: &[Value]) {
    let replaced = items.iter().any(|item| {
        item.as_object()
            .is_some_and(|map| directive(map) == "replace")
    });
    let Value::Array(held) = held else {
        *held = items.to_vec().into();
        return;
    };
    match rule(field) {
        ListRule::Set => {
            for item in items {
                if !held.contains(item) {
                    held.push(item.clone());
                }
            }
        }
        ListRule::Keyed(key) if !replaced => {
            for item in items {
                merge_keyed(held, key, item);
            }
        }
        _ => {
            let kept = items.iter().filter(|item| item.get("$patch").is_none());
            *held = kept.cloned().collect();
        }
    }
}

fn merge_keyed(held: &mut Vec<Value>, key: &str, item: &Value) {
    let same = held.iter().position(|other| other[key] == item[key]);
    let removed = item
        .as_object()
        .is_some_and(|map| directive(map) == "delete");
    match same {
        Some(at) if removed => {
            held.remove(at);
        }
        Some(at) => merge(&mut held[at], item),
        None if removed => {}
        None => held.push(item.clone()),
    }
}

/// The patch strategies of the API's Go types, for the lists that our kinds have.
fn rule(field: &str) -> ListRule {
    match field {
        "finalizers" => ListRule::Set,
        "ownerReferences" => ListRule::Keyed("uid"),
        "conditions" => ListRule::Keyed("type"),
        "containers" | "initContainers" | "volumes" | "env" | "secrets" | "imagePullSecrets" => {
            ListRule::Keyed("name")
        }
        "volumeMounts" => ListRule::Keyed("mountPath"),
        _ => ListRule::Replace,
    }
}

fn directive(map: &Map<String, Value>) -> &str {
    map.get("$patch").and_then(Value::as_str).unwrap_or("")
}

fn without_directives(map: &Map<String, Value>) -> Map<String, Value> {
    let mut map = map.clone();
    map.retain(|field, _| !field.starts_with('$'));
    map
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_come_together_by_their_own_rule() {
        for (outcome, before, patch, after) in [
            (
                "finalizers are a set",
                json!({"finalizers": ["a"]}),
                json!({"finalizers": ["a", "b"]}),
                json!({"finalizers": ["a", "b"]}),
            ),
            (
                "a directive takes out of a set",
                json!({"finalizers": ["a", "b"]}),
                json!({"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["b"]}),
                json!({"finalizers": ["b"]}),
            ),
            (
                "access modes are replaced",
                json!({"accessModes": ["ReadWriteOnce"]}),
                json!({"accessModes": ["ReadWriteMany"]}),
                json!({"accessModes": ["ReadWriteMany"]}),
            ),
            (
                "conditions are keyed by type",
                json!({"conditions": [{"type": "A", "status": "True", "x": 1}, {"type": "B"}]}),
                json!({"conditions": [{"type": "A", "status": "False"}, {"type": "B", "$patch": "delete"}]}),
                json!({"conditions": [{"type": "A", "status": "False", "x": 1}]}),
            ),
            (
                "null removes, maps merge",
                json!({"m": {"a": "1", "b": "2"}}),
                json!({"m": {"a": null, "c": "3"}}),
                json!({"m": {"b": "2", "c": "3"}}),
            ),
            (
                "a map can be replaced",
                json!({"m": {"a": "1"}}),
                json!({"m": {"$patch": "replace", "c": "3"}}),
                json!({"m": {"c": "3"}}),
            ),
        ] {
            let mut got = before;
            merge(&mut got, &patch);
            assert_eq!(got, after, "{outcome}");
        }
    }
}

//! The tables that `kubectl get` prints: the columns of the real server's printers for the kinds served here.

use serde_json::{Value, json};

use super::{object, resources::Resource};

/// What a table's row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

/// A column, and where its cells come from.
struct Column {
    name: &'static str,
    /// Shown with `-o wide` only.
    wide: bool,
    cell: fn(&Value) -> Value,
}

/// The object cut down to `metav1.PartialObjectMetadata`.
pub(crate) fn metadata_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

/// Lays objects out as a `metav1.Table`.
pub(crate) fn table<'a>(
    resource: &Resource,
    objects: impl Iterator<Item = &'a Value>,
    metadata: &Value,
    include: Include,
) -> Value {
    let columns = columns(resource.kind);
    let rows: Vec<_> = objects
        .map(|object| {
            let cells: Vec<_> = columns.iter().map(|column| (column.cell)(object)).collect();
            let mut row = json!({"cells": cells});
            match include {
                Include::None => {}
                Include::Metadata => row["object"] = metadata_of(object),
                Include::Object => row["object"] = object.clone(),
            }
            row
        })
        .collect();
    let definitions: Vec<_> = columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name, "type": "string",
                "format": if column.name == "Name" { "name" } else { "" },
                "description": "", "priority": i32::from(column.wide),
            })
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

const fn column(name: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column {
        name,
        wide: false,
        cell,
    }
}

const fn wide(name: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column {
        name,
        wide: true,
        cell,
    }
}

fn columns(kind: &str) -> Vec<Column> {
    let name = column("Name", |o| object::name(o).into());
    let age = column("Age", |o| {
        age(object::text(o, "/metadata/creationTimestamp"))
    });
    let between = |middle: Vec<Column>| {
        let mut all = vec![name];
        all.extend(middle);
        all.push(age);
        all
    };
    match kind {
        "PersistentVolumeClaim" => {
            let mut all = between(claim_columns());
            all.push(wide("VolumeMode", |o| at(o, "/spec/volumeMode")));
            all
        }
        "PersistentVolume" => {
            let mut all = between(volume_columns());
            all.push(wide("VolumeMode", |o| at(o, "/spec/volumeMode")));
            all
        }
        "StorageClass" => {
            let mut all = between(class_columns());
            all[0] = column("Name", class_name);
            all
        }
        "Event" => event_columns(),
        "Namespace" => between(vec![column("Status", |o| at(o, "/status/phase"))]),
        "ConfigMap" => between(vec![column("Data", |o| count(&o["data"]))]),
        "ServiceAccount" => between(vec![column("Secrets", |o| count(&o["secrets"]))]),
        "Endpoints" => between(vec![column("Endpoints", |o| or_none(&endpoints(o)))]),
        "Lease" => between(vec![column("Holder", |o| at(o, "/spec/holderIdentity"))]),
        "Pod" => between(vec![column("Status", |o| at(o, "/status/phase"))]),
        "StatefulSet" | "Deployment" => between(vec![column("Ready", |o| {
            let ready = o["status"]["readyReplicas"].as_i64().unwrap_or(0);
            format!("{ready}/{}", o["spec"]["replicas"]).into()
        })]),
        _ => between(Vec::new()),
    }
}

fn claim_columns() -> Vec<Column> {
    vec![
        column("Status", |o| {
            if object::deleting(o) {
                "Terminating".into()
            } else {
                at(o, "/status/phase")
            }
        }),
        column("Volume", |o| at(o, "/spec/volumeName")),
        column("Capacity", |o| {
            if object::text(o, "/spec/volumeName").is_empty() {
                "".into()
            } else {
                at(o, "/status/capacity/storage")
            }
        }),
        column("Access Modes", |o| modes(o, "/status/accessModes")),
        column("StorageClass", class_of),
        column("VolumeAttributesClass", |_| "<unset>".into()),
    ]
}

fn volume_columns() -> Vec<Column> {
    vec![
        column("Capacity", |o| at(o, "/spec/capacity/storage")),
        column("Access Modes", |o| modes(o, "/spec/accessModes")),
        column("Reclaim Policy", |o| {
            at(o, "/spec/persistentVolumeReclaimPolicy")
        }),
        column("Status", |o| {
            if object::deleting(o) {
                "Terminating".into()
            } else {
                at(o, "/status/phase")
            }
        }),
        column("Claim", |o| match o["spec"].get("claimRef") {
            Some(claim) => {
                let (space, name) = (
                    object::text(claim, "/namespace"),
                    object::text(claim, "/name"),
                );
                format!("{space}/{name}").into()
            }
            None => "".into(),
        }),
        column("StorageClass", class_of),
        column("VolumeAttributesClass", |_| "<unset>".into()),
        column("Reason", |o| at(o, "/status/reason")),
    ]
}

fn class_columns() -> Vec<Column> {
    vec![
        column("Provisioner", |o| at(o, "/provisioner")),
        column("ReclaimPolicy", |o| at(o, "/reclaimPolicy")),
        column("VolumeBindingMode", |o| at(o, "/volumeBindingMode")),
        column("AllowVolumeExpansion", |o| {
            o["allowVolumeExpansion"].as_bool().unwrap_or(false).into()
        }),
    ]
}

fn event_columns() -> Vec<Column> {
    let about = |o: &Value| {
        let kind = object::text(o, "/involvedObject/kind").to_lowercase();
        format!("{kind}/{}", object::text(o, "/involvedObject/name")).into()
    };
    vec![
        column("Last Seen", |o| age(object::text(o, "/lastTimestamp"))),
        column("Type", |o| at(o, "/type")),
        column("Reason", |o| at(o, "/reason")),
        column("Object", about),
        wide("Subobject", |o| at(o, "/involvedObject/fieldPath")),
        wide("Source", |o| at(o, "/source/component")),
        column("Message", |o| object::text(o, "/message").trim().into()),
        wide("First Seen", |o| age(object::text(o, "/firstTimestamp"))),
        wide("Count", |o| o["count"].clone()),
        wide("Name", |o| object::name(o).into()),
    ]
}

fn at(object: &Value, pointer: &str) -> Value {
    object::text(object, pointer).into()
}

fn count(held: &Value) -> Value {
    let of_map = held.as_object().map(serde_json::Map::len);
    of_map.or(held.as_array().map(Vec::len)).unwrap_or(0).into()
}

fn class_of(object: &Value) -> Value {
    object::annotation(object, "volume.beta.kubernetes.io/storage-class")
        .unwrap_or(object::text(object, "/spec/storageClassName"))
        .into()
}

fn class_name(class: &Value) -> Value {
    let name = object::name(class);
    let key = "storageclass.kubernetes.io/is-default-class";
    if object::annotation(class, key) == Some("true") {
        format!("{name} (default)").into()
    } else {
        name.into()
    }
}

fn modes(object: &Value, pointer: &str) -> Value {
    let short = |mode: &String| match mode.as_str() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "?",
    };
    let modes: Vec<_> = object::strings(object, pointer).iter().map(short).collect();
    modes.join(",").into()
}

fn endpoints(object: &Value) -> String {
    let subsets = object["subsets"].as_array().into_iter().flatten();
    let addresses = subsets.flat_map(|subset| subset["addresses"].as_array().into_iter().flatten());
    let ips: Vec<_> = addresses
        .map(|address| object::text(address, "/ip"))
        .collect();
    ips.join(",")
}

fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>" } else { text }.into()
}

/// How long ago, in the two largest units that kubectl would print.
fn age(time: &str) -> Value {
    let Ok(then) = time.parse::<jiff::Timestamp>() else {
        return "<unknown>".into();
    };
    let seconds = (jiff::Timestamp::now().as_second() - then.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => format!("{minutes}m{}s", seconds % 60),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => format!("{hours}h{}m", minutes % 60),
        28_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
    .into()
}

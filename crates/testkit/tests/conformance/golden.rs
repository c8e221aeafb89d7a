//! Against the records of a real cluster: the same claims and volumes, made and bound here, become the same objects.

use serde_json::{Value, json};

use super::world::{World, on_both};

const RECORDS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/golden/objects.json"
));
const PROVISIONER: &str = "k8s-sigs.io/nfs-subdir-external-provisioner";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const VOLUMES: &str = "/api/v1/persistentvolumes";

/// The object without what differs from run to run.
fn timeless(world: &World, object: &Value) -> Value {
    let text = object.to_string().replace(&world.namespace, "default");
    let mut object: Value = serde_json::from_str(&text).expect("still JSON");
    for pointer in ["/metadata", "/spec/claimRef", "/status"] {
        let Some(map) = object.pointer_mut(pointer).and_then(Value::as_object_mut) else {
            continue;
        };
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "lastPhaseTransitionTime",
        ] {
            if let Some(value) = map.get_mut(field) {
                *value = "some".into();
            }
        }
        map.remove("managedFields");
    }
    object
}

/// The record as this world's objects are named.
fn renamed(world: &World, record: &Value) -> Value {
    let mut renamed = record.clone();
    let class = record["spec"]["storageClassName"].as_str().expect("class");
    renamed["spec"]["storageClassName"] = world.name(class).into();
    if record["kind"] == "PersistentVolume" {
        let name = record["metadata"]["name"].as_str().expect("name");
        renamed["metadata"]["name"] = world.name(name).into();
        renamed["spec"]["claimRef"]["namespace"] = world.namespace.clone().into();
    } else {
        renamed["metadata"]["namespace"] = world.namespace.clone().into();
        if let Some(volume) = record["spec"]["volumeName"].as_str() {
            renamed["spec"]["volumeName"] = world.name(volume).into();
        }
    }
    renamed
}

/// What its maker sent: no status, and nothing that the server or its controllers add.
fn mk_request(wanted: &Value) -> Value {
    let mut metadata = json!({"name": wanted["metadata"]["name"]});
    for field in ["labels", "annotations"] {
        let of_claim = field == "annotations" && wanted["kind"] == "PersistentVolumeClaim";
        if let (Some(value), false) = (wanted["metadata"].get(field), of_claim) {
            metadata[field] = value.clone();
        }
    }
    let mut spec = wanted["spec"].clone();
    let fields = spec.as_object_mut().expect("spec");
    fields.remove("volumeName");
    fields.retain(|field, value| field != "volumeMode" || value == "Block");
    json!({"metadata": metadata, "spec": spec})
}

async fn mk_class(world: &World, name: &str) {
    let body = json!({"metadata": {"name": world.name(name)}, "provisioner": PROVISIONER});
    world.post(CLASSES, body).await.expect("class");
}

#[tokio::test]
async fn recorded_objects_come_out_the_same() {
    on_both(|world| async move {
        let records: Vec<Value> = serde_json::from_str(RECORDS).unwrap();
        let classes = [
            "nfs-client",
            "archive",
            "dflt",
            "retaincls",
            "labels",
            "badbool",
        ];
        for class in classes {
            mk_class(&world, class).await;
        }
        let (claims, volumes): (Vec<_>, Vec<_>) = records
            .iter()
            .partition(|record| record["kind"] == "PersistentVolumeClaim");
        let path = world.local("persistentvolumeclaims");
        for record in &claims {
            world
                .post(&path, mk_request(&renamed(&world, record)))
                .await
                .unwrap();
        }
        for record in &volumes {
            let mut request = mk_request(&renamed(&world, record));
            let reference = &mut request["spec"]["claimRef"];
            let claim = format!("{path}/{}", reference["name"].as_str().unwrap());
            // A provisioner comes into play when the claim names it.
            let named = |claim: &Value| claim["metadata"].get("annotations").is_some();
            reference["uid"] = world.until(&claim, named).await["metadata"]["uid"].clone();
            world.post(VOLUMES, request).await.unwrap();
        }
        let mut compared = 0;
        for record in claims.iter().chain(&volumes) {
            let wanted = renamed(&world, record);
            let collection = if record["kind"] == "PersistentVolume" {
                VOLUMES
            } else {
                &path
            };
            let object = format!(
                "{collection}/{}",
                wanted["metadata"]["name"].as_str().unwrap()
            );
            let settled = |got: &Value| {
                got["status"]["phase"] == wanted["status"]["phase"]
                    && got["metadata"].get("annotations").is_some()
            };
            let got = world.until(&object, settled).await;
            assert_eq!(timeless(&world, &got), timeless(&world, &wanted));
            compared += 1;
        }
        assert_eq!(compared, 14);
        end(&world, &path, &volumes, &classes).await;
    })
    .await;
}

/// Takes away what the end of the namespace does not.
async fn end(world: &World, claims: &str, volumes: &[&Value], classes: &[&str]) {
    world.delete(claims, Value::Null).await.expect("claims go");
    for volume in volumes {
        let name = renamed(world, volume)["metadata"]["name"]
            .as_str()
            .expect("name")
            .to_owned();
        let path = format!("{VOLUMES}/{name}");
        world
            .until(&path, |volume| volume["status"]["phase"] == "Released")
            .await;
        world.delete(&path, Value::Null).await.expect("volume goes");
    }
    for class in classes {
        let path = format!("{CLASSES}/{}", world.name(class));
        world.delete(&path, Value::Null).await.expect("class goes");
    }
}

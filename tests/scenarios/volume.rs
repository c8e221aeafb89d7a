//! The PersistentVolume: to the field what the Go provisioner writes.

use serde_json::{Value, json};

use crate::fixtures::mk_claim_from;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// What the Go provisioner wrote, recorded.
const GOLDEN: &str = include_str!("../golden/objects.json");

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(the_volume_has_the_fields_that_go_writes_and_only_annotations_beside),
        Scenario::of(the_volume_points_at_its_claim),
        Scenario::of(capacity_and_access_modes_come_from_the_claim),
        Scenario::of(reclaim_policy_and_mount_options_come_from_the_class),
        Scenario::of(the_volume_has_no_finalizer_of_ours_under_go_rules),
        Scenario::of(the_volume_has_our_finalizer_where_it_can_be_taken_off).with_own_rights(),
    ]
}

/// All keys of a tree, `/`-joined, where annotations count by name.
fn keys(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                keys(value, &format!("{at}/{}", key.replace('/', "~1")), into);
            }
        }
        _ => into.push(at.to_owned()),
    }
}

async fn the_volume_has_the_fields_that_go_writes_and_only_annotations_beside(stage: Stage) {
    let golden: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
    let gos = golden
        .iter()
        .find(|object| {
            object["kind"] == "PersistentVolume" && object["spec"]["claimRef"]["name"] == "plain"
        })
        .unwrap();
    let class = stage
        .class("plain", json!({"archiveOnDelete": "false"}))
        .await;
    let _provisioner = stage.start();
    let ours = serde_json::to_value(stage.provision("plain", &class).await).unwrap();
    let (mut wanted, mut found) = (Vec::new(), Vec::new());
    for part in ["metadata", "spec"] {
        keys(&gos[part], part, &mut wanted);
        keys(&ours[part], part, &mut found);
    }
    // Nothing that a user sees; kept by servers for themselves.
    let is_ours = |key: &String| {
        key.contains("nfs-subdir-external-provisioner") || key.starts_with("metadata/managedFields")
    };
    found.retain(|key| !is_ours(key) && !key.ends_with("lastPhaseTransitionTime"));
    wanted.retain(|key| !key.ends_with("lastPhaseTransitionTime"));
    assert_eq!(found, wanted);
    assert_eq!(
        ours["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"],
        stage.provisioner_name()
    );
    assert_eq!(ours["spec"]["volumeMode"], gos["spec"]["volumeMode"]);
    assert_eq!(ours["spec"]["accessModes"], json!(["ReadWriteOnce"]));
}

async fn the_volume_points_at_its_claim(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    let claim = stage.claim("data", &class).await;
    let volume = stage.bound("data").await;
    let uid = claim.metadata.uid.unwrap();
    assert_eq!(name_of(&volume), format!("pvc-{uid}"));
    let spec = volume.spec.unwrap();
    let reference = spec.claim_ref.unwrap();
    assert_eq!(reference.api_version.as_deref(), Some("v1"));
    assert_eq!(reference.kind.as_deref(), Some("PersistentVolumeClaim"));
    assert_eq!(reference.namespace.as_deref(), Some(stage.namespace()));
    assert_eq!(reference.name.as_deref(), Some("data"));
    assert_eq!(reference.uid, Some(uid.clone()));
    assert!(reference.resource_version.is_some());
    let nfs = spec.nfs.unwrap();
    assert_eq!(nfs.server, stage.share().server);
    assert_eq!(
        nfs.path,
        format!(
            "{}/{}-data-pvc-{uid}",
            stage.share().path,
            stage.namespace()
        )
    );
    assert!(!nfs.read_only.unwrap_or(false));
}

async fn capacity_and_access_modes_come_from_the_claim(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    let wish = json!({"spec": {"accessModes": ["ReadOnlyMany", "ReadWriteMany"], "resources": {"requests": {"storage": "1500Mi"}}}});
    stage.create(mk_claim_from("data", &class, wish)).await;
    let spec = stage.bound("data").await.spec.unwrap();
    assert_eq!(spec.capacity.unwrap()["storage"].0, "1500Mi");
    assert_eq!(
        spec.access_modes.unwrap(),
        ["ReadOnlyMany", "ReadWriteMany"]
    );
    assert_eq!(spec.storage_class_name, Some(class));
}

async fn reclaim_policy_and_mount_options_come_from_the_class(stage: Stage) {
    let fields = json!({"reclaimPolicy": "Retain", "mountOptions": ["nfsvers=3", "hard"]});
    let class = stage.class_from("kept", fields).await;
    let _provisioner = stage.start();
    let spec = stage.provision("data", &class).await.spec.unwrap();
    assert_eq!(
        spec.persistent_volume_reclaim_policy.as_deref(),
        Some("Retain")
    );
    assert_eq!(spec.mount_options.unwrap(), ["nfsvers=3", "hard"]);
}

const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";

async fn the_volume_has_no_finalizer_of_ours_under_go_rules(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    let finalizers = volume.metadata.finalizers.unwrap_or_default();
    assert!(
        !finalizers.iter().any(|name| name == FINALIZER),
        "{finalizers:?}"
    );
    provisioner.log().says(&["finalizer"]).await;
}

async fn the_volume_has_our_finalizer_where_it_can_be_taken_off(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    let finalizers = volume.metadata.finalizers.unwrap_or_default();
    assert!(
        finalizers.iter().any(|name| name == FINALIZER),
        "{finalizers:?}"
    );
}

//! From a claim to a bound volume and its directory.

use std::os::unix::fs::PermissionsExt;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::expect::eventually;
use crate::fixtures::mk_claim_from;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::from(Scenario::of(an_immediate_claim_is_bound).under_both_rights());
    all.extend([
        Scenario::of(a_claim_that_waits_for_a_consumer_is_bound_once_a_node_is_selected),
        Scenario::of(the_claims_of_a_stateful_set_are_bound),
        Scenario::of(fifty_claims_are_bound_and_fifty_volumes_deleted),
        Scenario::of(a_claim_that_asks_for_more_keeps_its_volume_as_it_is),
    ]);
    all
}

async fn an_immediate_claim_is_bound(stage: Stage) {
    let class = stage
        .class("plain", json!({"archiveOnDelete": "false"}))
        .await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    let dir = format!("{}-data-{}", stage.namespace(), name_of(&volume));
    assert_eq!(stage.entries(), [dir.as_str()]);
    let mode = std::fs::metadata(stage.dir(&dir))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o777);
}

async fn a_claim_that_waits_for_a_consumer_is_bound_once_a_node_is_selected(stage: Stage) {
    let fields = json!({"volumeBindingMode": "WaitForFirstConsumer"});
    let class = stage.class_from("later", fields).await;
    let _provisioner = stage.start();
    // With the annotation that would make it ours, so that it is the node alone that is missing.
    let ours = json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-provisioner": stage.provisioner_name()}}});
    stage.create(mk_claim_from("data", &class, ours)).await;
    stage.passed_by().await;
    assert_eq!(stage.phase("data").await, "Pending");
    assert!(!stage.entries().iter().any(|name| name.contains("-data-")));

    let node =
        json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "node-1"}}});
    stage.patch_claim("data", node).await;
    stage.bound("data").await;
}

/// As Kafka's: three claims from a template, made by whoever makes them in a cluster.
async fn the_claims_of_a_stateful_set_are_bound(stage: Stage) {
    let class = stage
        .class("kafka", json!({"archiveOnDelete": "false"}))
        .await;
    let _provisioner = stage.start();
    let set: StatefulSet = serde_json::from_value(json!({
        "metadata": {"name": "kafka"},
        "spec": {
            "serviceName": "kafka",
            "replicas": 3,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "kafka"}},
            "template": {
                "metadata": {"labels": {"app": "kafka"}},
                "spec": {"containers": [{"name": "kafka", "image": "kafka", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}},
            }],
        },
    }))
    .unwrap();
    let sets: Api<StatefulSet> = Api::namespaced(stage.client(), stage.namespace());
    sets.create(&PostParams::default(), &set).await.unwrap();
    for ordinal in 0..3 {
        let claim = format!("data-kafka-{ordinal}");
        let volume = stage.bound(&claim).await;
        let dir = format!("{}-{claim}-{}", stage.namespace(), name_of(&volume));
        assert!(stage.dir(&dir).is_dir());
    }
}

async fn fifty_claims_are_bound_and_fifty_volumes_deleted(stage: Stage) {
    let class = stage
        .class("plain", json!({"archiveOnDelete": "false"}))
        .await;
    let _provisioner = stage.start();
    let names: Vec<_> = (0..50).map(|number| format!("data-{number}")).collect();
    for name in &names {
        stage.claim(name, &class).await;
    }
    let mut volumes = Vec::new();
    for name in &names {
        volumes.push(stage.bound(name).await);
    }
    assert_eq!(stage.entries().len(), 50);
    for name in &names {
        stage.delete_claim(name).await;
    }
    for volume in &volumes {
        stage.gone(volume).await;
    }
    eventually("the share is empty", async || {
        stage.entries().is_empty().then_some(())
    })
    .await;
}

/// A class may have `allowVolumeExpansion`, as the Go chart's has. Nobody acts on it: the volume is as large as the share anyhow.
async fn a_claim_that_asks_for_more_keeps_its_volume_as_it_is(stage: Stage) {
    let class = stage
        .class_from("grows", json!({"allowVolumeExpansion": true}))
        .await;
    let provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    let more = json!({"spec": {"resources": {"requests": {"storage": "5Gi"}}}});
    stage.patch_claim("data", more).await;
    stage.passed_by().await;

    let claim = serde_json::to_value(stage.claims().get("data").await.unwrap()).unwrap();
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "5Gi");
    assert_eq!(claim["status"]["phase"], "Bound");
    assert_eq!(claim["status"]["capacity"]["storage"], "1Gi");
    let now = stage.volumes().get(&name_of(&volume)).await.unwrap();
    assert_eq!(now.spec, volume.spec);
    assert_eq!(provisioner.log().with_all(&["WARN", "data"]), [""; 0]);
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
}

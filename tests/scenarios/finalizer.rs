//! Deleting the volume before its claim: with the finalizer the directory goes too.

use serde_json::json;

use crate::expect::eventually;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(a_volume_deleted_before_its_claim_leaves_no_directory).with_own_rights(),
        Scenario::of(volumes_of_deleted_claims_go_without_a_word_of_failure).with_own_rights(),
        Scenario::of(a_volume_deleted_while_retained_keeps_its_data).with_own_rights(),
        Scenario::of(without_the_permission_the_log_says_once_what_is_missing),
    ]
}

async fn a_volume_deleted_before_its_claim_leaves_no_directory(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    let name = name_of(&volume);
    stage.delete_volume(&name).await;
    stage.passed_by().await;
    // Still there, for its claim is.
    let now = stage.volumes().get(&name).await.unwrap();
    assert!(now.metadata.deletion_timestamp.is_some());
    assert!(stage.dir(&stage.dir_of(&volume)).is_dir());
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    assert!(!stage.dir(&stage.dir_of(&volume)).exists());
    // Kubernetes takes its own finalizer off at the same moment, which is no failure.
    assert_eq!(provisioner.log().with_all(&["deletion failed"]), [""; 0]);
}

async fn volumes_of_deleted_claims_go_without_a_word_of_failure(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let provisioner = stage.start();
    let mut volumes = Vec::new();
    for number in 0..10 {
        volumes.push(stage.provision(&format!("data-{number}"), &class).await);
    }
    for number in 0..10 {
        stage.delete_claim(&format!("data-{number}")).await;
    }
    for volume in volumes {
        stage.gone(&volume).await;
        assert_eq!(stage.events(&name_of(&volume)).await, []);
    }
    assert_eq!(provisioner.log().with_all(&["deletion failed"]), [""; 0]);
}

async fn a_volume_deleted_while_retained_keeps_its_data(stage: Stage) {
    let fields = json!({"reclaimPolicy": "Retain", "parameters": {"onDelete": "delete"}});
    let class = stage.class_from("kept", fields).await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.delete_claim("data").await;
    stage.volume_is(&name_of(&volume), "Released").await;
    stage.delete_volume(&name_of(&volume)).await;
    stage.gone(&volume).await;
    assert!(stage.dir(&stage.dir_of(&volume)).is_dir());
}

async fn without_the_permission_the_log_says_once_what_is_missing(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    provisioner
        .log()
        .says(&["finalizer", "persistentvolumes"])
        .await;
    assert_eq!(provisioner.log().with_all(&["finalizer left off"]).len(), 1);
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    eventually("the directory is gone", async || {
        stage.entries().is_empty().then_some(())
    })
    .await;
}

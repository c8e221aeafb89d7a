//! Deleting the volume before its claim: with the finalizer the directory goes too.

use serde_json::json;

use crate::expect::eventually;
use crate::fixtures::mk_claim_from;
use crate::pages::Pages;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(a_volume_deleted_before_its_claim_leaves_no_directory).with_own_rights(),
        Scenario::of(volumes_of_deleted_claims_go_without_a_word_of_failure).with_own_rights(),
        Scenario::of(a_volume_deleted_while_retained_keeps_its_data).with_own_rights(),
        Scenario::of(a_volume_deleted_before_it_is_bound_gives_way_to_another)
            .with_own_rights()
            .alone()
            .only_on_the_double("a real volume controller binds at once"),
        Scenario::of(a_volume_that_is_refused_can_be_deleted_by_hand).with_own_rights(),
        Scenario::of(somebody_elses_finalizer_holds_no_other_volume_up),
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
    let pages = Pages::new();
    let provisioner = stage.start_with(&pages.served_by(stage.settings()));
    let volume = stage.provision("data", &class).await;
    stage.delete_claim("data").await;
    stage.volume_is(&name_of(&volume), "Released").await;
    stage.delete_volume(&name_of(&volume)).await;
    stage.gone(&volume).await;
    assert!(stage.dir(&stage.dir_of(&volume)).is_dir());
    // That was not the provisioner's doing.
    let said = ["finalizer removed, directory stays", &name_of(&volume)];
    provisioner.log().says(&said).await;
    assert_eq!(provisioner.log().with_all(&["volume deleted"]), [""; 0]);
    assert_eq!(stage.events(&name_of(&volume)).await, []);
    let (_, metrics) = pages.get("/metrics").unwrap();
    let counted = format!("controller_persistentvolume_delete_total{{class=\"{class}\"}} 0\n");
    assert!(metrics.contains(&counted), "{metrics}");
}

/// Kubernetes binds no claim to a volume that is being deleted.
async fn a_volume_deleted_before_it_is_bound_gives_way_to_another(stage: Stage) {
    let api = stage.world().double().expect("the double").api();
    let pattern = json!({"onDelete": "delete", "pathPattern": "fixed"});
    let class = stage.class("fixed", pattern).await;
    let _provisioner = stage.start();
    stage.passed_by().await;
    api.set_controllers(false);
    let claim = json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-provisioner": stage.provisioner_name()}}});
    let claim = stage.create(mk_claim_from("data", &class, claim)).await;
    let name = format!("pvc-{}", claim.metadata.uid.unwrap());
    let first = eventually("the volume is made", async || {
        stage.volumes().get_opt(&name).await.unwrap()
    })
    .await;
    stage.write("fixed", "canary");
    stage.delete_volume(&name).await;
    let second = eventually("another volume is made", async || {
        let now = stage.volumes().get_opt(&name).await.unwrap();
        now.filter(|now| now.metadata.uid != first.metadata.uid)
    })
    .await;
    api.set_controllers(true);
    assert_eq!(
        stage.bound("data").await.metadata.uid,
        second.metadata.uid,
        "bound to the second"
    );
    assert!(stage.dir("fixed").join("canary").is_file());
}

const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";

async fn a_volume_that_is_refused_can_be_deleted_by_hand(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let _provisioner = stage.start();
    let elsewhere = json!({"metadata": {"finalizers": [FINALIZER]}, "spec": {"nfs": {"server": "nfs.example.com"}}});
    let volume = stage.released_volume("old", &class, elsewhere).await;
    let (name, reason) = (name_of(&volume), "VolumeFailedDelete");
    stage.event(&name, reason, &["by hand"]).await;
    stage.delete_volume(&name).await;
    stage.gone(&volume).await;
    let place = format!("nfs.example.com:{}/old", stage.share().path);
    stage
        .event(&name, reason, &[&place, "stays where it is"])
        .await;
    assert!(stage.dir("old").join("data").is_file());
}

async fn somebody_elses_finalizer_holds_no_other_volume_up(stage: Stage) {
    let pattern = json!({"onDelete": "delete", "pathPattern": "shared"});
    let class = stage.class("shared", pattern).await;
    let theirs = json!({"metadata": {"finalizers": ["example.com/takes-its-time"]}});
    let terminating = stage.released_volume("shared", &class, theirs).await;
    let terminating = name_of(&terminating);
    stage.volume_is(&terminating, "Released").await;
    stage.delete_volume(&terminating).await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    assert_eq!(stage.entries(), [""; 0]);
    stage
        .patch_volume(&terminating, json!({"metadata": {"finalizers": null}}))
        .await;
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

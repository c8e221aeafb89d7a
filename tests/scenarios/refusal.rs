//! Which claims are ours, and which of those are refused: always with the cause and the cure, where `kubectl describe pvc` shows them.

use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::expect::{LASTING, eventually};
use crate::fixtures::{mk_claim_from, mk_class, mk_volume};
use crate::runbook::quotes;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(a_claim_with_a_selector_is_refused),
        Scenario::of(a_block_claim_is_refused_and_not_tried_again),
        Scenario::of(a_claim_with_a_data_source_is_refused_with_what_to_do),
        Scenario::of(a_claim_whose_class_is_gone_is_refused_and_served_when_it_is_back),
        Scenario::of(a_claim_of_another_provisioner_is_left_alone),
        Scenario::of(a_claim_with_our_annotation_and_a_class_of_another_is_left_alone),
        Scenario::of(a_claim_with_only_the_beta_annotation_is_ours)
            .alone()
            .only_on_the_double("a real volume binder writes both annotations"),
        Scenario::of(the_class_annotation_wins_over_the_class_in_the_spec),
        Scenario::of(a_claim_that_names_its_volume_is_left_alone),
        Scenario::of(a_class_with_a_bad_port_refuses_its_claims),
        Scenario::of(a_claim_whose_volume_s_name_is_taken_is_told_and_served_when_it_is_free),
        Scenario::of(a_claim_whose_volume_s_name_is_held_by_one_that_does_not_go_is_told),
    ]
}

fn mk_ours(stage: &Stage) -> Value {
    let annotation = "volume.kubernetes.io/storage-provisioner";
    json!({"metadata": {"annotations": {annotation: stage.provisioner_name()}}})
}

/// Waits for the refusal, and sees that nothing was made.
async fn refused(stage: &Stage, claim: &str, class: &str, parts: &[&str]) {
    let event = stage.event(claim, "ProvisioningFailed", parts).await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let start = format!("failed to provision volume with StorageClass \"{class}\": ");
    let message = event.message.unwrap();
    assert!(message.starts_with(&start), "{message}");
    assert_eq!(stage.phase(claim).await, "Pending");
    assert_eq!(stage.entries(), [""; 0]);
}

async fn a_claim_with_a_selector_is_refused(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    let selector = json!({"spec": {"selector": {"matchLabels": {"disk": "fast"}}}});
    stage.create(mk_claim_from("data", &class, selector)).await;
    let cure = "create the claim anew without spec.selector";
    refused(&stage, "data", &class, &[cure]).await;
    let event = stage.event("data", "ProvisioningFailed", &[]).await;
    let message = event.message.unwrap();
    assert!(
        message.ends_with("; claim Selector is not supported"),
        "{message}"
    );
}

async fn a_block_claim_is_refused_and_not_tried_again(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    stage
        .create(mk_claim_from(
            "data",
            &class,
            json!({"spec": {"volumeMode": "Block"}}),
        ))
        .await;
    let message = format!(
        "{} does not support block volume provisioning; create the claim anew with volumeMode: Filesystem",
        stage.provisioner_name()
    );
    let event = stage.event("data", "ProvisioningFailed", &[]).await;
    assert_eq!(event.message.as_deref(), Some(message.as_str()));
    stage.passed_by().await;
    stage.passed_by().await;
    let events = stage.events("data").await;
    assert_eq!(events.len(), 1);
    assert!(events[0].count.unwrap_or(1) <= 1, "{:?}", events[0].count);
    assert_eq!(stage.phase("data").await, "Pending");
}

async fn a_claim_with_a_data_source_is_refused_with_what_to_do(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    let sources = [
        (
            "copy",
            json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "other"}}),
        ),
        (
            "snap",
            json!({"dataSourceRef": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "monday"}}),
        ),
    ];
    for (name, source) in sources {
        stage
            .create(mk_claim_from(name, &class, json!({"spec": source})))
            .await;
        refused(
            &stage,
            name,
            &class,
            &[
                "not supported",
                "; create the claim anew without dataSource",
            ],
        )
        .await;
    }
}

async fn a_claim_whose_class_is_gone_is_refused_and_served_when_it_is_back(stage: Stage) {
    let _provisioner = stage.start();
    let class = stage.class_name("late");
    stage
        .create(mk_claim_from("data", &class, mk_ours(&stage)))
        .await;
    refused(
        &stage,
        "data",
        &class,
        &["there is no such class", "create it"],
    )
    .await;
    stage.class("late", json!({})).await;
    stage.bound("data").await;
}

async fn a_claim_of_another_provisioner_is_left_alone(stage: Stage) {
    let name = stage.class_name("foreign");
    let class = mk_class(&name, "example.com/somebody-else", json!({}));
    stage
        .classes()
        .create(&PostParams::default(), &class)
        .await
        .unwrap();
    let _provisioner = stage.start();
    stage.claim("data", &name).await;
    eventually("the claim is somebody else's", async || {
        let claim = stage.claims().get("data").await.ok()?;
        let annotations = claim.metadata.annotations?;
        annotations
            .get("volume.kubernetes.io/storage-provisioner")
            .cloned()
    })
    .await;
    stage.passed_by().await;
    untouched(&stage, "data").await;
    stage
        .classes()
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
}

async fn a_claim_with_our_annotation_and_a_class_of_another_is_left_alone(stage: Stage) {
    let name = stage.class_name("foreign");
    let class = mk_class(&name, "example.com/somebody-else", json!({}));
    stage
        .classes()
        .create(&PostParams::default(), &class)
        .await
        .unwrap();
    let _provisioner = stage.start();
    // Waiting for its consumer, the binder leaves the annotation as it is.
    stage
        .create(mk_claim_from("data", &name, mk_ours(&stage)))
        .await;
    stage.passed_by().await;
    untouched(&stage, "data").await;
    stage
        .classes()
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
}

async fn untouched(stage: &Stage, claim: &str) {
    assert_eq!(stage.events(claim).await, []);
    assert!(
        !stage
            .entries()
            .iter()
            .any(|name| name.contains(&format!("-{claim}-")))
    );
    assert_eq!(stage.phase(claim).await, "Pending");
}

async fn a_claim_with_only_the_beta_annotation_is_ours(stage: Stage) {
    let double = stage.world().double().unwrap();
    double.api().set_controllers(false);
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    let beta = json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-provisioner": stage.provisioner_name()}}});
    let claim = stage.create(mk_claim_from("data", &class, beta)).await;
    let volume = format!("pvc-{}", claim.metadata.uid.unwrap());
    eventually("the volume is there", async || {
        stage.volumes().get_opt(&volume).await.ok()?
    })
    .await;
    double.api().set_controllers(true);
    stage.bound("data").await;
}

async fn the_class_annotation_wins_over_the_class_in_the_spec(stage: Stage) {
    let winner = stage
        .class("winner", json!({"pathPattern": "winner/${.PVC.name}"}))
        .await;
    let loser = stage
        .class("loser", json!({"pathPattern": "loser/${.PVC.name}"}))
        .await;
    let _provisioner = stage.start();
    let annotation =
        json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": winner}}});
    stage
        .create(mk_claim_from("data", &loser, annotation))
        .await;
    let volume = stage.bound("data").await;
    assert_eq!(stage.dir_of(&volume), "winner/data");
    assert_eq!(volume.spec.unwrap().storage_class_name, Some(winner));
}

async fn a_claim_that_names_its_volume_is_left_alone(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    let by_hand = format!("{}-by-hand", stage.namespace());
    let path = format!("{}/by-hand", stage.share().path);
    let fields = json!({"spec": {"storageClassName": class}});
    stage
        .create_volume(mk_volume(&by_hand, &stage.share().server, &path, fields))
        .await;
    stage
        .create(mk_claim_from(
            "data",
            &class,
            json!({"spec": {"volumeName": by_hand}}),
        ))
        .await;
    assert_eq!(name_of(&stage.bound("data").await), by_hand);
    stage.passed_by().await;
    assert_eq!(stage.events("data").await, []);
    assert!(!stage.entries().iter().any(|name| name.contains("-data-")));
    stage.delete_claim("data").await;
    stage.volume_is(&by_hand, "Released").await;
    stage.delete_volume(&by_hand).await;
}

async fn a_class_with_a_bad_port_refuses_its_claims(stage: Stage) {
    let class = stage.class("port", json!({"nfsPort": "many"})).await;
    let _provisioner = stage.start();
    stage.claim("data", &class).await;
    refused(
        &stage,
        "data",
        &class,
        &["nfsPort", "\"many\"", "delete the class and create it anew"],
    )
    .await;
    let classes: Api<_> = stage.classes();
    classes
        .delete(&class, &DeleteParams::default())
        .await
        .unwrap();
    stage.class("port", json!({})).await;
    stage.bound("data").await;
}

/// Somebody's volume has had the name for longer than the provisioner has been there.
async fn a_claim_whose_volume_s_name_is_taken_is_told_and_served_when_it_is_free(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let uid = stage.claim("data", &class).await.metadata.uid.unwrap();
    let (name, dir) = (
        format!("pvc-{uid}"),
        format!("{}/by-hand", stage.share().path),
    );
    let other = json!({"claimRef": {"namespace": stage.namespace(), "name": "other"}});
    let taken = mk_volume(&name, &stage.share().server, &dir, json!({"spec": other}));
    let taken = stage.create_volume(taken).await;
    let _provisioner = stage.start();
    let holder = format!("for claim {}/other", stage.namespace());
    let parts = [&*name, "is there already", &*holder, "delete that volume"];
    refused(&stage, "data", &class, &parts).await;
    stage.delete_volume(&name).await;
    let volume = stage.bound("data").await;
    assert_ne!(volume.metadata.uid, taken.metadata.uid);
}

/// It is being deleted, and somebody else's finalizer holds it.
async fn a_claim_whose_volume_s_name_is_held_by_one_that_does_not_go_is_told(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let uid = stage.claim("data", &class).await.metadata.uid.unwrap();
    let name = format!("pvc-{uid}");
    let dir = format!("{}/by-hand", stage.share().path);
    let held = json!({
        "metadata": {"finalizers": ["example.com/uninstalled"]},
        "spec": {"claimRef": {"namespace": stage.namespace(), "name": "other"}},
    });
    let held = mk_volume(&name, &stage.share().server, &dir, held);
    let held = stage.create_volume(held).await;
    stage.delete_volume(&name).await;
    let provisioner = stage.start();
    provisioner
        .log()
        .says(&["not yet", "VolumeIsLeaving"])
        .await;
    assert_eq!(stage.events("data").await, []);
    let parts = [&*name, "is being deleted", "finalizers"];
    let event = stage.event_within(LASTING, "data", "ProvisioningFailed", &parts);
    quotes("A volume that does not go", &event.await.message.unwrap());
    let freed = json!({"metadata": {"finalizers": null}});
    stage.patch_volume(&name, freed).await;
    let volume = stage.bound("data").await;
    assert_ne!(volume.metadata.uid, held.metadata.uid);
}

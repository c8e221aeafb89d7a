//! `pathPattern`: what it makes of a claim, and what is refused.

use serde_json::{Value, json};

use crate::fixtures::mk_claim_from;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(a_pattern_is_filled_in_from_the_claim),
        Scenario::of(a_nested_pattern_makes_nested_directories_for_anybody),
        Scenario::of(a_directory_that_was_there_becomes_one_for_anybody),
        Scenario::of(a_pattern_with_an_empty_result_falls_back_to_the_default_directory),
        Scenario::of(a_pattern_that_leaves_the_share_is_refused),
        Scenario::of(a_refused_pattern_is_served_once_the_claim_changes),
    ]
}

fn mk_labelled() -> Value {
    json!({"metadata": {
        "labels": {"app.kubernetes.io/name": "kafka"},
        "annotations": {"nfs.io/storage-path": "deep/er", "plain": "x y"},
    }})
}

/// Also in the table of unit tests of the plan, to the letter of Go's regular expression.
async fn a_pattern_is_filled_in_from_the_claim(stage: Stage) {
    let _provisioner = stage.start();
    let cases = [
        (
            "a",
            "${.PVC.namespace}/${.PVC.name}",
            format!("{}/a", stage.namespace()),
        ),
        (
            "b",
            "${.PVC.labels.app.kubernetes.io/name}-${.PVC.name}",
            "kafka-b".to_owned(),
        ),
        (
            "c",
            "c/${.PVC.annotations.nfs.io/storage-path}",
            "c/deep/er".to_owned(),
        ),
        (
            "d",
            "d-${.PVC.annotations.plain}${.PVC.bogus}${.PVC.labels.missing}-",
            "d-x y-".to_owned(),
        ),
        ("e", "e-${.PVC.name", "e-${.PVC.name".to_owned()),
        ("f", "/f//./${.PVC.name}/", "f/f".to_owned()),
    ];
    for (name, pattern, wanted) in cases {
        let class = stage.class(name, json!({"pathPattern": pattern})).await;
        stage
            .create(mk_claim_from(name, &class, mk_labelled()))
            .await;
        let volume = stage.bound(name).await;
        assert_eq!(stage.dir_of(&volume), wanted, "{pattern}");
        assert!(stage.dir(&wanted).is_dir(), "{pattern}");
    }
}

async fn a_nested_pattern_makes_nested_directories_for_anybody(stage: Stage) {
    use std::os::unix::fs::PermissionsExt;
    let class = stage
        .class("nested", json!({"pathPattern": "one/two/${.PVC.name}"}))
        .await;
    let _provisioner = stage.start();
    stage.provision("three", &class).await;
    for dir in ["one", "one/two", "one/two/three"] {
        let mode = std::fs::metadata(stage.dir(dir))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o777, "{dir}");
    }
}

/// As Go's Chmod after MkdirAll: of the directory, not of its parents.
async fn a_directory_that_was_there_becomes_one_for_anybody(stage: Stage) {
    use std::os::unix::fs::PermissionsExt;
    let class = stage
        .class("there", json!({"pathPattern": "above/${.PVC.name}"}))
        .await;
    for dir in ["above", "above/data"] {
        std::fs::create_dir(stage.dir(dir)).unwrap();
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(stage.dir(dir), private).unwrap();
    }
    std::fs::write(stage.dir("above/data/kept"), "kept").unwrap();
    let _provisioner = stage.start();
    stage.provision("data", &class).await;
    for (dir, wanted) in [("above", 0o700), ("above/data", 0o777)] {
        let found = std::fs::metadata(stage.dir(dir)).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, wanted, "{dir}");
    }
    assert!(stage.dir("above/data/kept").exists());
}

async fn a_pattern_with_an_empty_result_falls_back_to_the_default_directory(stage: Stage) {
    let class = stage
        .class("empty", json!({"pathPattern": "${.PVC.labels.none}"}))
        .await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    assert_eq!(
        stage.dir_of(&volume),
        format!("{}-data-{}", stage.namespace(), name_of(&volume))
    );
}

async fn a_pattern_that_leaves_the_share_is_refused(stage: Stage) {
    let _provisioner = stage.start();
    let long = "x".repeat(256);
    let cases = [
        ("up", "../up", ".."),
        ("mid", "a/../../mid", ".."),
        ("in", "a/../b", ".."),
        ("root", "/", ""),
        ("dot", "././", ""),
        ("long", long.as_str(), "255"),
        ("ours", ".nfs-subdir-external-provisioner/x", "provisioner"),
    ];
    for (name, path, why) in cases {
        let annotation = json!({"metadata": {"annotations": {"path": path}}});
        let class = stage
            .class(name, json!({"pathPattern": "${.PVC.annotations.path}"}))
            .await;
        stage.create(mk_claim_from(name, &class, annotation)).await;
        let event = stage
            .event(name, "ProvisioningFailed", &["pathPattern", why])
            .await;
        let message = event.message.unwrap();
        assert!(
            message.contains("; change the labels or annotations"),
            "{message}"
        );
        assert_eq!(stage.phase(name).await, "Pending");
    }
    assert_eq!(stage.entries(), [""; 0]);
    assert!(!stage.share().dir.parent().unwrap().join("up").exists());
}

async fn a_refused_pattern_is_served_once_the_claim_changes(stage: Stage) {
    let class = stage
        .class(
            "pattern",
            json!({"pathPattern": "${.PVC.annotations.path}"}),
        )
        .await;
    let _provisioner = stage.start();
    let annotation = |path: &str| json!({"metadata": {"annotations": {"path": path}}});
    stage
        .create(mk_claim_from("data", &class, annotation("../other")))
        .await;
    stage.event("data", "ProvisioningFailed", &[]).await;
    stage.patch_claim("data", annotation("mine")).await;
    assert_eq!(stage.dir_of(&stage.bound("data").await), "mine");
}

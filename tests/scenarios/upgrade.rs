//! From the Go provisioner to ours and back: volumes that the other one made.

use serde_json::{Value, json};

use crate::scenario::Scenario;
use crate::stage::Stage;

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(volumes_that_go_made_are_reclaimed_by_the_same_rules),
        Scenario::of(our_volumes_have_the_form_that_go_deletes_rightly),
    ]
}

async fn volumes_that_go_made_are_reclaimed_by_the_same_rules(stage: Stage) {
    let _provisioner = stage.start();
    let cases = [
        ("del", json!({"archiveOnDelete": "false"}), None),
        (
            "arch",
            json!({"archiveOnDelete": "true"}),
            Some("archived-default-arch"),
        ),
        ("dflt", json!({}), Some("archived-default-dflt")),
        ("kept", json!({"onDelete": "retain"}), Some("default-kept")),
    ];
    for (name, parameters, left) in cases {
        let class = stage.class(name, parameters).await;
        let dir = format!("default-{name}");
        let volume = stage.released_volume(&dir, &class, json!({})).await;
        stage.gone(&volume).await;
        let found: Vec<_> = stage
            .entries()
            .into_iter()
            .filter(|entry| entry.ends_with(&dir))
            .collect();
        assert_eq!(
            found,
            left.map(str::to_owned).into_iter().collect::<Vec<_>>(),
            "{name}"
        );
    }
}

/// Go's `Delete` reads the annotation, the class's name, and takes the path's part below `NFS_PATH` as the directory.
async fn our_volumes_have_the_form_that_go_deletes_rightly(stage: Stage) {
    let class = stage
        .class("nested", json!({"pathPattern": "a/${.PVC.name}"}))
        .await;
    let _provisioner = stage.start();
    let volume: Value = serde_json::to_value(stage.provision("data", &class).await).unwrap();
    assert_eq!(
        volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"],
        stage.provisioner_name()
    );
    assert_eq!(volume["spec"]["storageClassName"], class);
    assert_eq!(volume["spec"]["persistentVolumeReclaimPolicy"], "Delete");
    assert_eq!(volume["spec"]["nfs"]["server"], stage.share().server);
    assert_eq!(
        volume["spec"]["nfs"]["path"],
        format!("{}/a/data", stage.share().path)
    );
    // Only the API server's own protection, which lets go by itself: Go could take no other off.
    assert_eq!(
        volume["metadata"]["finalizers"],
        json!(["kubernetes.io/pv-protection"])
    );
}

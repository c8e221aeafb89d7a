//! What `kubectl describe` shows.

use std::time::Duration;

use serde_json::json;

use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(a_claim_has_the_events_that_go_writes),
        Scenario::of(a_failed_deletion_is_an_event_on_the_volume),
        Scenario::of(repeats_are_counted_and_not_multiplied),
    ]
}

async fn a_claim_has_the_events_that_go_writes(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    let wanted = [
        (
            "Provisioning",
            format!(
                "External provisioner is provisioning volume for claim \"{}/data\"",
                stage.namespace()
            ),
        ),
        (
            "ProvisioningSucceeded",
            format!("Successfully provisioned volume {}", name_of(&volume)),
        ),
    ];
    for (reason, message) in wanted {
        let event = stage.event("data", reason, &[]).await;
        assert_eq!(event.type_.as_deref(), Some("Normal"));
        assert_eq!(event.message, Some(message));
        let claim = stage.claims().get("data").await.unwrap();
        assert_eq!(event.involved_object.uid, claim.metadata.uid);
        assert_eq!(
            event.involved_object.kind.as_deref(),
            Some("PersistentVolumeClaim")
        );
        let component = event.source.unwrap().component.unwrap();
        let identity = component
            .strip_prefix(&format!("{}_", stage.provisioner_name()))
            .unwrap();
        let (host, uuid) = identity.rsplit_once('_').unwrap();
        assert!(!host.is_empty());
        assert_eq!(uuid.len(), 36, "{component}");
    }
}

async fn a_failed_deletion_is_an_event_on_the_volume(stage: Stage) {
    let class = stage
        .class("nope", json!({"archiveOnDelete": "nope"}))
        .await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.delete_claim("data").await;
    let event = stage
        .event(&name_of(&volume), "VolumeFailedDelete", &[])
        .await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert_eq!(
        event.involved_object.kind.as_deref(),
        Some("PersistentVolume")
    );
    assert_eq!(event.involved_object.uid, volume.metadata.uid);
}

async fn repeats_are_counted_and_not_multiplied(stage: Stage) {
    let down =
        json!({"server": "127.0.0.1", "share": "/nowhere", "nfsPort": "1", "mountPort": "1"});
    let class = stage.class("down", down).await;
    let _provisioner = stage.start();
    stage.claim("data", &class).await;
    stage
        .event_counted(Duration::from_mins(1), "data", "ProvisioningFailed", 3)
        .await;
    let mut events = stage.events("data").await;
    events.retain(|event| event.reason.as_deref() == Some("ProvisioningFailed"));
    assert_eq!(events.len(), 1, "{events:#?}");
    assert!(events[0].last_timestamp > events[0].first_timestamp);
}

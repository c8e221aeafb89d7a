//! A Go provisioner knows only its Endpoints object, and it is respected there whatever the lock of ours is.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Endpoints;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::{Instant, interval};

use super::{ANNOTATION, endpoints, held, kind_for, leads, lock_name};
use crate::provisioner::Settings;
use crate::scenario::Scenario;
use crate::stage::Stage;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut list = Vec::new();
    list.extend(
        Scenario::of(a_go_record_that_is_renewed_keeps_ours_waiting_and_a_stale_one_does_not)
            .under_both_rights(),
    );
    list.extend(
        Scenario::of(a_go_provisioner_that_comes_back_ends_our_term_for_as_long_as_it_renews)
            .under_both_rights(),
    );
    list
}

/// What the Go provisioner's record says; half of its default, to be quick.
const LEASE: Duration = Duration::from_secs(7);
/// On a machine that does much else besides.
const SLACK: Duration = Duration::from_secs(4);

fn settings(stage: &Stage) -> Settings {
    let settings = stage.settings().with("LEASE_DURATION", "6s");
    settings
        .with("RENEW_DEADLINE", "4s")
        .with("RETRY_PERIOD", "1s")
}

/// Writes the record as client-go does, stamped by a clock that is `behind`. Returns a moment that is not after the renewal.
async fn go_renews(stage: &Stage, behind: Duration) -> Instant {
    let stamp = Timestamp::now() - behind;
    let stamp = Timestamp::from_second(stamp.as_second()).expect("a stamp");
    let record = json!({"holderIdentity": "go-host_0a0a0a0a-0000-4000-8000-000000000001", "leaseDurationSeconds": LEASE.as_secs(),
        "acquireTime": "2026-01-01T00:00:00Z", "renewTime": stamp, "leaderTransitions": 0});
    let annotations = [(ANNOTATION.to_owned(), record.to_string())];
    let now = Instant::now();
    let name = lock_name(stage);
    let object = Endpoints {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            annotations: Some(annotations.into()),
            ..Default::default()
        },
        ..Default::default()
    };
    let api = endpoints(stage);
    let made = api.create(&PostParams::default(), &object).await;
    if made.is_err() {
        let patch = Patch::Merge(&object);
        let patched = api.patch(&name, &PatchParams::default(), &patch).await;
        patched.expect("the Go provisioner's object");
    }
    now
}

/// The Go provisioner's clock is an hour behind: only that the record changes counts.
async fn a_go_record_that_is_renewed_keeps_ours_waiting_and_a_stale_one_does_not(stage: Stage) {
    const BEHIND: Duration = Duration::from_secs(3600);
    let class = stage.class("plain", json!({})).await;
    go_renews(&stage, BEHIND).await;
    let process = stage.start_with(&settings(&stage));
    process.log().says(&["standing by", "go-host_"]).await;
    stage.claim("data", &class).await;
    let begun = Instant::now();
    let mut renewed = begun;
    // The Go provisioner's own.
    let mut pace = interval(Duration::from_secs(2));
    while begun.elapsed() < LEASE + Duration::from_secs(3) {
        renewed = go_renews(&stage, BEHIND).await;
        assert_eq!(process.log().with_all(&["INFO", "leading"]), [""; 0]);
        pace.tick().await;
    }
    leads(&process).await;
    let waited = renewed.elapsed();
    assert!(
        waited >= LEASE && waited <= LEASE + Duration::from_secs(1) + SLACK,
        "{waited:?} after the last renewal"
    );
    stage.bound("data").await;
    let lock = held(&stage).await.expect("a lock");
    assert_eq!(lock.kind, kind_for(stage.rights()));

    // What is left of the Go provisioner's record is not waited for again.
    assert_eq!(process.stop().await.code(), Some(0));
    let begun = Instant::now();
    leads(&stage.start_with(&settings(&stage))).await;
    assert!(begun.elapsed() + Duration::from_secs(1) < LEASE);
}

async fn a_go_provisioner_that_comes_back_ends_our_term_for_as_long_as_it_renews(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let process = stage.start_with(&settings(&stage));
    leads(&process).await;
    stage.provision("before", &class).await;
    go_renews(&stage, Duration::ZERO).await;
    let stopped = ["WARN", "standing by, all work stopped", "go-host_"];
    process.log().says(&stopped).await;
    stage.claim("after", &class).await;
    go_renews(&stage, Duration::ZERO).await;
    let volume = stage.bound_within(LEASE + 2 * SLACK, "after").await;
    assert!(stage.dir(&stage.dir_of(&volume)).is_dir());
    assert_eq!(process.log().with_all(&["INFO", "leading"]).len(), 2);
}

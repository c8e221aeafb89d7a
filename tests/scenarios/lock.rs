//! One provisioner works, the others stand by.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Endpoints;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::expect::eventually;
use crate::provisioner::{Provisioner, Settings};
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};
use crate::world::{Part, Rights, Turn};

const ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let both = [
        Scenario::of(the_lock_is_where_the_rules_allow_it_in_client_gos_form).under_both_rights(),
        Scenario::of(a_clean_stop_hands_over_at_once).under_both_rights(),
        Scenario::of(a_killed_leader_is_followed_within_lease_and_retry).under_both_rights(),
        Scenario::of(a_go_provisioner_at_work_is_respected_until_it_is_silent).under_both_rights(),
    ];
    let mut all: Vec<_> = both.into_iter().flatten().collect();
    all.extend([
        Scenario::of(a_restart_serves_a_waiting_claim_at_once),
        Scenario::of(without_leader_election_there_is_no_lock),
        Scenario::of(a_leader_that_was_frozen_past_its_lease_stands_by),
        Scenario::of(a_frozen_api_server_and_a_wrong_clock_make_nobody_work_twice).alone(),
    ]);
    all
}

/// client-go's durations over four or five, so that nobody waits long.
fn quick(stage: &Stage) -> Settings {
    stage
        .settings()
        .with("LEASE_DURATION", "4s")
        .with("RENEW_DEADLINE", "2500ms")
        .with("RETRY_PERIOD", "500ms")
}

fn lock_name(stage: &Stage) -> String {
    stage.provisioner_name().replace('/', "-")
}

fn leases(stage: &Stage) -> Api<Lease> {
    Api::namespaced(stage.client(), &stage.account().namespace)
}

fn endpoints(stage: &Stage) -> Api<Endpoints> {
    Api::namespaced(stage.client(), &stage.account().namespace)
}

/// Who holds the lock: the identity, empty when it was given back, nothing when there is no lock.
async fn holder(stage: &Stage) -> Option<String> {
    let name = lock_name(stage);
    match stage.rights() {
        Rights::Own => {
            leases(stage)
                .get_opt(&name)
                .await
                .ok()??
                .spec?
                .holder_identity
        }
        Rights::Go => {
            let record = record(stage).await?;
            record["holderIdentity"].as_str().map(str::to_owned)
        }
    }
}

/// What the annotation on the Endpoints object says.
async fn record(stage: &Stage) -> Option<Value> {
    let object = endpoints(stage).get_opt(&lock_name(stage)).await.ok()??;
    let text = object.metadata.annotations?.remove(ANNOTATION)?;
    serde_json::from_str(&text).ok()
}

/// Starts two; returns the leader first.
async fn start_two(stage: &Stage, settings: &Settings) -> (Provisioner, Provisioner) {
    let first = stage.start_with(settings);
    first.log().says(&["leading"]).await;
    let second = stage.start_with(settings);
    second.log().says(&["standing by"]).await;
    (first, second)
}

async fn the_lock_is_where_the_rules_allow_it_in_client_gos_form(stage: Stage) {
    let provisioner = stage.start();
    let identity = eventually("somebody leads", async || {
        holder(&stage).await.filter(|name| !name.is_empty())
    })
    .await;
    let (host, uuid) = identity.rsplit_once('_').unwrap();
    assert!(!host.is_empty() && uuid.len() == 36, "{identity}");
    match stage.rights() {
        Rights::Own => {
            let spec = leases(&stage)
                .get(&lock_name(&stage))
                .await
                .unwrap()
                .spec
                .unwrap();
            assert_eq!(spec.lease_duration_seconds, Some(15));
            assert!(spec.renew_time.is_some() && spec.acquire_time.is_some());
            assert_eq!(spec.lease_transitions, Some(0));
        }
        Rights::Go => {
            let golden: Value = serde_json::from_str(include_str!("../golden/lock.json")).unwrap();
            let golden: Value = serde_json::from_str(
                golden["metadata"]["annotations"][ANNOTATION]
                    .as_str()
                    .unwrap(),
            )
            .unwrap();
            let ours = record(&stage).await.unwrap();
            let keys = |value: &Value| -> BTreeSet<String> {
                value.as_object().unwrap().keys().cloned().collect()
            };
            assert_eq!(keys(&ours), keys(&golden));
            assert_eq!(ours["leaseDurationSeconds"], golden["leaseDurationSeconds"]);
            // `2026-11-22T14:03:26Z`: whole seconds.
            let lengths = |value: &Value| value["renewTime"].as_str().unwrap().len();
            assert_eq!(lengths(&ours), lengths(&golden));
        }
    }
    assert!(provisioner.stop().await.success());
    assert_eq!(holder(&stage).await.as_deref(), Some(""), "given back");
}

async fn a_clean_stop_hands_over_at_once(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    // client-go's durations: what is not handed over would take 15 s.
    let (first, second) = start_two(&stage, &stage.settings()).await;
    stage.provision("before", &class).await;
    let begin = Instant::now();
    assert!(first.stop().await.success());
    stage.claim("after", &class).await;
    stage.bound("after").await;
    println!(
        "measured: from SIGTERM to the standby's first volume: {:.2} s",
        begin.elapsed().as_secs_f64()
    );
    assert!(begin.elapsed() < Duration::from_secs(12), "not handed over");
    second.log().says(&["leading"]).await;
}

async fn a_killed_leader_is_followed_within_lease_and_retry(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let (first, _second) = start_two(&stage, &quick(&stage)).await;
    stage.provision("before", &class).await;
    first.kill();
    let begin = Instant::now();
    stage.claim("after", &class).await;
    stage.bound("after").await;
    let took = begin.elapsed();
    println!(
        "measured: from SIGKILL to the standby's first volume: {:.2} s (lease 4 s, retry 0.5 s)",
        took.as_secs_f64()
    );
    assert!(
        took > Duration::from_secs(1),
        "a lease that still runs was not respected"
    );
}

/// The record as client-go writes it, by clocks that are an hour behind.
async fn write_go_record(stage: &Stage, second: i64) {
    let stamp = |seconds: i64| format!("2020-01-01T00:{:02}:{:02}Z", seconds / 60, seconds % 60);
    let record = json!({
        "holderIdentity": "old-pod_96b14afd-4577-4a06-b991-6d6cc83b4591",
        "leaseDurationSeconds": 4,
        "acquireTime": stamp(0),
        "renewTime": stamp(second),
        "leaderTransitions": 0,
    });
    let annotations = json!({"metadata": {"annotations": {ANNOTATION: record.to_string()}}});
    let name = lock_name(stage);
    if second == 0 {
        let mut object: Endpoints = serde_json::from_value(annotations).unwrap();
        object.metadata.name = Some(name);
        endpoints(stage)
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    } else {
        let patch = Patch::Merge(annotations);
        endpoints(stage)
            .patch(&name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
}

async fn a_go_provisioner_at_work_is_respected_until_it_is_silent(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    write_go_record(&stage, 0).await;
    let provisioner = stage.start_with(&quick(&stage));
    provisioner.log().says(&["standing by", "old-pod_"]).await;
    stage.claim("data", &class).await;
    // It goes on renewing for longer than its lease.
    let begin = Instant::now();
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let mut second = 0;
    while begin.elapsed() < Duration::from_secs(6) {
        beat.tick().await;
        second += 1;
        write_go_record(&stage, second).await;
        assert_eq!(
            stage.phase("data").await,
            "Pending",
            "the old pod is at work"
        );
    }
    let silent = Instant::now();
    stage.bound("data").await;
    assert!(
        silent.elapsed() > Duration::from_secs(2),
        "its lease still ran: {:?}",
        silent.elapsed()
    );
}

async fn a_restart_serves_a_waiting_claim_at_once(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let provisioner = stage.start();
    stage.provision("before", &class).await;
    assert!(provisioner.stop().await.success());
    stage.claim("waits", &class).await;
    let begin = Instant::now();
    let _provisioner = stage.start();
    stage.bound("waits").await;
    let took = begin.elapsed();
    println!(
        "measured: from start to the waiting claim bound: {:.2} s (Go: 15.5 s)",
        took.as_secs_f64()
    );
    assert!(took < Duration::from_secs(12), "{took:?}");
}

async fn without_leader_election_there_is_no_lock(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start_with(&stage.settings().with("ENABLE_LEADER_ELECTION", "F"));
    stage.provision("data", &class).await;
    assert_eq!(
        leases(&stage).get_opt(&lock_name(&stage)).await.unwrap(),
        None
    );
    assert_eq!(
        endpoints(&stage).get_opt(&lock_name(&stage)).await.unwrap(),
        None
    );
}

async fn a_leader_that_was_frozen_past_its_lease_stands_by(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let (mut first, second) = start_two(&stage, &quick(&stage)).await;
    first.freeze();
    second.log().says(&["leading"]).await;
    let name = holder(&stage).await.unwrap();
    first.thaw();
    first.log().says(&["standing by, all work stopped"]).await;
    stage.provision("data", &class).await;
    assert_eq!(holder(&stage).await, Some(name));
    assert!(first.is_alive());
}

/// With Debian's faketime the wall clock of the process is wrong, and only that one; without, it is right.
fn an_hour_ahead(settings: Settings) -> Settings {
    let libraries = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut found = libraries.map(|dir| dir.path().join("faketime/libfaketimeMT.so.1"));
    match found.find(|library| library.exists()) {
        Some(library) => settings
            .with("LD_PRELOAD", library.display().to_string())
            .with("FAKETIME", "+1h")
            .with("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        None => settings,
    }
}

async fn a_frozen_api_server_and_a_wrong_clock_make_nobody_work_twice(stage: Stage) {
    const COUNT: usize = 60;
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let settings = quick(&stage);
    let mut first = stage.start_with(&settings);
    first.log().says(&["leading"]).await;
    let mut second = stage.start_with(&an_hour_ahead(settings));
    second.log().says(&["standing by"]).await;

    let name = |number: usize| format!("data-{number}");
    let mut going = Vec::new();
    for number in 0..COUNT / 2 {
        going.push(stage.provision(&name(number), &class).await);
    }
    for number in COUNT / 2..COUNT {
        stage.claim(&name(number), &class).await;
    }
    for number in 0..COUNT / 2 {
        stage.delete_claim(&name(number)).await;
    }
    stage.world().turn(Part::Api, Turn::Frozen).await;
    // Whoever leads cannot renew and must stop by itself.
    let lost = || {
        [&first, &second]
            .iter()
            .any(|one| !one.log().with_all(&["all work stopped"]).is_empty())
    };
    crate::expect::until("the leader stops by itself", lost).await;
    stage.world().turn(Part::Api, Turn::Thawed).await;

    let mut dirs = Vec::new();
    for number in COUNT / 2..COUNT {
        dirs.push(stage.dir_of(&stage.bound(&name(number)).await));
    }
    for volume in &going {
        stage.gone(volume).await;
    }
    dirs.sort();
    eventually("the share holds what the volumes need", async || {
        (stage.entries() == dirs).then_some(())
    })
    .await;
    assert!(first.is_alive() && second.is_alive());
    let leader = holder(&stage).await.unwrap();
    let says = |one: &Provisioner| !one.log().with_all(&["leading", &leader]).is_empty();
    assert!(says(&first) ^ says(&second), "one of them leads");
    let names: BTreeSet<_> = going.iter().map(name_of).collect();
    assert_eq!(names.len(), COUNT / 2);
}

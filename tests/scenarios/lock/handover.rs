//! From one process to the next: stopped, killed, started again.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    ANNOTATION, Terms, given_back, held, identity, kind_for, leads, ledger::Ledger, lock_name,
    stands_by_warm,
};
use crate::scenario::Scenario;
use crate::stage::Stage;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut list = Vec::new();
    list.extend(Scenario::of(a_restart_hands_over_at_once).under_both_rights());
    list.extend(Scenario::of(a_clean_stop_hands_over_to_the_standby).under_both_rights());
    list.extend(
        Scenario::of(the_lock_is_where_the_rules_allow_it_in_client_gos_form).under_both_rights(),
    );
    list.extend(
        Scenario::of(a_leader_killed_is_followed_within_lease_and_retry_period)
            .alone()
            .under_both_rights(),
    );
    list.extend(
        Scenario::of(a_leader_that_was_stopped_for_longer_than_its_lease_does_nothing_more)
            .alone()
            .under_both_rights(),
    );
    list.extend(Scenario::of(without_leader_election_no_lock_is_touched).under_both_rights());
    list
}

/// On a machine that does much else besides.
const SLACK: Duration = Duration::from_secs(4);

/// With the defaults: a lock that was not given back would be respected for 15 s.
async fn a_restart_hands_over_at_once(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let old = stage.start();
    leads(&old).await;
    stage.provision("before", &class).await;
    assert_eq!(old.stop().await.code(), Some(0));
    stage.claim("meanwhile", &class).await;
    let begun = Instant::now();
    let new = stage.start();
    stage
        .bound_within(Duration::from_secs(12), "meanwhile")
        .await;
    println!(
        "measured: from the start to the waiting claim bound: {:.2} s",
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(new.log().with_all(&["standing by"]), [""; 0]);
}

/// With a standby there, which looks once in a retry period.
async fn a_clean_stop_hands_over_to_the_standby(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let first = stage.start();
    leads(&first).await;
    let second = stage.start();
    second.log().says(&["standing by"]).await;
    let begun = Instant::now();
    assert_eq!(first.stop().await.code(), Some(0));
    stage.claim("after", &class).await;
    stage.bound_within(Duration::from_secs(12), "after").await;
    println!(
        "measured: from SIGTERM to the standby's first claim bound: {:.2} s (retry 2 s)",
        begun.elapsed().as_secs_f64()
    );
    leads(&second).await;
}

async fn the_lock_is_where_the_rules_allow_it_in_client_gos_form(stage: Stage) {
    let process = stage.start();
    leads(&process).await;
    let now = held(&stage).await.expect("a lock");
    assert_eq!(now.kind, kind_for(stage.rights()));
    assert_eq!(now.holder, identity(&process));
    let (host, uuid) = now.holder.rsplit_once('_').expect("HOSTNAME_UUID");
    assert!(!host.is_empty() && uuid.len() == 36, "{}", now.holder);
    let golden: Value = serde_json::from_str(include_str!("../../golden/lock.json")).unwrap();
    let golden = golden["metadata"]["annotations"][ANNOTATION].as_str();
    let golden: Value = serde_json::from_str(golden.expect("the Go record")).unwrap();
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        now.record["leaseDurationSeconds"],
        golden["leaseDurationSeconds"]
    );
    if now.kind == "Endpoints" {
        assert_eq!(keys(&now.record), keys(&golden));
        // `2026-11-22T14:03:26Z`: whole seconds.
        let length = |record: &Value| record["renewTime"].as_str().map(str::len);
        assert_eq!(length(&now.record), length(&golden));
    }
    assert_eq!(process.stop().await.code(), Some(0));
    given_back(&stage).await;
}

async fn a_leader_killed_is_followed_within_lease_and_retry_period(stage: Stage) {
    let (world, terms) = (stage.world(), Terms::of(&stage));
    let settings = terms.put(stage.settings());
    let class = stage.class("plain", json!({})).await;
    let start = world.audit_mark();
    let first = stage.start_with(&settings);
    leads(&first).await;
    stage.provision("before", &class).await;
    let second = stage.start_with(&settings);
    stands_by_warm(&stage, &second, start).await;

    let mark = world.audit_mark();
    let killed = Instant::now();
    first.kill();
    stage.claim("waiting", &class).await;
    stage
        .bound_within(terms.lease + terms.retry + SLACK, "waiting")
        .await;
    println!(
        "measured: from kill -9 of the leader to the waiting claim bound: {:.2} s (lease {:?}, retry {:?})",
        killed.elapsed().as_secs_f64(),
        terms.lease,
        terms.retry
    );
    // Others wait a lease from the last renewal, which may be a retry period old.
    assert!(killed.elapsed() + terms.retry + SLACK > terms.lease);
    let lists: Vec<_> = world
        .requests_since(mark)
        .into_iter()
        .filter(|request| request.verb == "list" && request.agent.contains(&identity(&second)))
        .collect();
    assert_eq!(lists, [], "a standby is warm: taking over asks for nothing");
    let ledger = Ledger::since(&stage, start);
    assert_eq!(ledger.effects_out_of_turn(terms.lease, None), []);
    assert_eq!((ledger.holders(), ledger.volumes_created().len()), (2, 2));
}

/// As a node that hangs: the process comes to when another has long taken its place.
async fn a_leader_that_was_stopped_for_longer_than_its_lease_does_nothing_more(stage: Stage) {
    let terms = Terms::of(&stage);
    let settings = terms.put(stage.settings());
    let class = stage.class("gone", json!({"onDelete": "delete"})).await;
    let mark = stage.world().audit_mark();
    let first = stage.start_with(&settings);
    leads(&first).await;
    let before = stage.provision("before", &class).await;
    let second = stage.start_with(&settings);
    stands_by_warm(&stage, &second, mark).await;

    first.freeze();
    for number in 0..20 {
        stage.claim(&format!("data-{number}"), &class).await;
    }
    stage.delete_claim("before").await;
    for number in 0..20 {
        stage
            .bound_within(terms.lease + terms.retry + SLACK, &format!("data-{number}"))
            .await;
    }
    stage.gone(&before).await;
    // Nothing is left to do but for one who does not know, and whose sockets are full of claims without a volume.
    let calls = stage.world().calls_mark();
    first.thaw();
    first
        .log()
        .says(&["WARN", "standing by, all work stopped"])
        .await;
    assert_eq!(stage.world().changes_since(calls), [""; 0]);
    stage.claim("after", &class).await;
    stage.bound("after").await;
    let ledger = Ledger::since(&stage, mark);
    assert_eq!(ledger.effects_out_of_turn(terms.lease, None), []);
    assert_eq!((ledger.holders(), ledger.volumes_created().len()), (2, 22));
}

async fn without_leader_election_no_lock_is_touched(stage: Stage) {
    let mark = stage.world().audit_mark();
    let class = stage.class("plain", json!({})).await;
    let process = stage.start_with(&stage.settings().with("ENABLE_LEADER_ELECTION", "false"));
    stage.provision("data", &class).await;
    assert_eq!(process.stop().await.code(), Some(0));
    assert_eq!(held(&stage).await, None);
    let name = lock_name(&stage);
    let asked: Vec<_> = stage
        .world()
        .requests_since(mark)
        .into_iter()
        .filter(|request| request.name == name)
        .collect();
    assert_eq!(asked, []);
}

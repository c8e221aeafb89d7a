//! The end of a process: what is under way ends first, the lock is given back, and nothing outside can keep it from ending.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::Instant;

use crate::lock::{given_back, leads};
use crate::pages::Pages;
use crate::provisioner::{Provisioner, Settings};
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::world::{Part, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let mut list = vec![
        Scenario::of(a_second_signal_ends_the_process_at_once).alone(),
        Scenario::of(a_dead_api_server_keeps_no_process_from_ending).alone(),
        Scenario::of(a_process_that_has_not_reached_the_api_server_yet_ends_too).alone(),
    ];
    list.extend(
        Scenario::of(sigterm_ends_what_is_under_way_gives_the_lock_back_and_exits_0)
            .alone()
            .under_both_rights(),
    );
    list.extend(
        Scenario::of(sigterm_waits_no_longer_than_the_grace_period)
            .alone()
            .under_both_rights(),
    );
    list
}

/// On a machine that does much else besides.
const SLACK: Duration = Duration::from_secs(4);
/// Of what is written last: events and the lock.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A leader with one claim under way on a file server that does not answer.
async fn at_work(stage: &Stage, settings: Settings, grace: &str) -> Provisioner {
    let class = stage.class("plain", json!({})).await;
    let process = stage.start_with(&settings.with("GRACE_PERIOD", grace));
    leads(&process).await;
    stage.provision("before", &class).await;
    stage.world().turn(Part::Nfs, Turn::Frozen).await;
    stage.claim("data", &class).await;
    stage.event("data", "Provisioning", &[]).await;
    process
}

async fn sigterm_ends_what_is_under_way_gives_the_lock_back_and_exits_0(stage: Stage) {
    let pages = Pages::new();
    let mut process = at_work(&stage, pages.served_by(stage.settings()), "25s").await;
    process.signal(Signal::TERM);
    process.log().says(&["INFO", "stopping", "SIGTERM"]).await;
    // Prometheus can still take what was counted last.
    let (status, text) = pages.get("/metrics").expect("a page until the end");
    assert_eq!(status, 200);
    let counted = "controller_persistentvolumeclaim_provision_total{";
    assert!(text.contains(counted), "{text}");
    // No new work from here on.
    let class = stage.class_name("plain");
    stage.claim("late", &class).await;
    assert!(process.is_alive());
    stage.world().turn(Part::Nfs, Turn::Thawed).await;
    let status = process.ended(Duration::from_secs(25)).await;
    assert_eq!(status.code(), Some(0));
    stage.bound("data").await;
    stage.event("data", "ProvisioningSucceeded", &[]).await;
    assert_eq!(stage.phase("late").await, "Pending");
    given_back(&stage).await;
    let _next = stage.start();
    stage.bound("late").await;
}

async fn sigterm_waits_no_longer_than_the_grace_period(stage: Stage) {
    const GRACE: Duration = Duration::from_secs(2);
    let mut process = at_work(&stage, stage.settings(), "2s").await;
    let asked = Instant::now();
    process.signal(Signal::TERM);
    let status = process.ended(GRACE + LAST_WORDS + SLACK).await;
    assert_eq!(status.code(), Some(0));
    assert!(asked.elapsed() >= GRACE, "{:?}", asked.elapsed());
    given_back(&stage).await;
    stage.world().turn(Part::Nfs, Turn::Thawed).await;
    let _next = stage.start();
    let volume = stage.bound("data").await;
    let dirs = stage.entries();
    assert_eq!(dirs.len(), 2, "{dirs:?}");
    assert!(dirs.contains(&stage.dir_of(&volume)));
}

async fn a_second_signal_ends_the_process_at_once(stage: Stage) {
    let mut process = at_work(&stage, stage.settings(), "25s").await;
    process.signal(Signal::TERM);
    process.log().says(&["INFO", "stopping", "SIGTERM"]).await;
    process.signal(Signal::INT);
    let status = process.ended(SLACK).await;
    assert_eq!(status.code(), Some(1));
    process
        .log()
        .says(&["WARN", "second signal", "SIGINT"])
        .await;
    stage.world().turn(Part::Nfs, Turn::Thawed).await;
}

async fn a_dead_api_server_keeps_no_process_from_ending(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let mut process = stage.start_with(&stage.settings().with("GRACE_PERIOD", "2s"));
    leads(&process).await;
    stage.provision("before", &class).await;
    stage.world().turn(Part::Api, Turn::Frozen).await;
    process.signal(Signal::TERM);
    let status = process
        .ended(Duration::from_secs(2) + LAST_WORDS + SLACK)
        .await;
    stage.world().turn(Part::Api, Turn::Thawed).await;
    assert_eq!(status.code(), Some(0));
}

async fn a_process_that_has_not_reached_the_api_server_yet_ends_too(stage: Stage) {
    stage.world().turn(Part::Api, Turn::Frozen).await;
    let mut process = stage.start();
    process.log().says(&["INFO", "share answers"]).await;
    process.signal(Signal::TERM);
    let status = process.ended(LAST_WORDS + SLACK).await;
    stage.world().turn(Part::Api, Turn::Thawed).await;
    assert_eq!(status.code(), Some(0));
}

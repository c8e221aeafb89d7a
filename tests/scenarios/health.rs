//! What `/healthz`, `/readyz` and `/version` answer: whether the process is stuck, never whether a server is down.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::expect::{eventually, eventually_within};
use crate::pages::Pages;
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::world::{Part, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(every_loop_is_listed_by_name),
        Scenario::of(readiness_says_what_it_waits_for).alone(),
        Scenario::of(a_process_whose_servers_hang_is_healthy).alone(),
    ]
}

/// Those that turn as long as the process lives.
const ALWAYS: [&str; 10] = [
    "API server pulse",
    "claim watch",
    "class watch",
    "event writer",
    "leader election",
    "permissions",
    "runtime",
    "share states",
    "survey",
    "volume watch",
];
/// Those of the leader.
const LEADING: [&str; 3] = ["claim workers", "volume workers", "sweep"];

/// The parts that a page with `?verbose` lists as well.
fn well(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("[+]"));
    let mut well: Vec<_> = lines.filter_map(|line| line.strip_suffix(" ok")).collect();
    well.sort_unstable();
    well
}

async fn every_loop_is_listed_by_name(stage: Stage) {
    let pages = Pages::new();
    let _leader = stage.start_with(&pages.served_by(stage.settings()));
    stage.passed_by().await;
    let (status, text) = pages.get("/healthz?verbose").unwrap();
    let mut all = [&ALWAYS[..], &LEADING[..]].concat();
    all.sort_unstable();
    assert_eq!((status, well(&text)), (200, all), "{text}");
    assert_eq!(text.lines().last(), Some("ok"), "{text}");
    assert_eq!(pages.get("/healthz").unwrap(), (200, "ok".to_owned()));

    let (status, text) = pages.get("/readyz?verbose").unwrap();
    assert_eq!(
        (status, well(&text)),
        (200, vec!["default share answered", "stores synced"])
    );
    let (_, version) = pages.get("/version").unwrap();
    let version: Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));

    let pages = Pages::new();
    let standby = stage.start_with(&pages.served_by(stage.settings()));
    standby.log().says(&["INFO", "standing by"]).await;
    let mut always = ALWAYS;
    always.sort_unstable();
    let (status, text) = pages.get("/healthz?verbose").unwrap();
    assert_eq!((status, well(&text)), (200, always.to_vec()), "{text}");
}

async fn readiness_says_what_it_waits_for(stage: Stage) {
    let pages = Pages::new();
    stage.world().turn(Part::Nfs, Turn::Off).await;
    let provisioner = stage.start_with(&pages.served_by(stage.settings()));
    eventually("the share is waited for, and nothing else", async || {
        let (status, text) = pages.get("/readyz?verbose")?;
        let why = "[-]default share answered: could not reach ";
        let says = text.contains(why) && text.contains("Connection refused");
        (status == 503 && says && well(&text) == ["stores synced"]).then_some(())
    })
    .await;
    assert_eq!(pages.get("/healthz").unwrap().0, 200);
    stage.world().turn(Part::Nfs, Turn::On).await;
    eventually("it is ready", async || {
        (pages.get("/readyz")? == (200, "ok".to_owned())).then_some(())
    })
    .await;
    // Ready means that it has answered once: that it is down again is for the alerts.
    stage.world().turn(Part::Nfs, Turn::Off).await;
    provisioner
        .log()
        .says(&["WARN", "share does not answer"])
        .await;
    assert_eq!(pages.get("/readyz").unwrap().0, 200);
    stage.world().turn(Part::Nfs, Turn::On).await;
}

/// For longer than a loop may stand still, which is half a minute. (The election may for longer: see its own tests.)
async fn a_process_whose_servers_hang_is_healthy(stage: Stage) {
    const OUTAGE: Duration = Duration::from_secs(35);
    const CAP: Duration = Duration::from_secs(60);
    let world = stage.world();
    let pages = Pages::new();
    let class = stage.class("plain", json!({})).await;
    let mut provisioner = stage.start_with(&pages.served_by(stage.settings()));
    stage.passed_by().await;
    world.turn(Part::Nfs, Turn::Frozen).await;
    stage.claim("data", &class).await;
    stage.event("data", "Provisioning", &[]).await;
    world.turn(Part::Api, Turn::Frozen).await;
    let begin = Instant::now();
    while begin.elapsed() < OUTAGE {
        let (status, text) = pages.get("/healthz?verbose").unwrap();
        assert_eq!(status, 200, "after {:?}: {text}", begin.elapsed());
        // Not a wait for anything: looking all the time would only keep the machine busy.
        sleep(Duration::from_millis(250)).await;
    }
    assert!(provisioner.is_alive());
    world.turn(Part::Api, Turn::Thawed).await;
    world.turn(Part::Nfs, Turn::Thawed).await;
    stage.bound_within(CAP, "data").await;
    eventually("it leads again", async || {
        let (_, text) = pages.get("/healthz?verbose")?;
        text.contains("[+]claim workers ok").then_some(())
    })
    .await;
    eventually_within(CAP, "it is ready", async || {
        (pages.get("/readyz")?.0 == 200).then_some(())
    })
    .await;
}

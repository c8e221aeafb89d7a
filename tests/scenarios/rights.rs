//! Under exactly the Go provisioner's rules, and with the extras of ours.

use serde_json::json;

use crate::expect::eventually;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let [go, own] =
        Scenario::of(a_whole_life_asks_for_nothing_that_is_forbidden).under_both_rights();
    vec![
        go.alone(),
        own.alone(),
        Scenario::of(a_claim_costs_few_requests).alone(),
        Scenario::of(a_burst_is_not_throttled),
    ]
}

async fn a_whole_life_asks_for_nothing_that_is_forbidden(stage: Stage) {
    let mark = stage.world().audit_mark();
    let class = stage.class("arch", json!({})).await;
    let provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.event("data", "ProvisioningSucceeded", &[]).await;
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    assert!(provisioner.stop().await.success());
    let requests = stage.world().requests_since(mark);
    assert!(requests.len() > 5, "{requests:#?}");
    let forbidden: Vec<_> = requests
        .iter()
        .filter(|request| request.code == 403)
        .collect();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
}

async fn a_claim_costs_few_requests(stage: Stage) {
    const CLAIMS: usize = 20;
    let class = stage
        .class("plain", json!({"archiveOnDelete": "false"}))
        .await;
    let _provisioner = stage.start();
    stage.provision("first", &class).await;
    stage.event("first", "ProvisioningSucceeded", &[]).await;
    let mark = stage.world().audit_mark();
    for number in 0..CLAIMS {
        stage.claim(&format!("data-{number}"), &class).await;
    }
    for number in 0..CLAIMS {
        stage.bound(&format!("data-{number}")).await;
    }
    // The last thing written about a claim is its event.
    for number in 0..CLAIMS {
        stage
            .event(&format!("data-{number}"), "ProvisioningSucceeded", &[])
            .await;
    }
    let requests = stage.world().requests_since(mark);
    let count = |verb: &str, resource: &str| {
        let wanted = requests
            .iter()
            .filter(|request| request.verb == verb && request.resource == resource);
        wanted.count()
    };
    assert_eq!(count("create", "persistentvolumes"), CLAIMS);
    assert_eq!(count("get", "persistentvolumes"), 0);
    assert_eq!(count("get", "persistentvolumeclaims"), 0);
    assert_eq!(count("get", "storageclasses"), 0);
    assert!(count("create", "events") <= 2 * CLAIMS);
    let locks = ["leases", "endpoints"];
    let work = requests
        .iter()
        .filter(|request| !locks.contains(&request.resource.as_str()));
    let work = work.count();
    println!("measured: {work} requests for {CLAIMS} claims");
    // Three a claim, and what a process asks for whatever it does: watches that end and begin anew.
    assert!(work <= 3 * CLAIMS + 10, "{requests:#?}");
}

/// The Go provisioner's 5 requests a second, of which a claim takes three, make this last for two minutes: four times as long as is waited for.
async fn a_burst_is_not_throttled(stage: Stage) {
    const CLAIMS: usize = 200;
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    stage.passed_by().await;
    let begin = tokio::time::Instant::now();
    for number in 0..CLAIMS {
        stage.claim(&format!("data-{number}"), &class).await;
    }
    eventually(format!("{CLAIMS} volumes"), async || {
        let volumes = stage
            .volumes()
            .list(&kube::api::ListParams::default())
            .await
            .ok()?;
        let mine = volumes.items.iter().filter(|volume| {
            let class_of = volume
                .spec
                .as_ref()
                .and_then(|spec| spec.storage_class_name.as_ref());
            class_of == Some(&class) && !name_of(*volume).is_empty()
        });
        (mine.count() == CLAIMS).then_some(())
    })
    .await;
    println!(
        "measured: {CLAIMS} claims in {:.2} s",
        begin.elapsed().as_secs_f64()
    );
}

//! Several shares: classes that choose another export, and a share that is down.

use std::time::Duration;

use serde_json::json;
use testkit::nfs::{Effect, Procedure, Rule};

use crate::expect::{eventually, until};
use crate::pages::Pages;
use crate::scenario::Scenario;
use crate::stage::{Stage, entries, name_of};
use crate::world::Share;

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(a_class_can_choose_another_share),
        Scenario::of(a_share_that_is_down_holds_up_only_its_own_claims),
        Scenario::of(a_share_that_hangs_holds_up_only_its_own_claims)
            .only_on_the_double("a real server cannot be told to ignore one call"),
        Scenario::of(a_claim_made_anew_on_another_share_does_not_wait_for_the_old_one)
            .alone()
            .only_on_the_double("a real server cannot be told to ignore one call"),
        Scenario::of(a_volume_on_another_share_is_reclaimed_when_its_class_is_gone),
        Scenario::of(a_share_that_nobody_needs_any_more_is_not_reported_as_down),
        Scenario::of(a_server_that_has_moved_is_found_under_its_name)
            .only_on_real_parts("only root may change what a name means to one process"),
    ]
}

async fn a_class_can_choose_another_share(stage: Stage) {
    let second = stage.world().second_share().folder(stage.namespace());
    let parameters =
        json!({"server": second.server, "share": second.path, "archiveOnDelete": "true"});
    let class = stage.class("second", parameters).await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    let nfs = volume.spec.clone().unwrap().nfs.unwrap();
    let dir = format!("{}-data-{}", stage.namespace(), name_of(&volume));
    assert_eq!(nfs.path, format!("{}/{dir}", second.path));
    assert_eq!(entries(&second.dir), [dir.as_str()]);
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    assert_eq!(entries(&second.dir), [format!("archived-{dir}")]);
    assert_eq!(stage.entries(), [""; 0]);
}

async fn a_share_that_is_down_holds_up_only_its_own_claims(stage: Stage) {
    // Nobody listens there.
    let down =
        json!({"server": "127.0.0.1", "share": "/nowhere", "nfsPort": "1", "mountPort": "1"});
    let down = stage.class("down", down).await;
    let up = stage.class("up", json!({})).await;
    let _provisioner = stage.start();
    stage.claim("waits", &down).await;
    stage
        .event("waits", "ProvisioningFailed", &["127.0.0.1:/nowhere"])
        .await;
    for number in 0..10 {
        stage.claim(&format!("waits-{number}"), &down).await;
    }
    for number in 0..10 {
        let name = format!("served-{number}");
        stage.claim(&name, &up).await;
        stage.bound_within(Duration::from_secs(20), &name).await;
    }
    assert_eq!(stage.phase("waits").await, "Pending");
}

/// No answer, and no refusal either: for as long as a call may take, nobody knows that anything is wrong.
async fn a_share_that_hangs_holds_up_only_its_own_claims(stage: Stage) {
    let faults = stage.world().double().expect("the double").nfs_faults();
    let hangs = format!("{}-hangs", stage.namespace());
    let ignored = faults.inject(Rule::on(Procedure::MKDIR, Effect::Ignore).named(&hangs));
    let second = stage.world().second_share().folder(stage.namespace());
    let pattern = format!("{hangs}/${{.PVC.name}}");
    let parameters = json!({"share": second.path, "pathPattern": pattern});
    let hanging = stage.class("hangs", parameters).await;
    let serving = stage.class("serves", json!({})).await;
    let settings = stage.settings().with("CLAIM_CONCURRENCY", "4");
    let _provisioner = stage.start_with(&settings);
    for number in 0..10 {
        stage.claim(&format!("hangs-{number}"), &hanging).await;
    }
    eventually("as many are tried as may be", async || {
        (stage.events_of("Provisioning").await.len() == 4).then_some(())
    })
    .await;
    stage.provision("served", &serving).await;
    let failed = stage.events_of("ProvisioningFailed").await;
    assert_eq!(failed, [], "what hangs was given up before");
    faults.clear(ignored);
    for number in 0..10 {
        stage
            .bound_within(Duration::from_secs(120), &format!("hangs-{number}"))
            .await;
    }
}

/// What the share that hangs has of the first claim, of the same name, is taken back when it can be.
async fn a_claim_made_anew_on_another_share_does_not_wait_for_the_old_one(stage: Stage) {
    let faults = stage.world().double().expect("the double").nfs_faults();
    let second = stage.world().second_share().folder(stage.namespace());
    let hanging = stage.class("hangs", json!({})).await;
    let serving = stage.class("serves", json!({"share": second.path})).await;
    let _provisioner = stage.start_with(&stage.settings().with("NFS_CALL_TIMEOUT", "1s"));
    let [made, removed] = [
        Rule::on(Procedure::MKDIR, Effect::LoseReply),
        Rule::on(Procedure::RMDIR, Effect::Ignore),
    ]
    .map(|rule| faults.inject(rule));
    stage.claim("data", &hanging).await;
    let unanswered = ["could not create", "no answer within 1s"];
    stage.event("data", "ProvisioningFailed", &unanswered).await;
    assert_eq!(stage.entries().len(), 1);
    stage.delete_claim("data").await;
    until("its directory is to be taken back", || {
        faults.hits(removed) >= Some(1)
    })
    .await;
    faults.clear(made);
    let volume = stage.provision("data", &serving).await;
    let dir = format!("{}-data-{}", stage.namespace(), name_of(&volume));
    assert_eq!(entries(&second.dir), [dir]);
    assert_eq!(stage.entries().len(), 1);
    faults.clear(removed);
    until("it is taken back", || stage.entries().is_empty()).await;
}

async fn a_volume_on_another_share_is_reclaimed_when_its_class_is_gone(stage: Stage) {
    let second = stage.world().second_share().folder(stage.namespace());
    let parameters = json!({"share": second.path, "onDelete": "delete"});
    let class = stage.class("second", parameters).await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage
        .classes()
        .delete(&class, &kube::api::DeleteParams::default())
        .await
        .unwrap();
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    assert_eq!(entries(&second.dir), [""; 0]);
}

async fn a_share_that_nobody_needs_any_more_is_not_reported_as_down(stage: Stage) {
    let second = stage.world().second_share().folder(stage.namespace());
    let path = format!("/nowhere/{}", stage.namespace());
    let down = json!({"server": "127.0.0.1", "share": path, "nfsPort": "1", "mountPort": "1"});
    let down = stage.class("down", down).await;
    let parameters = json!({"share": second.path, "onDelete": "delete"});
    let second_class = stage.class("second", parameters).await;
    let pages = Pages::new();
    let _provisioner = stage.start_with(&pages.served_by(stage.settings()));
    let volume = stage.provision("data", &second_class).await;
    stage.claim("waits", &down).await;
    let up = |share: &str| {
        let (_, text) = pages.get("/metrics")?;
        let sample = format!("nfs_provisioner_share_up{{share=\"{share}\"}} ");
        Some(
            text.lines()
                .find_map(|line| line.strip_prefix(&sample).map(str::to_owned)),
        )
    };
    let is = async |share: &str, value: Option<&str>| {
        eventually(format!("{share} is {value:?}"), async || {
            (up(share)?.as_deref() == value).then_some(())
        })
        .await;
    };
    let nowhere = format!("127.0.0.1:{path}");
    let other = format!("{}:{}", second.server, second.path);
    is(&nowhere, Some("0")).await;
    is(&other, Some("1")).await;
    stage.delete_claim("waits").await;
    for class in [&down, &second_class] {
        let deleted = stage
            .classes()
            .delete(class, &kube::api::DeleteParams::default())
            .await;
        deleted.expect("the class");
    }
    is(&nowhere, None).await;
    is(&other, Some("1")).await;
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    is(&other, None).await;
    is(
        &format!("{}:{}", stage.share().server, stage.share().path),
        Some("1"),
    )
    .await;
}

/// As after a failover: the name has another address, and nobody answers at the old one.
async fn a_server_that_has_moved_is_found_under_its_name(stage: Stage) {
    let share = stage.share();
    let named = Share {
        server: "nas.example".to_owned(),
        ..share.clone()
    };
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let is_at = |address: &str| std::fs::write(hosts.path(), format!("{address} nas.example\n"));
    is_at("127.0.0.99").unwrap();
    let class = stage.class("plain", json!({})).await;
    let settings = stage.settings_for(&named).with_hosts(hosts.path());
    let _provisioner = stage.start_with(&settings);
    stage.claim("data", &class).await;
    let old = ["nas.example", "127.0.0.99"];
    stage.event("data", "ProvisioningFailed", &old).await;
    is_at(&share.server).unwrap();
    let volume = stage.bound("data").await;
    let nfs = volume.spec.unwrap().nfs.unwrap();
    assert_eq!(nfs.server, "nas.example");
}

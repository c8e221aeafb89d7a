//! docs/operations.md quotes what is said: each of its troubles is made here, and what the provisioner says of it is looked up there.

use std::time::Duration;

use nfs_export::{Export, Options, Target};
use nfs_subdir_external_provisioner::controller::failure::Failure;
use regex::Regex;
use serde_json::json;
use testkit::nfs::{Effect, Procedure, Rule, mountstat3, nfsstat3};

use crate::permissions::Rules;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};
use crate::world::{Part, Share, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let why = "the real servers' scenarios look their texts up by themselves";
    vec![
        Scenario::of(nfs_down_is_in_the_runbook).alone(),
        Scenario::of(a_wrong_path_is_in_the_runbook),
        Scenario::of(squashed_root_is_in_the_runbook)
            .alone()
            .only_on_the_double(why),
        Scenario::of(a_refused_port_is_in_the_runbook)
            .alone()
            .only_on_the_double(why),
        Scenario::of(a_full_share_is_in_the_runbook)
            .alone()
            .only_on_the_double(why),
        Scenario::of(missing_rules_are_in_the_runbook).with_less_rights(),
        Scenario::of(a_class_that_is_gone_is_in_the_runbook),
    ]
}

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// A text without what differs from machine to machine: addresses, ports, paths, names, and how its lines are broken.
fn bare(text: &str) -> String {
    let steps = [
        (r"`", ""),
        (r"\s+", " "),
        (r#""[^" ]+""#, "NAME"),
        (r"pvc-[0-9a-f-]{36}", "VOLUME"),
        (r"(\d+\.){3}\d+", "IP"),
        (r"IP:\d+", "IP:PORT"),
        (r"/[\w./-]*\w", "PATH"),
        (r"PATH(, PATH)+", "PATH"),
    ];
    steps.iter().fold(text.to_owned(), |text, (pattern, name)| {
        Regex::new(pattern)
            .unwrap()
            .replace_all(&text, *name)
            .into_owned()
    })
}

/// The section of docs/operations.md under a heading.
fn section(heading: &str) -> &'static str {
    let start = format!("\n### {heading}\n");
    let (_, rest) = OPERATIONS.split_once(&start).expect("the section");
    rest.split("\n#").next().unwrap_or(rest)
}

/// Sees that a section quotes a message, whole.
///
/// # Panics
/// Where it does not.
pub fn quotes(heading: &str, message: &str) {
    let (wanted, section) = (bare(message), bare(section(heading)));
    assert!(
        section.contains(&wanted),
        "\"{heading}\" in docs/operations.md does not quote\n{wanted}\nbut says\n{section}"
    );
}

/// The first failure of a claim.
async fn failure(stage: &Stage, parts: &[&str]) -> String {
    let event = stage.event("data", "ProvisioningFailed", parts).await;
    event.message.unwrap_or_default()
}

async fn nfs_down_is_in_the_runbook(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    stage.world().turn(Part::Nfs, Turn::Off).await;
    let provisioner = stage.start();
    stage.claim("data", &class).await;
    let message = failure(&stage, &["could not reach"]).await;
    quotes("NFS down", &message);
    let line = "share does not answer; it is tried until it does";
    provisioner.log().says(&["WARN", line]).await;
    quotes("NFS down", line);
    stage.world().turn(Part::Nfs, Turn::On).await;
    stage.bound("data").await;
    provisioner.log().says(&["INFO", "share answers"]).await;
    quotes("NFS down", "share answers");
}

async fn a_wrong_path_is_in_the_runbook(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let share = Share {
        path: "/not/exported".to_owned(),
        ..stage.share().clone()
    };
    let _provisioner = stage.start_with(&stage.settings_for(&share));
    stage.claim("data", &class).await;
    let message = failure(&stage, &["/not/exported"]).await;
    // Some servers say ACCES, some NOENT.
    quotes(
        "Wrong path",
        &message.replace("MNT3ERR_NOENT", "MNT3ERR_ACCES"),
    );
}

async fn squashed_root_is_in_the_runbook(stage: Stage) {
    refused_mkdir(&stage, "Squashed root", nfsstat3::NFS3ERR_ACCES).await;
}

async fn a_full_share_is_in_the_runbook(stage: Stage) {
    refused_mkdir(&stage, "Share full", nfsstat3::NFS3ERR_NOSPC).await;
    quotes("Share full", "NFS3ERR_DQUOT");
}

/// The server refuses to make a directory, and takes that back when its event was found in the runbook.
async fn refused_mkdir(stage: &Stage, heading: &str, status: nfsstat3) {
    let faults = stage.world().double().unwrap().nfs_faults();
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    let rule = faults.fail(Procedure::MKDIR, status);
    stage.claim("data", &class).await;
    quotes(heading, &failure(stage, &["NFS3ERR"]).await);
    faults.clear(rule);
    stage.bound("data").await;
}

/// A process that may bind ports below 1024 cannot be made one that may not, so the client is told not to try.
async fn a_refused_port_is_in_the_runbook(stage: Stage) {
    let double = stage.world().double().unwrap();
    let share = stage.share();
    let target = Target {
        server: share.server.clone(),
        // As the server lists it: another path would have it list what there is.
        path: "/export".to_owned(),
        nfs_port: share.nfs_port,
        mount_port: share.mount_port,
    };
    let refusal = Effect::MountStatus(mountstat3::MNT3ERR_ACCES);
    double
        .nfs_faults()
        .inject(Rule::on(Procedure::MNT, refusal));
    let options = Options {
        reserved_port: false,
        ..Options::default()
    };
    let export = Export::new(target.clone(), options);
    let error = tokio::time::timeout(Duration::from_secs(20), export.fsstat())
        .await
        .expect("an answer")
        .unwrap_err();
    quotes(
        "Reserved port refused",
        &Failure::share(&target)(error).message(),
    );
}

async fn missing_rules_are_in_the_runbook(stage: Stage) {
    let rules = Rules::of(&stage).await;
    let class = stage.class("plain", json!({})).await;
    let provisioner = stage.start();
    stage.passed_by().await;
    let play = async {
        rules.forbid(&[("create", "persistentvolumes")]).await;
        stage.claim("data", &class).await;
        let message = failure(&stage, &["forbidden"]).await;
        let (_, reason) = message.split_once("\": ").unwrap();
        quotes("RBAC missing", reason);
        let named = ["permission missing", "create on persistentvolumes"];
        provisioner.log().says(&named).await;
        let line = provisioner.log().with_all(&named).remove(0);
        let (_, line) = line.split_once("WARN").unwrap();
        quotes("RBAC missing", &format!("WARN{line}"));
        rules.restore().await;
        stage.bound("data").await;
        quotes("RBAC missing", "permissions have changed");
    };
    rules.restored_after(play).await;
}

async fn a_class_that_is_gone_is_in_the_runbook(stage: Stage) {
    let class = stage.class_name("gone");
    let ours = json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-provisioner": stage.provisioner_name()}}});
    let provisioner = stage.start();
    stage
        .create(crate::fixtures::mk_claim_from("data", &class, ours))
        .await;
    quotes("Class gone", &failure(&stage, &["no such class"]).await);
    let kubernetes = format!("storageclass.storage.k8s.io \"{class}\" not found");
    quotes("Class gone", &kubernetes);
    stage.class("gone", json!({"onDelete": "delete"})).await;
    let volume = stage.bound("data").await;
    // What it made outlives it, and goes as it said.
    let one = kube::api::DeleteParams::default();
    stage.classes().delete(&class, &one).await.unwrap();
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    assert!(!stage.dir(&stage.dir_of(&volume)).exists());
    provisioner
        .log()
        .says(&["volume deleted", &name_of(&volume)])
        .await;
}

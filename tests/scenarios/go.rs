//! Ours and the Go provisioner itself, from one to the other and back: it deletes what ours made, ours deletes what it made, and they respect each other's lock.
//!
//! The Go program is not to be had as a package: built from its repository, it is named by `E2E_GO_PROVISIONER`. Its share is mounted for it as the kubelet would.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use serde_json::{Value, json};

use crate::expect::{eventually_within, until};
use crate::provisioner::{Provisioner, Settings};
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = vec![Scenario::of(
        each_deletes_what_the_other_made_by_the_same_rules,
    )];
    all.extend(Scenario::of(a_go_provisioner_at_work_is_respected).under_both_rights());
    let why = "the Go provisioner needs a directory of this machine";
    all.into_iter()
        .map(|scenario| scenario.only_on_real_parts(why).with_go())
        .collect()
}

/// The Go provisioner, built.
pub fn program() -> Option<PathBuf> {
    std::env::var_os("E2E_GO_PROVISIONER").map(PathBuf::from)
}

/// Where the Go provisioner looks for its share.
const MOUNT: &str = "/persistentvolumes";
/// Its lease, and one of our retry periods; on a machine that does much else besides.
const LEASE: Duration = Duration::from_secs(15 + 2 + 5);
/// It makes five requests a second, and asks for its class each time.
const CAP: Duration = Duration::from_secs(60);

/// As its Deployment starts it. It asks for more than our rules allow, so it may do everything.
fn start_go(stage: &Stage) -> Provisioner {
    std::fs::create_dir_all(MOUNT).expect("a place for the mount");
    let admin = stage.world().admin_kubeconfig();
    let settings = Settings::default()
        .program(program().expect("the Go provisioner"))
        .with_bind(&stage.share().dir, MOUNT)
        .with("KUBECONFIG", admin.display().to_string())
        .with("POD_NAMESPACE", stage.account().namespace)
        .with("PROVISIONER_NAME", stage.provisioner_name())
        .with("NFS_SERVER", &stage.share().server)
        .with("NFS_PATH", &stage.share().path);
    stage.start_with(&settings)
}

async fn go_leads(go: &Provisioner) {
    until("the Go provisioner leads", || {
        !go.log()
            .with_all(&["successfully acquired lease"])
            .is_empty()
    })
    .await;
}

/// Of each policy: a class's name and parameters.
fn policies() -> [(&'static str, Value); 5] {
    [
        ("gone", json!({"archiveOnDelete": "false"})),
        ("deleted", json!({"onDelete": "delete"})),
        ("kept", json!({"onDelete": "retain"})),
        ("archived", json!({"archiveOnDelete": "true"})),
        (
            "nested",
            json!({"pathPattern": "${.PVC.namespace}/${.PVC.name}"}),
        ),
    ]
}

/// A volume of each class, with something in it.
async fn make(stage: &Stage, classes: &[String], maker: &str) -> Vec<PersistentVolume> {
    let mut made = Vec::new();
    for (class, (policy, _)) in classes.iter().zip(policies()) {
        let claim = format!("{maker}-{policy}");
        stage.claim(&claim, class).await;
        let volume = stage.bound_within(CAP, &claim).await;
        let dir = stage.dir(&stage.dir_of(&volume));
        std::fs::write(dir.join("canary"), &claim).expect("a canary");
        made.push(volume);
    }
    made
}

/// The claims go, then the volumes; what is left is as the policies say, whoever was at work.
async fn unmake(stage: &Stage, made: &[PersistentVolume], maker: &str) {
    let dirs: Vec<_> = made.iter().map(|volume| stage.dir_of(volume)).collect();
    for (policy, _) in policies() {
        stage.delete_claim(&format!("{maker}-{policy}")).await;
    }
    for volume in made {
        let name = name_of(volume);
        eventually_within(CAP, format!("volume {name} is gone"), async || {
            let found = stage.volumes().get_opt(&name).await.expect("an answer");
            found.is_none().then_some(())
        })
        .await;
    }
    for ((policy, _), dir) in policies().into_iter().zip(&dirs) {
        let base = dir.rsplit('/').next().unwrap_or(dir);
        let archive = format!("archived-{base}");
        let left = match policy {
            "gone" | "deleted" => None,
            "kept" => Some(dir.as_str()),
            _ => Some(archive.as_str()),
        };
        for place in [dir.as_str(), &archive] {
            let canary = std::fs::read_to_string(stage.dir(place).join("canary")).ok();
            let expected = (left == Some(place)).then(|| format!("{maker}-{policy}"));
            assert_eq!(canary, expected, "{policy} of {maker} at {place}");
        }
    }
}

async fn each_deletes_what_the_other_made_by_the_same_rules(stage: Stage) {
    let mut classes = Vec::new();
    for (policy, parameters) in policies() {
        classes.push(stage.class(policy, parameters).await);
    }
    let ours = stage.start();
    let by_ours = make(&stage, &classes, "ours").await;
    assert_eq!(ours.stop().await.code(), Some(0));

    let go = start_go(&stage);
    // Ours has given its lock back.
    go_leads(&go).await;
    unmake(&stage, &by_ours, "ours").await;
    let by_go = make(&stage, &classes, "go").await;
    go.kill();

    let _ours = stage.start();
    unmake(&stage, &by_go, "go").await;
}

async fn a_go_provisioner_at_work_is_respected(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let go = start_go(&stage);
    go_leads(&go).await;
    let ours = stage.start();
    ours.log().says(&["standing by"]).await;
    stage.claim("first", &class).await;
    stage.bound_within(CAP, "first").await;
    let provisioned = ["INFO", "volume provisioned"];
    assert_eq!(ours.log().with_all(&provisioned), [""; 0]);
    go.kill();
    stage.claim("second", &class).await;
    stage.bound_within(LEASE, "second").await;
    assert_eq!(ours.log().with_all(&provisioned).len(), 1);
}

//! What the owner of a refused claim reads: `kubectl describe pvc`, by kubectl itself.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::expect::SOON;
use crate::fixtures::{mk_claim_from, mk_volume};
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::world::Real;

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario::of(kubectl_describe_of_a_refused_claim_names_cause_and_cure).with_kubectl()]
}

/// kubectl: the one that real parts name, else the one on the `PATH`.
pub fn program(real: Option<&Real>) -> Option<PathBuf> {
    if let Some(real) = real {
        return real.says("KUBECTL").map(PathBuf::from);
    }
    let folders = std::env::var_os("PATH")?;
    let mut programs = std::env::split_paths(&folders).map(|folder| folder.join("kubectl"));
    programs.find(|program| program.is_file())
}

/// A claim that is refused.
struct Row {
    name: String,
    /// Of its class.
    class: String,
    fields: Value,
    cause: &'static str,
    cure: &'static str,
}

async fn kubectl_describe_of_a_refused_claim_names_cause_and_cure(stage: Stage) {
    let mut rows = wanting_what_there_is_not(&stage).await;
    rows.extend(of_a_wrong_class(&stage).await);
    rows.extend(with_no_place(&stage).await);
    for row in &rows {
        let claim = mk_claim_from(&row.name, &row.class, row.fields.clone());
        stage.create(claim).await;
    }
    rows.push(whose_volume_s_name_is_taken(&stage).await);
    let _provisioner = stage.start();
    let kubectl = Kubectl::of(&stage);
    let ours = format!(" {}_", stage.provisioner_name());
    for row in rows {
        stage.event(&row.name, "ProvisioningFailed", &[]).await;
        let shown = kubectl.describe(&row.name).await;
        // The volume binder says that of a class that there is not, too.
        let mut lines = shown.lines();
        let line = lines.find(|line| line.contains("ProvisioningFailed") && line.contains(&ours));
        let line = line.unwrap_or_default();
        for part in ["Warning", row.cause, row.cure] {
            assert!(line.contains(part), "{part:?} is not in\n{shown}");
        }
    }
}

// --- the rows ---

async fn wanting_what_there_is_not(stage: &Stage) -> Vec<Row> {
    let class = stage.class("plain", json!({})).await;
    let row = |name: &str, spec: Value, cause, cure| Row {
        name: name.to_owned(),
        class: class.clone(),
        fields: json!({"spec": spec}),
        cause,
        cure,
    };
    vec![
        row(
            "selector",
            json!({"selector": {"matchLabels": {"disk": "fast"}}}),
            "claim Selector is not supported",
            "create the claim anew without spec.selector",
        ),
        row(
            "block",
            json!({"volumeMode": "Block"}),
            "does not support block volume provisioning",
            "create the claim anew with volumeMode: Filesystem",
        ),
        row(
            "copy",
            json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "other"}}),
            "filling a volume from PersistentVolumeClaim \"other\" is not supported",
            "create the claim anew without dataSource and dataSourceRef",
        ),
        row(
            "snapshot",
            json!({"dataSourceRef": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "monday"}}),
            "filling a volume from VolumeSnapshot \"monday\" is not supported",
            "create the claim anew without dataSource and dataSourceRef",
        ),
    ]
}

async fn of_a_wrong_class(stage: &Stage) -> Vec<Row> {
    let annotation = "volume.kubernetes.io/storage-provisioner";
    let ours = json!({"metadata": {"annotations": {annotation: stage.provisioner_name()}}});
    let row = |name: &str, class: String, cause, cure| Row {
        name: name.to_owned(),
        class,
        fields: ours.clone(),
        cause,
        cure,
    };
    vec![
        row(
            "gone",
            stage.class_name("gone"),
            "there is no such class",
            "create it, or create the claim anew with the name of one that exists",
        ),
        row(
            "unnamed",
            String::new(),
            "the claim names no class",
            "create it anew with spec.storageClassName",
        ),
        row(
            "port",
            stage.class("port", json!({"nfsPort": "many"})).await,
            "parameter \"nfsPort\" is \"many\"",
            "delete the class and create it anew",
        ),
    ]
}

async fn with_no_place(stage: &Stage) -> Vec<Row> {
    let mut rows = vec![Row {
        name: "l".repeat(230),
        class: stage.class("long", json!({})).await,
        fields: json!({}),
        cause: "limit is 255",
        cure: "give the claim a shorter name, or the class a pathPattern",
    }];
    let pattern = json!({"pathPattern": "${.PVC.annotations.path}"});
    let class = stage.class("pattern", pattern).await;
    for (name, path, cause) in [
        ("above", "../other", "leaves the share"),
        ("root", "/./", "the share itself"),
        (
            "hidden",
            ".nfs-subdir-external-provisioner/x",
            "belongs to the provisioner",
        ),
    ] {
        rows.push(Row {
            name: name.to_owned(),
            class: class.clone(),
            fields: json!({"metadata": {"annotations": {"path": path}}}),
            cause,
            cure: "change the labels or annotations that the pattern uses",
        });
    }
    rows
}

/// The claim and the volume are made: the volume's name is the claim's UID.
async fn whose_volume_s_name_is_taken(stage: &Stage) -> Row {
    let class = stage.class("taken", json!({})).await;
    let uid = stage.claim("taken", &class).await.metadata.uid.unwrap();
    let dir = format!("{}/by-hand", stage.share().path);
    let other = json!({"spec": {"claimRef": {"namespace": stage.namespace(), "name": "other"}}});
    let volume = mk_volume(&format!("pvc-{uid}"), &stage.share().server, &dir, other);
    stage.create_volume(volume).await;
    Row {
        name: "taken".to_owned(),
        class,
        fields: json!({}),
        cause: "is there already, for claim",
        cure: "delete that volume, or delete the claim and create it anew",
    }
}

// --- kubectl ---

/// kubectl, as somebody who may do everything.
struct Kubectl<'a> {
    stage: &'a Stage,
    /// It keeps what servers can do by their address, which other worlds had before.
    home: tempfile::TempDir,
}

impl<'a> Kubectl<'a> {
    fn of(stage: &'a Stage) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        Self { stage, home }
    }

    async fn describe(&self, claim: &str) -> String {
        let world = self.stage.world();
        let program = program(world.real()).expect("kubectl");
        let run = Command::new(program)
            .arg("--kubeconfig")
            .arg(world.admin_kubeconfig())
            .args(["--namespace", self.stage.namespace()])
            .args(["describe", "pvc", claim])
            .env("HOME", self.home.path())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(SOON, run).await;
        let output = output.expect("kubectl in time").expect("kubectl");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).expect("text")
    }
}

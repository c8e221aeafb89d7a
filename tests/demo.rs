//! `make demo` as somebody sees it: the example ends by itself, and shows what it promises; with `KEEP=1` it stays up and serves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panic"
)]

use std::env::consts::EXE_SUFFIX;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Config};
use rustix::process::{Pid, Signal, kill_process};

const CLAIMS: [&str; 3] = ["data-kafka-0", "data-kafka-1", "data-kafka-2"];
/// How long anything may take on a busy machine.
const CAP: Duration = Duration::from_secs(60);

/// A demo that stays up; killed when dropped.
struct Kept {
    child: Child,
    lines: Receiver<String>,
}

/// `cargo test` builds the examples beside the tests, but tells a test only where programs are. Where this target alone was asked for, it is built now.
fn demo() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_nfs-subdir-external-provisioner"));
    let profile = program.parent().expect("a directory");
    let example = profile.join("examples").join(format!("demo{EXE_SUFFIX}"));
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--quiet", "--locked", "--example", "demo"])
        .arg("--target-dir")
        .arg(profile.parent().expect("the target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo").success());
    example
}

/// The lines under a heading, up to the next one.
fn under<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let begin = text
        .find(heading)
        .unwrap_or_else(|| panic!("no {heading:?} in:\n{text}"));
    let lines = text[begin..].lines().skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}

fn count(lines: &[&str], parts: &[&str]) -> usize {
    let holds = |line: &&&str| parts.iter().all(|part| line.contains(part));
    lines.iter().filter(holds).count()
}

#[test]
fn the_demo_ends_by_itself_and_shows_claims_bound_one_deleted_and_one_archived() {
    let output = Command::new(demo())
        .env_remove("KEEP")
        .stdin(Stdio::null())
        .output()
        .expect("the demo");
    let text = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{told}");

    let runs: Vec<_> = text
        .split("Class nfs-client, archiveOnDelete ")
        .skip(1)
        .collect();
    assert_eq!(runs.len(), 2, "{text}");
    for (run, archive) in runs.iter().zip(["\"false\"", "\"true\""]) {
        assert!(run.starts_with(archive), "{run}");
        let made = under(run, archive);
        for claim in CLAIMS {
            assert_eq!(
                count(&made, &[claim, " Bound ", " pvc-", " 1Gi "]),
                1,
                "{run}"
            );
            assert_eq!(count(&made, &["777 default-", claim, "-pvc-"]), 1, "{run}");
        }
        assert_eq!(
            count(&made, &["Normal", "ProvisioningSucceeded"]),
            1,
            "{run}"
        );
        let left = under(run, "Claim data-kafka-2 deleted");
        assert_eq!(count(&left, &["777 default-data-kafka-0-pvc-"]), 1, "{run}");
        assert_eq!(count(&left, &["777 default-data-kafka-2-pvc-"]), 0, "{run}");
        let archives = usize::from(archive == "\"true\"");
        assert_eq!(
            count(&left, &["777 archived-default-data-kafka-2-pvc-"]),
            archives,
            "{run}"
        );
    }
}

// === impl Kept ===

impl Kept {
    fn start() -> Self {
        let mut child = Command::new(demo())
            .env("KEEP", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo");
        let told = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            // Over once the demo has ended, or nobody listens any more.
            let mut told = told.lines().map_while(Result::ok);
            told.try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The next line that begins so, without that.
    fn says(&self, start: &str) -> String {
        let end = Instant::now() + CAP;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|why| panic!("no line {start:?}: {why}"));
            if let Some(rest) = line.trim_start().strip_prefix(start) {
                return rest.trim().to_owned();
            }
        }
    }

    /// As by Ctrl-C.
    fn interrupt(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        // It holds its output for as long as it runs.
        let end = Instant::now() + CAP;
        let left = || end.saturating_duration_since(Instant::now());
        while self.lines.recv_timeout(left()).is_ok() {}
        assert!(!left().is_zero(), "still there {CAP:?} after the interrupt");
        self.child.wait().expect("a child")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // One that has ended is no failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn client(kubeconfig: &str) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a kubeconfig")).expect("a client")
}

/// Applies a claim as kubectl would in the kubeconfig's namespace; returns its volume once it is bound.
async fn bind(client: Client, claim: &PersistentVolumeClaim) -> PersistentVolume {
    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(client.clone());
    let made = claims.create(&PostParams::default(), claim).await;
    let name = made.expect("a claim").metadata.name.unwrap();
    let is_bound = |claim: Option<&PersistentVolumeClaim>| {
        let status = claim.and_then(|claim| claim.status.as_ref());
        status.and_then(|status| status.phase.as_deref()) == Some("Bound")
    };
    let bound = tokio::time::timeout(CAP, await_condition(claims, &name, is_bound)).await;
    let bound = bound.expect("in time").expect("a watch").unwrap();
    let volume = bound.spec.unwrap().volume_name.unwrap();
    let volumes: Api<PersistentVolume> = Api::all(client);
    volumes.get(&volume).await.expect("the volume")
}

#[tokio::test]
async fn a_demo_that_is_kept_serves_a_claim_from_outside_and_ends_well_when_interrupted() {
    let mut kept = Kept::start();
    kept.says("It stays up until Ctrl-C");
    let look = kept.says("look ");
    let apply = kept.says("claim ");
    let folder = kept.says("share ");

    // kubectl is not on every machine, so what is told to be typed is taken apart.
    let typed: Vec<_> = apply.split(' ').collect();
    let ["kubectl", "--kubeconfig", config, "apply", "-f", file] = typed[..] else {
        panic!("{apply}");
    };
    assert!(
        look.contains(&format!(" --kubeconfig {config} get ")),
        "{look}"
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(file).expect("the example");
    let claim: PersistentVolumeClaim = serde_yaml_ng::from_str(&text).expect("a claim");

    let volume = bind(client(config).await, &claim).await;
    let path = volume.spec.unwrap().nfs.unwrap().path;
    let dir = Path::new(&folder).join(path.rsplit('/').next().unwrap());
    assert!(dir.is_dir(), "{}", dir.display());

    assert_eq!(kept.interrupt().code(), Some(0));
    assert!(!Path::new(&folder).exists(), "{folder} is left behind");
}

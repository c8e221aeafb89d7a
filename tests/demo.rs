//! `make demo` as somebody sees it: the example ends by itself, and shows what it promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panic"
)]

use std::env::consts::EXE_SUFFIX;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const CLAIMS: [&str; 3] = ["data-kafka-0", "data-kafka-1", "data-kafka-2"];

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

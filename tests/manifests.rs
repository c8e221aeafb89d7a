//! What the manifests, the chart and the image say of each other: read off the files. That an API server takes them is for `make e2e`.

use std::fs;
use std::path::Path;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const IMAGE: &str = concat!(
    "nfs-subdir-external-provisioner:",
    env!("CARGO_PKG_VERSION")
);

fn read(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{}: {error}", whole.display()))
}

/// The values of `key: VALUE` lines.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| {
            line.trim_start_matches([' ', '-'])
                .strip_prefix(key)?
                .strip_prefix(':')
        })
        .map(|value| value.trim().trim_matches('"'))
        .collect()
}

#[test]
fn drop_in_differs_from_the_go_files_by_the_image_alone() {
    for file in ["class.yaml", "rbac.yaml", "deployment.yaml"] {
        let go = read(&format!("tests/golden/go-deploy/{file}"));
        let ours = read(&format!("manifests/drop-in/{file}"));
        let changed: Vec<_> = go
            .lines()
            .zip(ours.lines())
            .filter(|(go, ours)| go != ours)
            .collect();
        assert_eq!(go.lines().count(), ours.lines().count(), "{file}");
        let image = format!("          image: {IMAGE}");
        let expected: &[&str] = if file == "deployment.yaml" {
            &[&image]
        } else {
            &[]
        };
        assert_eq!(
            changed.iter().map(|(_, ours)| *ours).collect::<Vec<_>>(),
            expected,
            "{file}"
        );
    }
}

#[test]
fn tutorial_has_the_go_class_and_rules_to_the_letter() {
    for (ours, go) in [
        ("storageclass-nfs.yml", "class.yaml"),
        ("storageclass-nfs-rbac.yaml", "rbac.yaml"),
    ] {
        assert_eq!(
            read(&format!("manifests/tutorial/{ours}")),
            read(&format!("tests/golden/go-deploy/{go}")),
            "{ours}"
        );
    }
}

#[test]
fn every_file_names_the_image_of_this_version() {
    for file in [
        "manifests/base/deployment.yaml",
        "manifests/drop-in/deployment.yaml",
        "manifests/tutorial/deploy-nfs-client-provisioner.yml",
    ] {
        assert_eq!(values(&read(file), "image"), [IMAGE], "{file}");
    }
    assert!(read("Makefile").contains(&format!("IMAGE ?= {IMAGE}\n")));
    assert!(read("Dockerfile").contains(&format!("ARG VERSION={VERSION}\n")));
}

#[test]
fn the_rules_in_base_hold_all_of_the_go_provisioners() {
    let rules = |text: String| -> Vec<(String, Vec<String>)> {
        let resources = values(&text, "resources");
        let verbs = values(&text, "verbs");
        let words = |list: &str| {
            list.split(['[', ']', ',', ' ', '"'])
                .filter(|word| !word.is_empty())
                .map(ToOwned::to_owned)
                .collect()
        };
        assert_eq!(resources.len(), verbs.len());
        resources
            .into_iter()
            .map(ToOwned::to_owned)
            .zip(verbs.into_iter().map(words))
            .collect()
    };
    let ours = rules(read("manifests/base/rbac.yaml"));
    let go = rules(read("tests/golden/go-deploy/rbac.yaml"));
    assert!(go.len() > 5, "{go:?}");
    for (resource, verbs) in go {
        for verb in verbs {
            assert!(
                ours.iter()
                    .any(|(name, may)| *name == resource && may.contains(&verb)),
                "{verb} {resource}"
            );
        }
    }
}

//! What the manifests, the chart and the image say of each other: read off the files. That an API server takes them is for `make e2e`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panic"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const IMAGE: &str = concat!(
    "nfs-subdir-external-provisioner:",
    env!("CARGO_PKG_VERSION")
);

fn read(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{}: {error}", whole.display()))
}

/// All objects of a file.
fn objects(path: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(&read(path))
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|object| !object.is_null())
        .collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

fn kind_and_name(object: &Value) -> String {
    format!("{} {}", object["kind"], object["metadata"]["name"])
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

/// Comments apart, of which the copy has others.
#[test]
fn the_rules_that_the_tests_run_under_are_the_gos() {
    let go = objects("tests/golden/go-deploy/rbac.yaml");
    assert_eq!(go.len(), 5);
    assert_eq!(objects("e2e/testdata/go-rbac.yaml"), go);
}

/// So that `kubectl apply` of ours over the Go project's changes its objects, and leaves none of them beside ours.
#[test]
fn base_has_the_gos_objects_under_its_names_and_what_cannot_be_changed_of_them() {
    const FILES: [&str; 3] = ["class.yaml", "rbac.yaml", "deployment.yaml"];
    // What the API server lets nobody change, and what finds the pods.
    const KEPT: [&str; 7] = [
        "/apiVersion",
        "/metadata/labels/app",
        "/provisioner",
        "/parameters",
        "/roleRef",
        "/spec/selector",
        "/spec/template/metadata/labels",
    ];
    let all = |folder: &str| {
        let files = FILES.iter();
        let mut all: Vec<_> = files
            .flat_map(|file| objects(&format!("{folder}/{file}")))
            .collect();
        all.sort_by_key(kind_and_name);
        all
    };
    let (go, ours) = (all("tests/golden/go-deploy"), all("manifests/base"));
    let names = |objects: &[Value]| objects.iter().map(kind_and_name).collect::<Vec<_>>();
    let expected = [
        "\"ClusterRole\" \"nfs-client-provisioner-runner\"",
        "\"ClusterRoleBinding\" \"run-nfs-client-provisioner\"",
        "\"Deployment\" \"nfs-client-provisioner\"",
        "\"Role\" \"leader-locking-nfs-client-provisioner\"",
        "\"RoleBinding\" \"leader-locking-nfs-client-provisioner\"",
        "\"ServiceAccount\" \"nfs-client-provisioner\"",
        "\"StorageClass\" \"nfs-client\"",
    ];
    assert_eq!(names(&go), expected);
    assert_eq!(names(&ours), expected);
    let mut kept = 0;
    for (go, ours) in go.iter().zip(&ours) {
        for field in KEPT {
            if let Some(value) = go.pointer(field) {
                assert_eq!(Some(value), ours.pointer(field), "{}", kind_and_name(go));
                kept += 1;
            }
        }
        assert_eq!(
            ours["metadata"]["labels"]["app"],
            "nfs-client-provisioner",
            "{}",
            kind_and_name(ours)
        );
    }
    assert!(kept > go.len() + 5, "{kept}");
    let container = |all: &[Value]| {
        let deployment = of_kind(all, "Deployment")[0].clone();
        deployment["spec"]["template"]["spec"]["containers"][0]["name"].clone()
    };
    assert_eq!(container(&go), container(&ours));
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
    assert!(read("CHANGELOG.md").contains(&format!("\n## {VERSION}\n")));
    let chart = read("charts/nfs-subdir-external-provisioner/Chart.yaml");
    assert_eq!(values(&chart, "appVersion"), [VERSION]);
}

/// That `manifests/base/rbac.yaml` has what is used and nothing else is held by `controller::access`.
#[test]
fn the_rules_name_the_lock_of_the_provisioner_beside_them() {
    let base = [
        objects("manifests/base/rbac.yaml"),
        objects("manifests/base/deployment.yaml"),
    ];
    let charts = ["default", "options", "everything"]
        .map(|record| objects(&format!("tests/chart/{record}.yaml")));
    let mut locks = BTreeSet::new();
    for all in [base.concat()].into_iter().chain(charts) {
        let container =
            &of_kind(&all, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0];
        let environment = container["env"].as_array().unwrap();
        let name = environment
            .iter()
            .find(|variable| variable["name"] == "PROVISIONER_NAME");
        let lock = name.unwrap()["value"].as_str().unwrap().replace('/', "-");
        let rules = of_kind(&all, "Role")[0]["rules"]
            .as_array()
            .unwrap()
            .clone();
        let told: Vec<_> = rules
            .iter()
            .filter(|rule| rule["resourceNames"].is_array())
            .map(|rule| (&rule["resources"][0], &rule["resourceNames"]))
            .collect();
        let only = serde_json::json!([lock]);
        assert_eq!(
            told,
            [(&"endpoints".into(), &only), (&"leases".into(), &only)],
            "{lock}"
        );
        locks.insert(lock);
    }
    assert!(locks.len() > 1, "{locks:?}");
}

/// `tests/chart/*.yaml` is what the chart renders: `e2e/chart.sh` holds it to that.
#[test]
fn the_chart_makes_the_go_charts_objects_under_their_names_but_for_its_own_volume() {
    for record in ["default", "options"] {
        let go = objects(&format!("tests/golden/go-chart/rendered-{record}.yaml"));
        let ours = objects(&format!("tests/chart/{record}.yaml"));
        let names = |objects: &[Value]| {
            let mut names: Vec<_> = objects.iter().map(kind_and_name).collect();
            names.retain(|name| !name.starts_with("\"PersistentVolume"));
            names.sort();
            names
        };
        assert!(go.len() >= 7, "{record}");
        assert_eq!(names(&go), names(&ours), "{record}");
    }
}

#[test]
fn the_chart_changes_nothing_that_an_upgrade_from_the_go_chart_cannot() {
    for record in ["default", "options"] {
        let go = objects(&format!("tests/golden/go-chart/rendered-{record}.yaml"));
        let ours = objects(&format!("tests/chart/{record}.yaml"));
        let the = |objects, kind| of_kind(objects, kind)[0].clone();
        for field in [
            "provisioner",
            "parameters",
            "reclaimPolicy",
            "volumeBindingMode",
            "mountOptions",
            "allowVolumeExpansion",
        ] {
            assert_eq!(
                the(&go, "StorageClass")[field],
                the(&ours, "StorageClass")[field],
                "{record}: {field}"
            );
        }
        let (go_deployment, deployment) = (the(&go, "Deployment"), the(&ours, "Deployment"));
        assert_eq!(
            go_deployment["spec"]["selector"], deployment["spec"]["selector"],
            "{record}"
        );
        assert_eq!(
            go_deployment["spec"]["template"]["metadata"]["labels"],
            deployment["spec"]["template"]["metadata"]["labels"],
            "{record}"
        );
        for kind in ["ClusterRoleBinding", "RoleBinding"] {
            assert_eq!(
                the(&go, kind)["roleRef"],
                the(&ours, kind)["roleRef"],
                "{record}: {kind}"
            );
        }
    }
}

#[test]
fn the_charts_environment_holds_all_of_the_go_charts() {
    for record in ["default", "options"] {
        let environment = |path: &str| {
            let deployment = of_kind(&objects(path), "Deployment")[0].clone();
            deployment["spec"]["template"]["spec"]["containers"][0]["env"]
                .as_array()
                .unwrap()
                .clone()
        };
        let ours = environment(&format!("tests/chart/{record}.yaml"));
        let go = environment(&format!("tests/golden/go-chart/rendered-{record}.yaml"));
        assert!(go.len() >= 3, "{record}");
        for variable in go {
            assert!(ours.contains(&variable), "{record}: {variable}");
        }
    }
}

#[test]
fn the_charts_rules_are_those_in_base() {
    let rules = |path: &str, kind: &str| {
        let mut rules = of_kind(&objects(path), kind)[0]["rules"].clone();
        for rule in rules.as_array_mut().into_iter().flatten() {
            if let Some(names) = rule.get_mut("resourceNames") {
                *names = "the lock".into();
            }
        }
        rules
    };
    for kind in ["ClusterRole", "Role"] {
        let base = rules("manifests/base/rbac.yaml", kind);
        assert!(base.as_array().is_some_and(|rules| !rules.is_empty()));
        assert_eq!(base, rules("tests/chart/default.yaml", kind), "{kind}");
    }
}

#[test]
fn the_charts_pod_is_as_confined_as_the_one_in_base() {
    let pod =
        |path: &str| of_kind(&objects(path), "Deployment")[0]["spec"]["template"]["spec"].clone();
    let (base, chart) = (
        pod("manifests/base/deployment.yaml"),
        pod("tests/chart/default.yaml"),
    );
    assert!(base["securityContext"].is_object());
    assert_eq!(base["securityContext"], chart["securityContext"]);
    for field in [
        "securityContext",
        "livenessProbe",
        "readinessProbe",
        "resources",
    ] {
        assert_eq!(
            base["containers"][0][field], chart["containers"][0][field],
            "{field}"
        );
    }
}

#[test]
fn every_value_of_the_go_chart_is_a_value_of_this_one() {
    fn missing(go: &Value, ours: &Value, at: &str, found: &mut Vec<String>) {
        for (key, value) in go.as_object().into_iter().flatten() {
            match ours.get(key) {
                Some(ours) => missing(value, ours, &format!("{at}.{key}"), found),
                None => found.push(format!("{at}.{key}")),
            }
        }
    }
    let go = objects("tests/golden/go-chart/values.yaml").remove(0);
    let ours = objects("charts/nfs-subdir-external-provisioner/values.yaml").remove(0);
    assert!(go.as_object().is_some_and(|values| values.len() > 15));
    let mut found = Vec::new();
    missing(&go, &ours, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}

/// The lines of a text's fenced blocks, without what stands behind them as a comment.
fn commands(text: &str) -> Vec<&str> {
    let blocks = text.split("\n```").skip(1).step_by(2);
    blocks
        .flat_map(|block| block.lines().skip(1))
        .map(|line| line.split("  #").next().unwrap_or(line).trim_end())
        .collect()
}

#[test]
fn both_quick_starts_have_the_same_commands() {
    let (english, chinese) = (read("docs/quickstart.md"), read("docs/quickstart.zh.md"));
    assert!(commands(&english).len() > 30);
    assert_eq!(commands(&english), commands(&chinese));
    // Beside the blocks: what is to be done on clusters of control-plane nodes only, with the other image, and in the end.
    for told in [
        "kubectl describe nodes | grep Taints",
        "manifests/tutorial-control-plane",
        "kubectl apply -k manifests/kafka/control-plane",
        "kubectl apply -k manifests/kafka/doughgle",
        r#"--overrides='{"spec":{"tolerations":[{"key":"node-role.kubernetes.io/control-plane","operator":"Exists"}]}}'"#,
        "operations.md#taking-the-provisioner-away",
    ] {
        assert!(english.contains(told), "{told}");
        assert!(chinese.contains(told), "{told}");
    }
}

/// The others are made to, by the component `manifests/control-plane`.
#[test]
fn what_the_quick_start_runs_once_tolerates_the_control_planes_taint() {
    let pod = objects("manifests/examples/pod.yaml").remove(0)["spec"].clone();
    let job = objects("manifests/kafka/smoke/job.yaml").remove(0);
    for pod in [pod, job["spec"]["template"]["spec"].clone()] {
        assert_eq!(
            pod["tolerations"][0]["key"],
            "node-role.kubernetes.io/control-plane"
        );
    }
    for folder in ["tutorial-control-plane", "kafka/control-plane"] {
        let whole = read(&format!("manifests/{folder}/kustomization.yaml"));
        assert!(whole.contains("/control-plane\n"), "{folder}");
    }
}

/// The address in the policy is that of the server: who sets the one has to set the other.
#[test]
fn the_kustomization_that_is_told_opens_the_way_to_the_server_that_it_names() {
    let text = read("manifests/README.md");
    let told = text.split("```").nth(1).unwrap().trim_start_matches("yaml");
    let told: Value = serde_yaml_ng::from_str(told).unwrap();
    let set = |kind: &str, path: &str| -> String {
        let patches = told["patches"].as_array().unwrap();
        let patch = patches.iter().find(|patch| patch["target"]["kind"] == kind);
        let lines = patch.unwrap()["patch"].as_str().unwrap();
        let operations: Vec<Value> = serde_yaml_ng::from_str(lines).unwrap();
        let operation = operations.iter().find(|one| one["path"] == path);
        operation.unwrap()["value"].as_str().unwrap().to_owned()
    };
    let server = set("Deployment", "/spec/template/spec/containers/0/env/1/value");
    let cidr = "/spec/egress/1/to/0/ipBlock/cidr";
    assert_eq!(set("NetworkPolicy", cidr), format!("{server}/32"));
    let policy = objects("manifests/network-policy/networkpolicy.yaml").remove(0);
    assert!(policy.pointer(cidr).is_some());
    let base = objects("manifests/base/deployment.yaml").remove(0);
    let variables = base["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    assert_eq!(variables[1]["name"], "NFS_SERVER");
}

#[test]
fn a_budget_keeps_no_unready_pod_on_a_node() {
    let mut budgets = objects("manifests/ha/pdb.yaml");
    budgets.extend(objects("tests/chart/everything.yaml"));
    let budgets = of_kind(&budgets, "PodDisruptionBudget");
    assert_eq!(budgets.len(), 2);
    for budget in budgets {
        assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    }
}

//! kubectl against the double. Needs kubectl on the PATH; without it these tests say so and check nothing, unless
//! `REQUIRE_KUBECTL` is set.

use std::process::{Command, Output};

use testkit::api::{Options, Server, User};

const OBJECTS: &str = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: nfs-client}
provisioner: x.io/y
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  storageClassName: nfs-client
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
";

struct Kubectl {
    server: Server,
    folder: tempfile::TempDir,
}

impl Kubectl {
    fn new() -> Option<Self> {
        if Command::new("kubectl").arg("help").output().is_err() {
            assert!(std::env::var_os("REQUIRE_KUBECTL").is_none(), "no kubectl");
            eprintln!("no kubectl on the PATH: nothing is checked");
            return None;
        }
        let server = Server::start(Options::default()).expect("start");
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("objects.yaml"), OBJECTS).expect("written");
        std::fs::write(
            folder.path().join("config"),
            server.kubeconfig(User::admin()),
        )
        .expect("written");
        Some(Self { server, folder })
    }

    fn output(&self, arguments: &str) -> Output {
        Command::new("kubectl")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env("KUBECONFIG", "config")
            .env("HOME", self.folder.path())
            .output()
            .expect("kubectl runs")
    }

    /// What it prints; it must end well.
    fn run(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }
}

#[test]
fn kubectl_applies_shows_describes_and_deletes() {
    let Some(kubectl) = Kubectl::new() else {
        return;
    };
    let applied = kubectl.run("apply -f objects.yaml");
    assert!(
        applied.contains("persistentvolumeclaim/data created"),
        "{applied}"
    );
    let applied = kubectl.run("apply -f objects.yaml");
    assert!(
        applied.contains("persistentvolumeclaim/data unchanged"),
        "{applied}"
    );

    let shown = kubectl.run("get pvc,pv,sc,events");
    for word in [
        "STORAGECLASS",
        "PROVISIONER",
        "x.io/y",
        "Pending",
        "ExternalProvisioning",
    ] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    let described = kubectl.run("describe pvc data");
    for word in [
        "Status:        Pending",
        "kubernetes.io/pvc-protection",
        "ExternalProvisioning",
    ] {
        assert!(described.contains(word), "{word} in {described}");
    }
    kubectl.run("label pvc data a=b");
    assert_eq!(
        kubectl.run("get pvc -l a=b -o name").trim(),
        "persistentvolumeclaim/data"
    );
    kubectl.run("delete pvc data");
    kubectl.run("delete -f objects.yaml --ignore-not-found");
    assert_eq!(kubectl.server.list("storageclasses").len(), 0);
}

#[test]
fn kubectl_is_told_of_a_field_that_there_is_not() {
    let Some(kubectl) = Kubectl::new() else {
        return;
    };
    let wrong = OBJECTS.replace("accessModes", "accessMode");
    std::fs::write(kubectl.folder.path().join("wrong.yaml"), wrong).unwrap();
    let output = kubectl.output("apply -f wrong.yaml");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        errors.contains("unknown field \"spec.accessMode\""),
        "{errors}"
    );
}

#[test]
fn kubeconfig_of_an_account_is_subject_to_its_rules() {
    let Some(kubectl) = Kubectl::new() else {
        return;
    };
    let user = User::service_account("default", "stranger");
    std::fs::write(
        kubectl.folder.path().join("stranger"),
        kubectl.server.kubeconfig(user),
    )
    .unwrap();
    let output = kubectl.output("--kubeconfig stranger get pv");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("User \"system:serviceaccount:default:stranger\" cannot list resource \"persistentvolumes\""), "{errors}");
}

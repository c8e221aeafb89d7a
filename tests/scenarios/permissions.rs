//! Rules that are missing, come, and go while the process runs.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::expect::{eventually_within, until};
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(rules_that_are_missing_are_named_and_adding_them_cures_without_a_restart)
            .with_less_rights(),
        Scenario::of(a_rule_taken_away_is_named_and_giving_it_back_cures_without_a_restart)
            .with_less_rights(),
        Scenario::of(a_finalizer_that_cannot_be_taken_off_is_said_and_goes_when_it_can)
            .with_own_rights()
            .with_less_rights(),
        Scenario::of(without_election_nothing_is_said_or_asked_about_a_lock),
    ]
}

/// Backoff and the pause between two questions, and some.
const CAP: Duration = Duration::from_secs(60);

/// The cluster-wide rules of the account that the provisioner runs as.
pub struct Rules {
    roles: Api<ClusterRole>,
    role: ClusterRole,
}

// === impl Rules ===

impl Rules {
    /// Those of the account.
    pub async fn of(stage: &Stage) -> Self {
        let bindings: Api<ClusterRoleBinding> = Api::all(stage.client());
        let bindings = bindings.list(&ListParams::default()).await.unwrap();
        let account = stage.account();
        let binding = bindings.into_iter().find(|binding| {
            let mut subjects = binding.subjects.iter().flatten();
            subjects.any(|subject| {
                subject.kind == "ServiceAccount"
                    && subject.namespace.as_ref() == Some(&account.namespace)
                    && subject.name == "nfs-client-provisioner"
            })
        });
        let roles: Api<ClusterRole> = Api::all(stage.client());
        let role = roles.get(&binding.unwrap().role_ref.name).await.unwrap();
        Self { roles, role }
    }

    /// Takes these verbs on these resources away.
    pub async fn forbid(&self, rows: &[(&str, &str)]) {
        let mut rules = self.role.rules.clone().unwrap();
        for rule in &mut rules {
            let resources = rule.resources.clone().unwrap_or_default();
            rule.verbs.retain(|verb| {
                !rows
                    .iter()
                    .any(|(gone, resource)| verb == gone && resources == [*resource])
            });
        }
        rules.retain(|rule| !rule.verbs.is_empty());
        self.put(json!(rules)).await;
    }

    /// As they were.
    pub async fn restore(&self) {
        self.put(json!(self.role.rules)).await;
    }

    async fn put(&self, rules: serde_json::Value) {
        let (params, patch) = (
            PatchParams::default(),
            Patch::Merge(json!({"rules": rules})),
        );
        let name = name_of(&self.role);
        let patched = self.roles.patch(&name, &params, &patch).await;
        patched.expect("the role");
    }

    /// Plays something that takes rules away, and puts them back whatever comes of it.
    pub async fn restored_after(&self, play: impl Future<Output = ()>) {
        let outcome = AssertUnwindSafe(play).catch_unwind().await;
        self.restore().await;
        outcome.unwrap_or_else(|panic| resume_unwind(panic));
    }
}

async fn rules_that_are_missing_are_named_and_adding_them_cures_without_a_restart(stage: Stage) {
    let rules = Rules::of(&stage).await;
    let class = stage.class("plain", json!({})).await;
    let play = async {
        rules
            .forbid(&[("create", "persistentvolumes"), ("create", "events")])
            .await;
        let provisioner = stage.start();
        for missing in ["create on persistentvolumes", "create on events"] {
            let says = [
                "WARN",
                "permission missing",
                missing,
                "add it to the service account's role",
            ];
            provisioner.log().says(&says).await;
        }
        stage.claim("data", &class).await;
        let says = [
            "ERROR",
            "provisioning failed",
            "forbidden",
            "grant it to the service account",
        ];
        provisioner.log().says(&says).await;
        assert_eq!(stage.events("data").await, []);
        rules.restore().await;
        stage.bound_within(CAP, "data").await;
        provisioner
            .log()
            .says(&["INFO", "permissions have changed"])
            .await;
        // Only a new answer opens the way for events.
        stage.claim("more", &class).await;
        stage
            .event_within(CAP, "more", "ProvisioningSucceeded", &[])
            .await;
    };
    rules.restored_after(play).await;
}

async fn a_rule_taken_away_is_named_and_giving_it_back_cures_without_a_restart(stage: Stage) {
    let rules = Rules::of(&stage).await;
    let class = stage.class("plain", json!({})).await;
    let provisioner = stage.start();
    stage.passed_by().await;
    assert_eq!(provisioner.log().with_all(&["permission missing"]), [""; 0]);
    let play = async {
        rules.forbid(&[("create", "persistentvolumes")]).await;
        stage.claim("data", &class).await;
        let parts = [
            "cannot create the PersistentVolume",
            "forbidden",
            "grant it to the service account",
        ];
        stage.event("data", "ProvisioningFailed", &parts).await;
        let says = ["WARN", "permission missing", "create on persistentvolumes"];
        provisioner.log().says(&says).await;
        rules.restore().await;
        stage.bound_within(CAP, "data").await;
    };
    rules.restored_after(play).await;
}

fn has_finalizer(volume: &PersistentVolume) -> bool {
    let ours = "external-provisioner.volume.kubernetes.io/finalizer";
    let finalizers = volume.metadata.finalizers.iter().flatten();
    finalizers.into_iter().any(|name| name == ours)
}

async fn a_finalizer_that_cannot_be_taken_off_is_said_and_goes_when_it_can(stage: Stage) {
    let rules = Rules::of(&stage).await;
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    assert!(has_finalizer(&volume));
    let play = async {
        rules
            .forbid(&[
                ("patch", "persistentvolumes"),
                ("update", "persistentvolumes"),
            ])
            .await;
        stage.delete_claim("data").await;
        let name = name_of(&volume);
        let parts = [
            "cannot remove the finalizer of the PersistentVolume",
            "forbidden",
            "grant it",
        ];
        stage.event(&name, "VolumeFailedDelete", &parts).await;
        // Its data is gone all the same, and nothing but the finalizer holds the object.
        assert!(!stage.dir(&stage.dir_of(&volume)).exists());
        let now = stage.volumes().get(&name).await.unwrap();
        assert!(now.metadata.deletion_timestamp.is_some());
        // From here on no volume gets what could not be taken off it.
        provisioner.log().says(&["volume finalizer left off"]).await;
        assert!(!has_finalizer(&stage.provision("meanwhile", &class).await));
        rules.restore().await;
        eventually_within(CAP, "the volume is gone", async || {
            let found = stage.volumes().get_opt(&name).await.ok()?;
            found.is_none().then_some(())
        })
        .await;
        until("the rule is seen to be back", || {
            provisioner
                .log()
                .with_all(&["permissions have changed"])
                .len()
                == 2
        })
        .await;
        assert!(has_finalizer(&stage.provision("after", &class).await));
    };
    rules.restored_after(play).await;
}

async fn without_election_nothing_is_said_or_asked_about_a_lock(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let settings = stage.settings().with("ENABLE_LEADER_ELECTION", "false");
    let provisioner = stage.start_with(&settings);
    stage.provision("data", &class).await;
    for word in [
        "lease",
        "Lease",
        "endpoints",
        "Endpoints",
        "lock",
        "leading",
        "in namespace",
    ] {
        assert_eq!(provisioner.log().with_all(&[word]), [""; 0], "{word}");
    }
}

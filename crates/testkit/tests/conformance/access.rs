//! Who may do what: RBAC rules, refusals, and reviews of one's own access. The rules are the Go provisioner's own file.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::world::{Refusal, World, on_both};

const RULES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/golden/go-deploy/rbac.yaml"
));
const ACCOUNT: &str = "nfs-client-provisioner";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Puts the rules there, its names and namespaces made this test's own.
async fn grant(world: &World) {
    let rules = RULES
        .replace(
            "namespace: default",
            &format!("namespace: {}", world.namespace),
        )
        .replace("nfs-client-provisioner-runner", &world.name("runner"))
        .replace("run-nfs-client-provisioner", &world.name("run"));
    for document in serde_yaml_ng::Deserializer::from_str(&rules) {
        let object = Value::deserialize(document).expect("YAML");
        let local = format!("{RBAC}/namespaces/{}", world.namespace);
        let path = match object["kind"].as_str().expect("kind") {
            "ClusterRole" => format!("{RBAC}/clusterroles"),
            "ClusterRoleBinding" => format!("{RBAC}/clusterrolebindings"),
            "Role" => format!("{local}/roles"),
            "RoleBinding" => format!("{local}/rolebindings"),
            _ => continue,
        };
        world.post(&path, object).await.expect("granted");
    }
}

async fn revoke(world: &World) {
    for (plural, word) in [("clusterroles", "runner"), ("clusterrolebindings", "run")] {
        let path = format!("{RBAC}/{plural}/{}", world.name(word));
        world.delete(&path, Value::Null).await.expect("revoked");
    }
}

async fn may(world: &World, verb: &str, group: &str, resource: &str, namespace: &str) -> bool {
    let asked = json!({"verb": verb, "group": group, "resource": resource, "namespace": namespace});
    let review = json!({"spec": {"resourceAttributes": asked}});
    let answer = world.post(REVIEWS, review).await.expect("review");
    answer["status"]["allowed"].as_bool().expect("allowed")
}

#[tokio::test]
async fn stranger_is_refused_in_the_real_words() {
    on_both(|world| async move {
        let stranger = world.as_account("stranger").await;
        let space = world.namespace.as_str();
        let user = format!("User \"system:serviceaccount:{space}:stranger\"");
        let here = format!("in the namespace \"{space}\"");
        let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{space}/leases");
        let body = json!({"metadata": {"name": "x"}});
        for (got, words) in [
            (
                stranger.get("/api/v1/persistentvolumes").await,
                format!("persistentvolumes is forbidden: {user} cannot list resource \"persistentvolumes\" in API group \"\" at the cluster scope"),
            ),
            (
                stranger.get("/api/v1/persistentvolumes/x").await,
                format!("persistentvolumes \"x\" is forbidden: {user} cannot get resource \"persistentvolumes\" in API group \"\" at the cluster scope"),
            ),
            (
                stranger.merge("/api/v1/persistentvolumes/x/status", json!({})).await,
                format!("persistentvolumes \"x\" is forbidden: {user} cannot patch resource \"persistentvolumes/status\" in API group \"\" at the cluster scope"),
            ),
            (
                stranger.post(&leases, body).await,
                format!("leases.coordination.k8s.io is forbidden: {user} cannot create resource \"leases\" in API group \"coordination.k8s.io\" {here}"),
            ),
            (
                stranger.get(&world.local("configmaps?watch=1")).await,
                format!("configmaps is forbidden: {user} cannot watch resource \"configmaps\" in API group \"\" {here}"),
            ),
            (
                stranger.delete(&world.local("configmaps"), Value::Null).await,
                format!("configmaps is forbidden: {user} cannot deletecollection resource \"configmaps\" in API group \"\" {here}"),
            ),
            (
                stranger.get("/metrics").await,
                format!("forbidden: {user} cannot get path \"/metrics\""),
            ),
        ] {
            assert_eq!(got.unwrap_err(), Refusal::new(403, "Forbidden", &words));
        }
        assert!(stranger.get("/version").await.is_ok());
        assert!(stranger.get("/apis/storage.k8s.io/v1").await.is_ok(), "discovery is for all");
        assert!(!may(&stranger, "get", "", "pods", space).await);
    })
    .await;
}

#[tokio::test]
async fn go_provisioners_rules_allow_what_they_say_and_no_more() {
    on_both(|world| async move {
        let account = world.as_account(ACCOUNT).await;
        grant(&world).await;
        let space = world.namespace.clone();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        // A real authorizer learns of new rules through a watch.
        while !(may(&account, "create", "", "endpoints", &space).await
            && may(&account, "watch", "", "nodes", "").await)
        {
            tick.tick().await;
        }
        for (verb, group, resource, namespace, expected) in [
            ("create", "", "persistentvolumes", "", true),
            ("delete", "", "persistentvolumes", "", true),
            ("update", "", "persistentvolumes", "", false),
            ("patch", "", "persistentvolumes", "", false),
            ("update", "", "persistentvolumeclaims", "other", true),
            ("patch", "", "persistentvolumeclaims", "other", false),
            ("watch", "storage.k8s.io", "storageclasses", "", true),
            ("watch", "", "storageclasses", "", false),
            ("patch", "", "events", "other", true),
            ("list", "", "events", "other", false),
            ("update", "", "endpoints", &space, true),
            ("update", "", "endpoints", "other", false),
            ("update", "", "endpoints", "", false),
            ("create", "coordination.k8s.io", "leases", &space, false),
        ] {
            let got = may(&account, verb, group, resource, namespace).await;
            assert_eq!(got, expected, "{verb} {resource}.{group} in {namespace:?}");
        }
        let classes = account.get("/apis/storage.k8s.io/v1/storageclasses").await;
        assert!(classes.is_ok());
        let lock = json!({"metadata": {"name": "lock"}});
        account.post(&world.local("endpoints"), lock).await.unwrap();
        let refused = account
            .delete(&world.local("endpoints/lock"), Value::Null)
            .await
            .unwrap_err();
        assert_eq!(refused.code, 403);
        revoke(&world).await;
    })
    .await;
}

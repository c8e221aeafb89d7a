//! Single objects: creation, refusals, updates, deletion.

use serde_json::{Value, json};

use super::world::{Refusal, on_both, version};

fn mk_claim(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "none",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    })
}

fn mk_volume(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"],
            "nfs": {"server": "127.0.0.1", "path": "/data/x", "readOnly": false},
            "storageClassName": "none",
        },
    })
}

#[tokio::test]
async fn created_object_gets_its_identity() {
    on_both(|world| async move {
        let path = world.local("configmaps");
        let made = world
            .post(&path, json!({"metadata": {"generateName": "g-"}}))
            .await
            .unwrap();
        let name = made["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with("g-") && name.len() == 7, "{name}");
        assert_eq!(made["metadata"]["uid"].as_str().unwrap().len(), 36);
        assert_eq!(made["metadata"]["namespace"], world.namespace.as_str());
        assert_eq!(made["kind"], "ConfigMap");
        assert!(
            made["metadata"]["creationTimestamp"]
                .as_str()
                .unwrap()
                .ends_with('Z')
        );
        let read = world.get(&format!("{path}/{name}")).await.unwrap();
        assert_eq!(version(&read), version(&made));
    })
    .await;
}

#[tokio::test]
async fn refusals_are_worded_as_the_real_server_words_them() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let map = format!("{maps}/a");
        let elsewhere = "/api/v1/namespaces/no-such/configmaps";
        world.post(&maps, json!({"metadata": {"name": "a"}})).await.unwrap();
        let modified = "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again";
        let nameless = "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required";
        let named = json!({"metadata": {"name": "a"}});
        let not_found = "the server could not find the requested resource";
        let no_method = "the server does not allow this method on the requested resource";
        let strict = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"bogus\"";
        for (case, got, code, reason, message) in [
            (
                "get of nothing",
                world.get(&format!("{maps}/none")).await,
                404, "NotFound", "configmaps \"none\" not found",
            ),
            (
                "create twice",
                world.post(&maps, named.clone()).await,
                409, "AlreadyExists", "configmaps \"a\" already exists",
            ),
            (
                "create without a name",
                world.post(&maps, json!({"metadata": {}})).await,
                422, "Invalid", nameless,
            ),
            (
                "create in a namespace that is not there",
                world.post(elsewhere, named.clone()).await,
                404, "NotFound", "namespaces \"no-such\" not found",
            ),
            (
                "create in another namespace than the path's",
                world.post(&maps, json!({"metadata": {"name": "a", "namespace": "b"}})).await,
                400, "BadRequest",
                "the namespace of the provided object does not match the namespace sent on the request",
            ),
            (
                "stale update",
                world.put(&map, json!({"metadata": {"name": "a", "resourceVersion": "1"}})).await,
                409, "Conflict", modified,
            ),
            (
                "stale merge patch",
                world.merge(&map, json!({"metadata": {"resourceVersion": "1"}})).await,
                409, "Conflict", modified,
            ),
            (
                "update under another name",
                world.put(&map, json!({"metadata": {"name": "b"}})).await,
                400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)",
            ),
            (
                "update of nothing",
                world.put(&format!("{maps}/b"), json!({"metadata": {"name": "b"}})).await,
                404, "NotFound", "configmaps \"b\" not found",
            ),
            (
                "delete of nothing",
                world.delete(&format!("{maps}/b"), Value::Null).await,
                404, "NotFound", "configmaps \"b\" not found",
            ),
            ("unknown kind", world.get(&world.local("nokinds")).await, 404, "NotFound", not_found),
            ("unknown group", world.get("/apis/none.io/v1/x").await, 404, "", ""),
            ("put on a collection", world.put(&maps, named).await, 405, "MethodNotAllowed", no_method),
            (
                "unknown field, strictly",
                world
                    .post(
                        &format!("{maps}?fieldValidation=Strict"),
                        json!({"metadata": {"name": "s"}, "bogus": 1}),
                    )
                    .await,
                400, "BadRequest", strict,
            ),
        ] {
            assert_eq!(got.unwrap_err(), Refusal::new(code, reason, message), "{case}");
        }
    })
    .await;
}

#[tokio::test]
async fn invalid_objects_are_refused_field_by_field() {
    on_both(|world| async move {
        let claim = world.local("persistentvolumeclaims");
        let event = world.local("events");
        let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", world.namespace);
        let about = |namespace: &str| json!({"metadata": {"name": "e"}, "involvedObject": {"namespace": namespace}});
        let lease = json!({"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 0}});
        for (got, message) in [
            (
                world.post(&claim, json!({"metadata": {"name": "x"}, "spec": {}})).await,
                "PersistentVolumeClaim \"x\" is invalid: [spec.accessModes: Required value: at least 1 access mode is required, spec.resources[storage]: Required value]",
            ),
            (
                world.post("/apis/storage.k8s.io/v1/storageclasses", json!({"metadata": {"name": "x"}})).await,
                "StorageClass.storage.k8s.io \"x\" is invalid: provisioner: Required value",
            ),
            (
                world.post(&event, about("other")).await,
                "Event \"e\" is invalid: involvedObject.namespace: Invalid value: \"other\": does not match event.namespace",
            ),
            (
                world.post(&event, about("")).await,
                "Event \"e\" is invalid: involvedObject.namespace: Invalid value: \"\": does not match event.namespace",
            ),
            (
                world.post(&leases, lease).await,
                "Lease.coordination.k8s.io \"l\" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            ),
        ] {
            assert_eq!(got.unwrap_err(), Refusal::new(422, "Invalid", message));
        }
        let coarse = json!({"metadata": {"name": "l"}, "spec": {"renewTime": "2026-11-22T14:03:27Z"}});
        let refused = world.post(&leases, coarse).await.unwrap_err();
        assert_eq!((refused.code, refused.reason.as_str()), (400, "BadRequest"));
    })
    .await;
}

#[tokio::test]
async fn update_without_a_change_keeps_the_version() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let made = world
            .post(
                &maps,
                json!({"metadata": {"name": "a"}, "data": {"k": "v"}}),
            )
            .await
            .unwrap();
        let same = world
            .merge(&format!("{maps}/a"), json!({"data": {"k": "v"}}))
            .await
            .unwrap();
        assert_eq!(version(&same), version(&made));
        let other = world
            .merge(&format!("{maps}/a"), json!({"data": {"k": "w"}}))
            .await
            .unwrap();
        assert_ne!(version(&other), version(&made));
    })
    .await;
}

#[tokio::test]
async fn finalizer_holds_a_deleted_object() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let map = format!("{maps}/a");
        let body = json!({"metadata": {"name": "a", "finalizers": ["x.io/f"]}});
        world.post(&maps, body.clone()).await.unwrap();
        let marked = world.delete(&map, Value::Null).await.unwrap();
        assert!(marked["metadata"]["deletionTimestamp"].is_string());
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
        let again = world.delete(&map, Value::Null).await.unwrap();
        assert_eq!(version(&again), version(&marked), "deleting twice changes nothing");
        let refused = world.post(&maps, body).await.unwrap_err();
        assert_eq!(refused.message, "object is being deleted: configmaps \"a\" already exists");
        let refused = world
            .merge(&map, json!({"metadata": {"finalizers": ["x.io/f", "y.io/new"]}}))
            .await
            .unwrap_err();
        assert_eq!(
            refused.message,
            "ConfigMap \"a\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"y.io/new\"}"
        );
        world.merge(&map, json!({"metadata": {"finalizers": null}})).await.unwrap();
        assert_eq!(world.get(&map).await.unwrap_err().code, 404);
    })
    .await;
}

#[tokio::test]
async fn delete_heeds_its_preconditions() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let map = format!("{maps}/a");
        let made = world.post(&maps, json!({"metadata": {"name": "a"}})).await.unwrap();
        let (uid, held) = (made["metadata"]["uid"].as_str().unwrap(), version(&made));
        let lead = "Operation cannot be fulfilled on ConfigMap \"a\": the";
        for (field, value, message) in [
            ("uid", "b", format!("{lead} UID in the precondition (b) does not match the UID in record ({uid}). The object might have been deleted and then recreated")),
            ("resourceVersion", "1", format!("{lead} ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({held}). The object might have been modified")),
        ] {
            let options = json!({"preconditions": {field: value}});
            let refused = world.delete(&map, options).await.unwrap_err();
            assert_eq!(refused, Refusal::new(409, "Conflict", &message));
        }
        let options = json!({"preconditions": {"uid": uid, "resourceVersion": held}});
        let gone = world.delete(&map, options).await.unwrap();
        assert_eq!((&gone["kind"], &gone["status"]), (&json!("Status"), &json!("Success")));
        assert_eq!(gone["details"], json!({"name": "a", "kind": "configmaps", "uid": uid}));
    })
    .await;
}

#[tokio::test]
async fn specs_that_may_not_change_do_not() {
    on_both(|world| async move {
        let claims = world.local("persistentvolumeclaims");
        world.post(&claims, mk_claim("c")).await.unwrap();
        let refused = world
            .merge(&format!("{claims}/c"), json!({"spec": {"accessModes": ["ReadWriteMany"]}}))
            .await
            .unwrap_err();
        let lead = "PersistentVolumeClaim \"c\" is invalid: spec: Forbidden: spec is immutable after creation";
        assert!(refused.message.starts_with(lead), "{}", refused.message);

        let volume = world.name("pv");
        let path = format!("/api/v1/persistentvolumes/{volume}");
        let made = world.post("/api/v1/persistentvolumes", mk_volume(&volume)).await.unwrap();
        assert_eq!(made["spec"]["nfs"], json!({"server": "127.0.0.1", "path": "/data/x"}));
        assert_eq!(made["spec"]["persistentVolumeReclaimPolicy"], "Retain");
        assert_eq!(made["spec"]["volumeMode"], "Filesystem");
        assert_eq!(made["status"]["phase"], "Pending");
        assert_eq!(made["metadata"]["finalizers"], json!(["kubernetes.io/pv-protection"]));
        let refused = world.merge(&path, json!({"spec": {"nfs": {"path": "/y"}}})).await.unwrap_err();
        let lead = format!("PersistentVolume \"{volume}\" is invalid: spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation");
        assert!(refused.message.starts_with(&lead), "{}", refused.message);
        world.delete(&path, Value::Null).await.unwrap();
        world.until_gone(&path).await;

        let class = world.name("sc");
        let path = format!("/apis/storage.k8s.io/v1/storageclasses/{class}");
        let body = json!({"metadata": {"name": class}, "provisioner": "x.io/y"});
        let made = world.post("/apis/storage.k8s.io/v1/storageclasses", body).await.unwrap();
        assert_eq!(made["reclaimPolicy"], "Delete");
        assert_eq!(made["volumeBindingMode"], "Immediate");
        let refused = world.merge(&path, json!({"provisioner": "z.io/y"})).await.unwrap_err();
        let message = format!("StorageClass.storage.k8s.io \"{class}\" is invalid: provisioner: Forbidden: updates to provisioner are forbidden.");
        assert_eq!(refused, Refusal::new(422, "Invalid", &message));
        let gone = world.delete(&path, Value::Null).await.unwrap();
        assert_eq!(gone["kind"], "StorageClass", "this kind answers with the object");
    })
    .await;
}

#[tokio::test]
async fn status_is_written_apart_from_the_rest() {
    on_both(|world| async move {
        let claims = world.local("persistentvolumeclaims");
        let mut body = mk_claim("c");
        body["status"] = json!({"phase": "Bound"});
        let made = world.post(&claims, body).await.unwrap();
        assert_eq!(made["status"], json!({"phase": "Pending"}));
        let claim = format!("{claims}/c");
        let patched = world
            .merge(
                &claim,
                json!({"status": {"phase": "Bound"}, "metadata": {"labels": {"a": "b"}}}),
            )
            .await
            .unwrap();
        assert_eq!(patched["status"]["phase"], "Pending");
        assert_eq!(patched["metadata"]["labels"]["a"], "b");
        let capacity =
            json!({"spec": {"volumeName": "v"}, "status": {"capacity": {"storage": "2Gi"}}});
        let patched = world
            .merge(&format!("{claim}/status"), capacity)
            .await
            .unwrap();
        assert_eq!(patched["status"]["capacity"]["storage"], "2Gi");
        assert_eq!(patched["spec"].get("volumeName"), None);
    })
    .await;
}

#[tokio::test]
async fn lease_update_needs_a_version() {
    on_both(|world| async move {
        let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", world.namespace);
        let spec = json!({
            "holderIdentity": "a", "leaseDurationSeconds": 15,
            "acquireTime": "2026-11-22T14:03:27.123456Z", "renewTime": "2026-11-22T14:03:27.000000Z",
        });
        let lease = format!("{leases}/l");
        let body = json!({"metadata": {"name": "l"}, "spec": spec});
        let made = world.post(&leases, body.clone()).await.unwrap();
        assert_eq!(made["spec"], spec);
        let refused = world.put(&lease, body).await.unwrap_err();
        let message = "leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update";
        assert_eq!(refused, Refusal::new(422, "Invalid", message));
        let mut taken = made.clone();
        taken["spec"]["holderIdentity"] = "b".into();
        world.put(&lease, taken).await.unwrap();
        assert_eq!(world.put(&lease, made).await.unwrap_err().reason, "Conflict");
    })
    .await;
}

#[tokio::test]
async fn endpoints_object_serves_as_a_lock() {
    on_both(|world| async move {
        let path = world.local("endpoints");
        let key = "control-plane.alpha.kubernetes.io/leader";
        let body = |holder: &str| json!({"metadata": {"name": "l", "annotations": {key: holder}}});
        let made = world.post(&path, body("a")).await.unwrap();
        let mut taken = body("b");
        taken["metadata"]["resourceVersion"] = version(&made).into();
        let updated = world
            .put(&format!("{path}/l"), taken.clone())
            .await
            .unwrap();
        assert_eq!(updated["metadata"]["annotations"][key], "b");
        let late = world.put(&format!("{path}/l"), taken).await.unwrap_err();
        assert_eq!(late.reason, "Conflict");
    })
    .await;
}

#[tokio::test]
async fn dry_run_stores_nothing() {
    on_both(|world| async move {
        let maps = world.local("configmaps");
        let body = json!({"metadata": {"name": "a"}});
        let made = world
            .post(&format!("{maps}?dryRun=All"), body)
            .await
            .unwrap();
        assert!(made["metadata"]["uid"].is_string());
        assert_eq!(world.get(&format!("{maps}/a")).await.unwrap_err().code, 404);
    })
    .await;
}

#[tokio::test]
async fn admin_may_do_everything_by_its_own_review() {
    on_both(|world| async move {
        let body = json!({"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let review = world.post(path, body).await.unwrap();
        assert_eq!(review["kind"], "SelfSubjectAccessReview");
        assert_eq!(review["status"]["allowed"], true);
    })
    .await;
}

#[tokio::test]
async fn deleted_namespace_takes_its_content_along() {
    on_both(|world| async move {
        let name = world.name("gone");
        let path = format!("/api/v1/namespaces/{name}");
        world
            .post("/api/v1/namespaces", json!({"metadata": {"name": name}}))
            .await
            .unwrap();
        let maps = format!("{path}/configmaps");
        world
            .post(&maps, json!({"metadata": {"name": "a"}}))
            .await
            .unwrap();
        let marked = world.delete(&path, Value::Null).await.unwrap();
        assert_eq!(marked["status"]["phase"], "Terminating");
        world.until_gone(&path).await;
        assert_eq!(world.get(&format!("{maps}/a")).await.unwrap_err().code, 404);
    })
    .await;
}

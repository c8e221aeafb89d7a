//! The controller manager's part, as a provisioner meets it.

use futures::StreamExt;
use kube::api::WatchEvent;
use serde_json::{Value, json};

use super::world::{World, on_both};

const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const PROVISIONER: &str = "x.io/tester";

struct Story<'a> {
    world: &'a World,
    class: String,
}

impl<'a> Story<'a> {
    async fn begin(world: &'a World, mode: &str) -> Self {
        let class = world.name("sc");
        let body = json!({"metadata": {"name": class}, "provisioner": PROVISIONER, "volumeBindingMode": mode});
        world.post(CLASSES, body).await.unwrap();
        Self { world, class }
    }

    async fn end(self) {
        self.world
            .delete(&format!("{CLASSES}/{}", self.class), Value::Null)
            .await
            .unwrap();
    }

    fn claims(&self) -> String {
        self.world.local("persistentvolumeclaims")
    }

    async fn claim(&self, name: &str) -> Value {
        let body = json!({
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteMany"], "storageClassName": self.class,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        });
        self.world.post(&self.claims(), body).await.unwrap()
    }

    /// The claim, once it names its provisioner.
    async fn annotated(&self, name: &str) -> Value {
        let named = |claim: &Value| {
            [
                "volume.kubernetes.io/storage-provisioner",
                "volume.beta.kubernetes.io/storage-provisioner",
            ]
            .iter()
            .all(|key| claim["metadata"]["annotations"][key] == PROVISIONER)
        };
        self.world
            .until(&format!("{}/{name}", self.claims()), named)
            .await
    }

    /// Makes the volume that a provisioner would make; returns its path.
    async fn provision(&self, claim: &Value) -> String {
        let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap());
        let body = json!({
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
            "spec": {
                "accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Gi"},
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": self.class,
                "nfs": {"server": "127.0.0.1", "path": "/data/x"},
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": claim["metadata"]["uid"],
                    "namespace": claim["metadata"]["namespace"], "name": claim["metadata"]["name"],
                    "resourceVersion": claim["metadata"]["resourceVersion"],
                },
            },
        });
        self.world.post(VOLUMES, body).await.unwrap();
        format!("{VOLUMES}/{name}")
    }

    async fn bound(&self, name: &str) -> Value {
        let path = format!("{}/{name}", self.claims());
        self.world
            .until(&path, |claim| claim["status"]["phase"] == "Bound")
            .await
    }
}

#[tokio::test]
async fn provisioned_claim_is_bound_and_released() {
    on_both(|world| async move {
        let story = Story::begin(&world, "Immediate").await;
        let made = story.claim("c").await;
        assert_eq!(made["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
        let claim = story.annotated("c").await;
        assert_eq!(claim["status"]["phase"], "Pending");
        let volume = story.provision(&claim).await;
        let bound = story.bound("c").await;
        let uid = claim["metadata"]["uid"].as_str().unwrap();
        assert_eq!(bound["spec"]["volumeName"], format!("pvc-{uid}"));
        let annotations = &bound["metadata"]["annotations"];
        assert_eq!(annotations["pv.kubernetes.io/bind-completed"], "yes");
        assert_eq!(annotations["pv.kubernetes.io/bound-by-controller"], "yes");
        let status = json!({"phase": "Bound", "accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Gi"}});
        assert_eq!(bound["status"], status);
        let held = world.get(&volume).await.unwrap();
        assert_eq!(held["status"]["phase"], "Bound");
        assert_eq!(held["metadata"]["finalizers"], json!(["kubernetes.io/pv-protection"]));
        assert_eq!(held["spec"]["claimRef"]["uid"], uid);

        let claim = format!("{}/c", story.claims());
        let last = world.delete(&claim, Value::Null).await.unwrap();
        assert!(last["metadata"]["deletionTimestamp"].is_string(), "the finalizer holds it for a moment");
        world.until_gone(&claim).await;
        world.until(&volume, |volume| volume["status"]["phase"] == "Released").await;
        world.delete(&volume, Value::Null).await.unwrap();
        world.until_gone(&volume).await;
        story.end().await;
    })
    .await;
}

/// What a step of a claim or a volume changed, in a few words.
fn step(event: &WatchEvent<Value>) -> String {
    let (word, object) = match event {
        WatchEvent::Added(object) => ("added", object),
        WatchEvent::Modified(object) => ("modified", object),
        WatchEvent::Deleted(object) => ("deleted", object),
        other => panic!("{other:?}"),
    };
    let phase = object["status"]["phase"].as_str().unwrap_or("none");
    let mut told = format!("{word} {phase}");
    for (pointer, word) in [
        (
            "/metadata/annotations/volume.kubernetes.io~1storage-provisioner",
            "named",
        ),
        (
            "/metadata/annotations/pv.kubernetes.io~1bind-completed",
            "completed",
        ),
        ("/spec/volumeName", "placed"),
        ("/metadata/deletionTimestamp", "deleting"),
        ("/metadata/finalizers", "held"),
    ] {
        if object.pointer(pointer).is_some() {
            told = format!("{told} {word}");
        }
    }
    told
}

#[tokio::test]
async fn steps_follow_each_other_as_on_a_real_cluster() {
    on_both(|world| async move {
        let story = Story::begin(&world, "Immediate").await;
        let mut of_claim = world.watch(&format!("{}?watch=1", story.claims())).await;
        story.claim("c").await;
        let claim = story.annotated("c").await;
        let uid = claim["metadata"]["uid"].as_str().unwrap();
        let query = format!("{VOLUMES}?watch=1&fieldSelector=metadata.name%3Dpvc-{uid}");
        let mut of_volume = world.watch(&query).await;
        let volume = story.provision(&claim).await;
        story.bound("c").await;
        let path = format!("{}/c", story.claims());
        world.delete(&path, Value::Null).await.unwrap();
        world
            .until(&volume, |volume| volume["status"]["phase"] == "Released")
            .await;
        world.delete(&volume, Value::Null).await.unwrap();
        for expected in [
            "added Pending held",
            "modified Pending named held",
            "modified Pending named completed placed held",
            "modified Bound named completed placed held",
            "modified Bound named completed placed deleting held",
            "deleted Bound named completed placed deleting held",
        ] {
            assert_eq!(step(&of_claim.next().await.unwrap()), expected);
        }
        for expected in [
            "added Pending held",
            "modified Bound held",
            "modified Released held",
            "modified Released deleting held",
            "deleted Released deleting held",
        ] {
            assert_eq!(step(&of_volume.next().await.unwrap()), expected);
        }
        story.end().await;
    })
    .await;
}

#[tokio::test]
async fn first_consumer_is_waited_for() {
    on_both(|world| async move {
        let story = Story::begin(&world, "WaitForFirstConsumer").await;
        story.claim("c").await;
        let path = format!("{}/c", story.claims());
        // The controller has seen the claim by the time that its event is there.
        let query = "events?watch=1&fieldSelector=reason%3DWaitForFirstConsumer";
        let mut events = world.watch(&world.local(query)).await;
        events.next().await.unwrap();
        let waiting = world.get(&path).await.unwrap();
        assert_eq!(waiting["metadata"].get("annotations"), None);
        let node =
            json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n1"}}});
        world.merge(&path, node).await.unwrap();
        let claim = story.annotated("c").await;
        let volume = story.provision(&claim).await;
        story.bound("c").await;
        world.delete(&path, Value::Null).await.unwrap();
        world
            .until(&volume, |volume| volume["status"]["phase"] == "Released")
            .await;
        world.delete(&volume, Value::Null).await.unwrap();
        story.end().await;
    })
    .await;
}

#[tokio::test]
async fn volume_of_a_claim_that_is_gone_is_released() {
    on_both(|world| async move {
        let story = Story::begin(&world, "Immediate").await;
        let never = json!({"metadata": {
            "name": "never", "namespace": world.namespace, "resourceVersion": "1",
            "uid": "00000000-0000-4000-8000-0000000000aa",
        }});
        story.claim("never").await;
        let volume = story.provision(&never).await;
        let released = world
            .until(&volume, |volume| volume["status"]["phase"] == "Released")
            .await;
        assert_eq!(
            released["spec"]["claimRef"]["uid"],
            never["metadata"]["uid"]
        );
        world.delete(&volume, Value::Null).await.unwrap();
        story.end().await;
    })
    .await;
}

#[tokio::test]
async fn bound_volume_that_is_deleted_stays_until_its_claim_goes() {
    on_both(|world| async move {
        let story = Story::begin(&world, "Immediate").await;
        story.claim("c").await;
        let volume = story.provision(&story.annotated("c").await).await;
        story.bound("c").await;
        let marked = world.delete(&volume, Value::Null).await.unwrap();
        assert!(marked["metadata"]["deletionTimestamp"].is_string());
        let node = json!({"metadata": {"labels": {"still": "there"}}});
        world.merge(&volume, node).await.unwrap();
        let claim = format!("{}/c", story.claims());
        world.delete(&claim, Value::Null).await.unwrap();
        world.until_gone(&volume).await;
        story.end().await;
    })
    .await;
}

#[tokio::test]
async fn claim_whose_volume_vanished_is_lost() {
    on_both(|world| async move {
        let story = Story::begin(&world, "Immediate").await;
        story.claim("c").await;
        let volume = story.provision(&story.annotated("c").await).await;
        story.bound("c").await;
        // In this order: the controller puts the finalizer back on a volume that is not being deleted.
        world.delete(&volume, Value::Null).await.unwrap();
        world
            .merge(&volume, json!({"metadata": {"finalizers": null}}))
            .await
            .unwrap();
        let path = format!("{}/c", story.claims());
        world
            .until(&path, |claim| claim["status"]["phase"] == "Lost")
            .await;
        story.end().await;
    })
    .await;
}

#[tokio::test]
async fn claim_takes_a_free_volume_that_fits() {
    on_both(|world| async move {
        let story = Story::begin(&world, "Immediate").await;
        let name = world.name("free");
        let body = json!({
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteMany"], "capacity": {"storage": "2Gi"},
                "storageClassName": story.class, "nfs": {"server": "127.0.0.1", "path": "/data/y"},
            },
        });
        let volume = format!("{VOLUMES}/{name}");
        world.post(VOLUMES, body).await.unwrap();
        world
            .until(&volume, |volume| volume["status"]["phase"] == "Available")
            .await;
        story.claim("c").await;
        let bound = story.bound("c").await;
        assert_eq!(bound["spec"]["volumeName"], name);
        assert_eq!(bound["status"]["capacity"]["storage"], "2Gi");
        let held = world.get(&volume).await.unwrap();
        assert_eq!(
            held["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"],
            "yes"
        );
        assert_eq!(held["spec"]["claimRef"]["name"], "c");
        world
            .delete(&format!("{}/c", story.claims()), Value::Null)
            .await
            .unwrap();
        world
            .until(&volume, |volume| volume["status"]["phase"] == "Released")
            .await;
        world.delete(&volume, Value::Null).await.unwrap();
        story.end().await;
    })
    .await;
}

#[tokio::test]
async fn claim_of_a_missing_class_is_told_so() {
    on_both(|world| async move {
        let class = world.name("missing");
        let story = Story {
            world: &world,
            class: class.clone(),
        };
        story.claim("c").await;
        let query = "events?watch=1&fieldSelector=reason%3DProvisioningFailed";
        let mut events = world.watch(&world.local(query)).await;
        let Some(WatchEvent::Added(event)) = events.next().await else {
            panic!("no event");
        };
        assert_eq!(
            event["message"],
            format!("storageclass.storage.k8s.io \"{class}\" not found")
        );
        assert_eq!(event["source"]["component"], "persistentvolume-controller");
        assert_eq!(event["involvedObject"]["name"], "c");
    })
    .await;
}

#[tokio::test]
async fn stateful_set_makes_its_claims() {
    on_both(|world| async move {
        let story = Story::begin(&world, "Immediate").await;
        let labels = json!({"app": "kafka"});
        let body = json!({
            "metadata": {"name": "kafka"},
            "spec": {
                "replicas": 3, "serviceName": "kafka", "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "kafka", "image": "kafka"}]},
                },
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"], "storageClassName": story.class,
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }],
            },
        });
        let path = format!("/apis/apps/v1/namespaces/{}/statefulsets", world.namespace);
        world.post(&path, body).await.unwrap();
        for i in 0..3 {
            let claim = story.annotated(&format!("data-kafka-{i}")).await;
            assert_eq!(claim["metadata"]["labels"], labels);
        }
        story.end().await;
    })
    .await;
}

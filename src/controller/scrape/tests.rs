use std::time::Duration;

use nfs_export::{FsStat, Options, Target};
use prometheus::TextEncoder;
use testkit::api;
use tokio::time::timeout;

use super::*;
use crate::{
    controller::{paths::Paths, queue::Queue, stores::Queues},
    plan::place::Place,
    plan::shares::Share,
    telemetry::{health::Health, metrics::Metrics},
};

const US: &str = "k8s-sigs.io/nfs-subdir-external-provisioner";

/// One claim waits since 2020, one waits for its consumer, one is another provisioner's.
const CLUSTER: &str = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: now}
provisioner: k8s-sigs.io/nfs-subdir-external-provisioner
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: later}
provisioner: k8s-sigs.io/nfs-subdir-external-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: waits
  annotations: {volume.kubernetes.io/storage-provisioner: k8s-sigs.io/nfs-subdir-external-provisioner}
spec: {storageClassName: now, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: no-consumer
  annotations: {volume.kubernetes.io/storage-provisioner: k8s-sigs.io/nfs-subdir-external-provisioner}
spec: {storageClassName: later, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: foreign, annotations: {volume.kubernetes.io/storage-provisioner: other}}
spec: {storageClassName: now, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

fn volume(name: &str, provisioner: &str, size: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}, annotations: {{pv.kubernetes.io/provisioned-by: {provisioner}}}}}\n\
         spec: {{capacity: {{storage: {size}}}, accessModes: [ReadWriteOnce], storageClassName: now, nfs: {{server: s, path: /e/{name}}}}}\n"
    )
}

async fn mk_stores(server: &api::Server) -> Arc<Stores> {
    let kubeconfig =
        kube::config::Kubeconfig::from_yaml(&server.kubeconfig(api::User::admin())).unwrap();
    let config = kube::Config::from_custom_kubeconfig(
        kubeconfig,
        &kube::config::KubeConfigOptions::default(),
    )
    .await
    .unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let delay = |_| Duration::from_secs(1);
    let queues = Arc::new(Queues {
        claims: Queue::new(delay),
        volumes: Queue::new(delay),
    });
    let share = Share {
        root: Place::new("s", "/e").unwrap(),
        nfs_port: None,
        mount_port: None,
    };
    let stores = Arc::new(Stores::new(US, share, queues, Paths::default()));
    tokio::spawn(stores.clone().run(client, Health::default()));
    timeout(Duration::from_secs(20), stores.synced())
        .await
        .unwrap();
    stores
}

fn text(metrics: &Metrics) -> String {
    TextEncoder::new()
        .encode_to_string(&metrics.gather())
        .unwrap()
}

fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_and_volumes_are_counted_by_phase_and_class_and_the_oldest_waiting_one_has_an_age() {
    let server = api::Server::start(api::Options {
        controllers: false,
        ..api::Options::default()
    })
    .unwrap();
    server.apply_yaml(CLUSTER).unwrap();
    let all = [
        ("a", US, "Bound", "1Gi"),
        ("b", US, "Bound", "2Gi"),
        ("c", US, "Released", "500M"),
        ("d", "other", "Bound", "1Ti"),
    ];
    for (name, provisioner, phase, size) in all {
        server.apply_yaml(&volume(name, provisioner, size)).unwrap();
        assert!(server.edit(
            "persistentvolumes",
            "",
            name,
            |volume| volume["status"]["phase"] = phase.into()
        ));
    }
    for (name, year) in [("waits", 2020), ("no-consumer", 2010), ("foreign", 2010)] {
        let made = format!("{year}-01-01T00:00:00Z");
        assert!(server.edit(
            "persistentvolumeclaims",
            "default",
            name,
            |claim| claim["metadata"]["creationTimestamp"] = made.into()
        ));
    }
    let stores = mk_stores(&server).await;
    let metrics = Metrics::new().unwrap();
    let known = metrics.clone();
    metrics.at_scrape(move |out| {
        classes(&known, &stores);
        claims(out, &stores);
        volumes(out, &stores);
    });
    let text = text(&metrics);
    let rows = [
        (
            "nfs_provisioner_claims{phase=\"Pending\",class=\"now\"}",
            Some(1.0),
        ),
        (
            "nfs_provisioner_claims{phase=\"Pending\",class=\"later\"}",
            Some(1.0),
        ),
        (
            "nfs_provisioner_claims{phase=\"Bound\",class=\"now\"}",
            Some(2.0),
        ),
        (
            "nfs_provisioner_volumes{phase=\"Bound\",class=\"now\"}",
            Some(2.0),
        ),
        (
            "nfs_provisioner_volumes{phase=\"Released\",class=\"now\"}",
            Some(1.0),
        ),
        (
            "nfs_provisioner_provisioned_bytes{class=\"now\"}",
            Some(3_721_225_472.0),
        ),
        ("nfs_provisioner_provisioned_bytes{class=\"later\"}", None),
        (
            "controller_persistentvolumeclaim_provision_failed_total{class=\"now\"}",
            Some(0.0),
        ),
    ];
    for (sample, expected) in rows {
        assert_eq!(value(&text, sample), expected, "{sample}\n{text}");
    }
    let since_2020 = count(usize::try_from(Timestamp::now().as_second() - 1_577_836_800).unwrap());
    let age = value(&text, "nfs_provisioner_oldest_waiting_claim_seconds").unwrap();
    assert!(
        (age - since_2020).abs() < 60.0,
        "the claim without a consumer does not count: {age}"
    );
}

#[test]
fn a_share_that_was_never_reached_is_down_and_has_no_room() {
    let target = Target {
        server: "s".into(),
        path: "/e".into(),
        nfs_port: None,
        mount_port: None,
    };
    let export = Export::new(target, Options::default());
    let metrics = Metrics::new().unwrap();
    metrics.at_scrape(move |out| share(out, &export, &Found::default()));
    let text = text(&metrics);
    assert_eq!(
        value(&text, "nfs_provisioner_share_up{share=\"s:/e\"}"),
        Some(0.0)
    );
    assert_eq!(
        value(
            &text,
            "nfs_provisioner_nfs_reconnects_total{share=\"s:/e\"}"
        ),
        Some(0.0)
    );
    assert!(
        !text.contains("share_size_bytes") && !text.contains("round_trip"),
        "{text}"
    );
}

#[test]
fn the_room_on_a_share_is_told_in_bytes_and_inodes() {
    let target = Target {
        server: "s".into(),
        path: "/e".into(),
        nfs_port: None,
        mount_port: None,
    };
    let export = Export::new(target, Options::default());
    let room = FsStat {
        total_bytes: 100,
        available_bytes: 40,
        total_files: 10,
        available_files: 4,
    };
    let found = Found {
        room: Some(room),
        archives: Some(7),
        ..Found::default()
    };
    let metrics = Metrics::new().unwrap();
    metrics.at_scrape(move |out| share(out, &export, &found));
    let text = text(&metrics);
    let rows = [
        ("size_bytes", 100.0),
        ("available_bytes", 40.0),
        ("inodes", 10.0),
        ("available_inodes", 4.0),
        ("archives", 7.0),
    ];
    for (name, expected) in rows {
        assert_eq!(
            value(
                &text,
                &format!("nfs_provisioner_share_{name}{{share=\"s:/e\"}}")
            ),
            Some(expected),
            "{name}"
        );
    }
}

#[test]
fn queues_and_events_are_told_by_kind() {
    let metrics = Metrics::new().unwrap();
    metrics.at_scrape(|out| {
        queue(
            out,
            "claim",
            Depth {
                ready: 1,
                delayed: 2,
                working: 3,
                retries: 9,
            },
        );
        events(
            out,
            &Counts {
                created: 5,
                recounted: 4,
                dropped: 3,
                failed: 2,
                pending: 1,
            },
        );
    });
    let text = text(&metrics);
    let rows = [
        ("nfs_provisioner_queue_depth{work=\"claim\"}", 6.0),
        ("nfs_provisioner_retries_total{work=\"claim\"}", 9.0),
        ("nfs_provisioner_events_total{outcome=\"dropped\"}", 3.0),
        ("nfs_provisioner_events_pending", 1.0),
    ];
    for (sample, expected) in rows {
        assert_eq!(value(&text, sample), Some(expected), "{sample}");
    }
}

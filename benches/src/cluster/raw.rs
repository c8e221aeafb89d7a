//! The yardstick: PersistentVolumes made and deleted with nothing around them.

use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::watch::Watch;
use super::{CONNECTIONS, Cluster, VOLUMES};
use crate::series::rate;

/// Volumes that belong to no claim.
#[derive(Debug)]
pub(super) struct Bare {
    names: Vec<String>,
    /// Made in a second.
    pub(super) rate: f64,
}

/// A volume such as the provisioner makes, without a claim.
pub(super) fn volume(name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": "example.com/nobody"}},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": "1Mi"},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": class,
            "nfs": {"server": "192.0.2.1", "path": format!("/srv/nfs/{name}")},
        },
    })
}

// === impl Bare ===

impl Bare {
    /// Makes `count` of them.
    pub(super) async fn make(cluster: &Cluster, label: &str, count: usize) -> anyhow::Result<Self> {
        let names: Vec<String> = (0..count)
            .map(|index| format!("{}-{label}-{index}", cluster.run))
            .collect();
        let since = Instant::now();
        let bodies = names.iter().map(|name| volume(name, "bench-bare"));
        cluster.post_all(VOLUMES, bodies).await?;
        Ok(Self {
            rate: rate(count, since.elapsed()),
            names,
        })
    }

    /// Deletes them; how many were gone a second (the binder takes a finalizer off each).
    pub(super) async fn delete(self, cluster: &Cluster, watch: &Watch) -> anyhow::Result<f64> {
        let since = Instant::now();
        stream::iter(&self.names)
            .map(|name| async move { cluster.delete(&format!("{VOLUMES}/{name}")).await })
            .buffer_unordered(CONNECTIONS)
            .try_collect::<()>()
            .await?;
        let gone = watch.all(&self.names, |times| times.gone).await?;
        let last = gone.iter().max().copied().unwrap_or(since);
        Ok(rate(self.names.len(), last - since))
    }
}

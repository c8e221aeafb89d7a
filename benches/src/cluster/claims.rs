//! A number of claims made at once, and what became of them.

use std::time::{Duration, Instant};

use anyhow::bail;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::watch::Watch;
use super::{CLAIMS, CONNECTIONS, Cluster, List, Object};
use crate::series::{millis, rate};

/// As the volume binder marks a claim that a provisioner is to serve.
const ASKED: &str = "volume.kubernetes.io/storage-provisioner";
/// Longest wait for the binder's mark.
const CAP: Duration = Duration::from_mins(2);

/// Claims that were made, in the order of their answers.
#[derive(Debug)]
pub(super) struct Claims {
    /// When the first one was asked for.
    pub(super) since: Instant,
    label: String,
    names: Vec<String>,
    sent: Vec<Instant>,
    /// Names of their volumes.
    pub(super) volumes: Vec<String>,
}

/// A rate, and how long each one took.
#[derive(Debug)]
pub(super) struct Pace {
    /// A second, from the first request to the last result.
    pub(super) rate: f64,
    /// Milliseconds of each.
    pub(super) each: Vec<f64>,
}

/// A claim of `class` for one volume.
pub(super) fn claim(name: &str, class: &str, label: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": {"bench": label}},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": class,
            "resources": {"requests": {"storage": "1Mi"}},
        },
    })
}

// === impl Claims ===

impl Claims {
    /// Makes `count` claims; `label` tells them from all others of the run.
    pub(super) async fn make(cluster: &Cluster, label: &str, count: usize) -> anyhow::Result<Self> {
        let label = format!("{}-{label}", cluster.run);
        let since = Instant::now();
        let made: Vec<(String, Instant, Object)> = stream::iter(0..count)
            .map(|index| {
                let name = format!("{label}-{index}");
                let body = claim(&name, &cluster.run, &label);
                async move {
                    let sent = Instant::now();
                    let object = cluster.post::<Object>(CLAIMS, &body).await?;
                    anyhow::Ok((name, sent, object))
                }
            })
            .buffer_unordered(CONNECTIONS)
            .try_collect()
            .await?;
        Ok(Self {
            since,
            label,
            sent: made.iter().map(|(_, sent, _)| *sent).collect(),
            volumes: made
                .iter()
                .map(|(_, _, claim)| format!("pvc-{}", claim.metadata.uid))
                .collect(),
            names: made.into_iter().map(|(name, _, _)| name).collect(),
        })
    }

    /// How fast their volumes came.
    pub(super) async fn provisioned(&self, watch: &Watch) -> anyhow::Result<Pace> {
        let came = watch.all(&self.volumes, |times| times.came).await?;
        Ok(Pace::of(self.since, &self.sent, &came))
    }

    /// Waits until each is bound; how many a second.
    pub(super) async fn bound(&self, watch: &Watch) -> anyhow::Result<f64> {
        let bound = watch.all(&self.volumes, |times| times.bound).await?;
        Ok(Pace::of(self.since, &self.sent, &bound).rate)
    }

    /// Waits until the binder has asked for a volume for each.
    pub(super) async fn asked_for(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let path = format!("{CLAIMS}?labelSelector=bench%3D{}", self.label);
        loop {
            let list: List = cluster.get(&path).await?;
            let marked = |claim: &&Object| claim.metadata.annotations.contains_key(ASKED);
            if list.items.iter().filter(marked).count() == self.names.len() {
                return Ok(());
            }
            if self.since.elapsed() > CAP {
                bail!("the binder does not mark the claims");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Deletes them all; when each was asked for.
    pub(super) async fn delete(&self, cluster: &Cluster) -> anyhow::Result<Vec<Instant>> {
        let delete = |name: &String| {
            let path = format!("{CLAIMS}/{name}");
            async move {
                let sent = Instant::now();
                cluster.delete(&path).await.map(|()| sent)
            }
        };
        stream::iter(self.names.iter().map(delete))
            .buffered(CONNECTIONS)
            .try_collect()
            .await
    }

    /// Deletes them all; how fast their volumes went.
    pub(super) async fn removed(&self, cluster: &Cluster, watch: &Watch) -> anyhow::Result<Pace> {
        let since = Instant::now();
        let sent = self.delete(cluster).await?;
        let gone = watch.all(&self.volumes, |times| times.gone).await?;
        Ok(Pace::of(since, &sent, &gone))
    }
}

// === impl Pace ===

impl Pace {
    pub(super) fn of(since: Instant, sent: &[Instant], done: &[Instant]) -> Self {
        let last = done.iter().max().copied().unwrap_or(since);
        let each = sent.iter().zip(done);
        Self {
            rate: rate(done.len(), last - since),
            each: each
                .map(|(sent, done)| millis(done.saturating_duration_since(*sent)))
                .collect(),
        }
    }

    /// From the first result to the last: where what comes before the first is no part of the work.
    pub(super) fn between(done: &[Instant]) -> f64 {
        match (done.iter().min(), done.iter().max()) {
            (Some(first), Some(last)) => rate(done.len() - 1, *last - *first),
            _ => f64::NAN,
        }
    }
}

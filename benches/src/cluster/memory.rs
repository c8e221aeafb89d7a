//! Memory of a provisioner in a cluster with many claims and volumes.
//!
//! The objects are made in bulk by this program, bound to one another as the binder would leave them, while the binder stands still: a claim has
//! `spec.volumeName` and the binder's annotations, a volume its `claimRef` and everything else that the provisioner writes.

use std::time::{Duration, Instant};

use anyhow::bail;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::claims::{Claims, claim};
use super::raw::volume;
use super::watch::Watch;
use super::{CLAIMS, CONNECTIONS, Cluster, Object, VOLUMES};
use crate::provisioner::{NAME, Provisioner};
use crate::table::{Report, Table, number};
use crate::usage::Usage;
use crate::world::World;

/// MiB.
const AIM: f64 = 60.0;
/// Memory counts as settled when it has not grown for so long.
const STEADY: Duration = Duration::from_secs(5);
/// Longest wait for that.
const CAP: Duration = Duration::from_mins(2);

pub(crate) async fn run(
    world: &World,
    cluster: &Cluster,
    objects: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let empty = settled(&Provisioner::start(world)?).await?;
    world.sh(&["kcm", "freeze"])?;
    let full = fill_and_start(world, cluster, objects).await;
    world.sh(&["kcm", "thaw"])?;
    let (full, provisioner) = full?;
    let working = work(cluster, &provisioner).await?;
    provisioner.stop().await?;

    let mut table = Table::new(
        format!(
            "Memory of the provisioner, MiB ({objects} claims and as many volumes, made in bulk)"
        ),
        &["when", "resident", "most", "Go, known"],
    );
    let cells = |when: &str, usage: Usage| [when.to_owned(), number(usage.rss), number(usage.peak)];
    table.row(cells("empty cluster", empty));
    let most = report.at_most(
        "MiB with 20,000 claims and volumes, at most",
        full.peak,
        AIM,
    );
    table.row([
        "started".to_owned(),
        number(full.rss),
        most,
        "260".to_owned(),
    ]);
    table.row(cells("after 1,000 more came and went", working));
    table.print();
    Ok(())
}

async fn fill_and_start(
    world: &World,
    cluster: &Cluster,
    objects: usize,
) -> anyhow::Result<(Usage, Provisioner)> {
    fill(world, cluster, objects).await?;
    let provisioner = Provisioner::start(world)?;
    Ok((settled(&provisioner).await?, provisioner))
}

async fn fill(world: &World, cluster: &Cluster, objects: usize) -> anyhow::Result<()> {
    let share = (world.get("NFS_SERVER")?, world.get("NFS_PATH")?);
    stream::iter(0..objects)
        .map(|index| pair(cluster, share, index))
        .buffer_unordered(CONNECTIONS)
        .try_collect()
        .await
}

async fn pair(cluster: &Cluster, (server, path): (&str, &str), index: usize) -> anyhow::Result<()> {
    let name = format!("{}-bulk-{index}", cluster.run);
    let volume_name = format!("pvc-{name}-01234567-89ab-cdef-0123-456789abcdef");
    let mut body = claim(&name, &cluster.run, "bulk");
    body["spec"]["volumeName"] = json!(volume_name);
    body["metadata"]["annotations"] = json!({
        "pv.kubernetes.io/bind-completed": "yes",
        "pv.kubernetes.io/bound-by-controller": "yes",
        "volume.beta.kubernetes.io/storage-provisioner": NAME,
        "volume.kubernetes.io/storage-provisioner": NAME,
    });
    let made: Object = cluster.post(CLAIMS, &body).await?;
    let mut body = volume(&volume_name, &cluster.run);
    body["metadata"]["annotations"] = json!({"pv.kubernetes.io/provisioned-by": NAME, "pv.kubernetes.io/bound-by-controller": "yes"});
    body["spec"]["persistentVolumeReclaimPolicy"] = json!("Delete");
    body["spec"]["nfs"] =
        json!({"server": server, "path": format!("{path}/default-{name}-{volume_name}")});
    body["spec"]["claimRef"] = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": name, "uid": made.metadata.uid,
        "resourceVersion": "1",
    });
    cluster.post::<Object>(VOLUMES, &body).await.map(drop)
}

/// Waits until the memory does not grow any more.
async fn settled(provisioner: &Provisioner) -> anyhow::Result<Usage> {
    let started = Instant::now();
    let mut steady = (provisioner.usage()?, Instant::now());
    while steady.1.elapsed() < STEADY {
        if started.elapsed() > CAP {
            bail!("the provisioner's memory grows and grows");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = provisioner.usage()?;
        if now.peak > steady.0.peak {
            steady.1 = Instant::now();
        }
        steady.0 = now;
    }
    Ok(steady.0)
}

/// The binder is at work on the bulk meanwhile: what it writes is watched, as it would be on any day.
async fn work(cluster: &Cluster, provisioner: &Provisioner) -> anyhow::Result<Usage> {
    let watch = Watch::start(cluster).await?;
    let claims = Claims::make(cluster, "more", 1_000).await?;
    claims.bound(&watch).await?;
    claims.removed(cluster, &watch).await?;
    provisioner.usage()
}

//! Claims and volumes that wait already when the provisioner starts: its own pace, with nobody else at work.
//!
//! A burst shares the API server with those who make the claims and with the volume binder, which makes five requests a claim. Here the claims are
//! there and marked before the provisioner starts, and the binder stands still while it works.

use std::time::Instant;

use super::Cluster;
use super::claims::{Claims, Pace};
use super::raw::Bare;
use super::watch::Watch;
use crate::provisioner::Provisioner;
use crate::series::millis;
use crate::world::World;

/// One round.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Bare volumes a second, the binder standing still.
    pub(super) bare: f64,
    /// Volumes a second.
    pub(super) made: f64,
    /// Volumes deleted a second.
    pub(super) deleted: f64,
    /// Milliseconds from the start of the process to the first volume.
    pub(super) first: f64,
    /// Milliseconds of the provisioner's CPU a claim, its start included.
    pub(super) cpu: f64,
}

/// Has `count` claims made and deleted; returns with the provisioner that did it.
pub(super) async fn round(
    world: &World,
    cluster: &Cluster,
    watch: &Watch,
    label: &str,
    count: usize,
) -> anyhow::Result<(Backlog, Provisioner)> {
    let claims = Claims::make(cluster, label, count).await?;
    claims.asked_for(cluster).await?;
    world.sh(&["kcm", "freeze"])?;
    let still = standing_still(world, cluster, watch, label, &claims).await;
    world.sh(&["kcm", "thaw"])?;
    let (bare, made, first, provisioner) = still?;
    let cpu = millis(provisioner.usage()?.cpu) / f64::from(u32::try_from(count)?);
    claims.bound(watch).await?;
    bare.1.delete(cluster, watch).await?;

    provisioner.stop().await?;
    claims.delete(cluster).await?;
    watch.all(&claims.volumes, |times| times.released).await?;
    let provisioner = Provisioner::start(world)?;
    let gone = watch.all(&claims.volumes, |times| times.gone).await?;
    let backlog = Backlog {
        bare: bare.0,
        made,
        deleted: Pace::between(&gone),
        first,
        cpu,
    };
    Ok((backlog, provisioner))
}

async fn standing_still(
    world: &World,
    cluster: &Cluster,
    watch: &Watch,
    label: &str,
    claims: &Claims,
) -> anyhow::Result<((f64, Bare), f64, f64, Provisioner)> {
    let bare = Bare::make(cluster, &format!("{label}-bare"), claims.volumes.len()).await?;
    let since = Instant::now();
    let provisioner = Provisioner::start(world)?;
    let came = watch.all(&claims.volumes, |times| times.came).await?;
    let first = came
        .iter()
        .min()
        .map_or(f64::NAN, |first| millis(*first - since));
    Ok(((bare.rate, bare), Pace::between(&came), first, provisioner))
}

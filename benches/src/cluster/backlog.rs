//! Claims that wait already when the provisioner goes to work: its own pace, with nobody else at work.
//!
//! A burst shares the API server with those who make the claims and with the volume binder, which makes five requests a claim, and which has to mark
//! a claim before it is anybody's. Here the provisioner is held (SIGSTOP) until all claims are there and marked, and the binder stands still while it works.

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
    /// Volumes deleted a second, by a provisioner that has just started.
    pub(super) deleted: f64,
    /// Milliseconds of the provisioner's CPU a claim.
    pub(super) cpu: f64,
}

/// Has `provisioner` serve `count` claims at once, and another delete their volumes; returns with the latter.
pub(super) async fn round(
    world: &World,
    cluster: &Cluster,
    watch: &Watch,
    label: &str,
    count: usize,
    provisioner: Provisioner,
) -> anyhow::Result<(Backlog, Provisioner)> {
    provisioner.hold()?;
    let claims = Claims::make(cluster, label, count).await?;
    claims.asked_for(cluster).await?;
    world.sh(&["kcm", "freeze"])?;
    let still = standing_still(cluster, watch, label, &claims, &provisioner).await;
    world.sh(&["kcm", "thaw"])?;
    let (bare, made, spent) = still?;
    claims.bound(watch).await?;
    let bare_rate = bare.rate;
    bare.delete(cluster, watch).await?;

    provisioner.stop().await?;
    claims.delete(cluster).await?;
    watch.all(&claims.volumes, |times| times.released).await?;
    let provisioner = Provisioner::start(world)?;
    let gone = watch.all(&claims.volumes, |times| times.gone).await?;
    let backlog = Backlog {
        bare: bare_rate,
        made,
        deleted: Pace::between(&gone),
        cpu: spent / f64::from(u32::try_from(count)?),
    };
    Ok((backlog, provisioner))
}

/// The yardstick, the pace of the volumes, and the milliseconds of CPU that they cost the provisioner.
async fn standing_still(
    cluster: &Cluster,
    watch: &Watch,
    label: &str,
    claims: &Claims,
    provisioner: &Provisioner,
) -> anyhow::Result<(Bare, f64, f64)> {
    let bare = Bare::make(cluster, &format!("{label}-bare"), claims.volumes.len()).await?;
    let before = provisioner.usage()?.cpu;
    provisioner.go_on()?;
    let came = watch.all(&claims.volumes, |times| times.came).await?;
    let spent = provisioner.usage()?.cpu.saturating_sub(before);
    Ok((bare, Pace::between(&came), millis(spent)))
}

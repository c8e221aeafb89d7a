//! SIGTERM, start again, and the first volume of a claim that waits: how long nobody is there.
//!
//! The yardstick is the same start with no lock to be taken. What is over that is what the lock costs: nothing but its own requests if the process before
//! gave it back, and the rest of its lease if not.

use std::time::Instant;

use super::Cluster;
use super::claims::Claims;
use super::watch::Watch;
use crate::provisioner::Provisioner;
use crate::series::{median, millis};
use crate::table::{Report, Table, number};
use crate::world::World;

/// Seconds, of the Go provisioner: it does not give its lock back.
const GO: f64 = 15.5;
/// Seconds over the start without a lock.
const AIM: f64 = 1.0;
const NO_LOCK: (&str, &str) = ("ENABLE_LEADER_ELECTION", "false");

pub(crate) async fn run(
    world: &World,
    cluster: &Cluster,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let watch = Watch::start(cluster).await?;
    let (mut alone, mut again) = (Vec::new(), Vec::new());
    // The lock has been held and given back before the first round.
    warm_up(world, cluster, &watch).await?;
    for round in 0..rounds {
        let label = format!("start-{round}");
        alone.push(start(world, cluster, &watch, &label, &[NO_LOCK]).await?);
        let label = format!("restart-{round}");
        again.push(start(world, cluster, &watch, &label, &[]).await?);
    }
    let (alone, again) = (median(&alone), median(&again));
    let mut table = Table::new(
        "Start to the first volume of a waiting claim, seconds (the process before ended by SIGTERM)",
        &[
            "start",
            "seconds",
            "over its own start",
            "Go, known",
            "Go / ours",
        ],
    );
    table.row(["without a lock".to_owned(), number(alone)]);
    table.row([
        "with the lock of the one before".to_owned(),
        number(again),
        report.at_most(
            "seconds of a restart over the start itself",
            again - alone,
            AIM,
        ),
        number(GO),
        number(GO / again),
    ]);
    table.print();
    Ok(())
}

async fn warm_up(world: &World, cluster: &Cluster, watch: &Watch) -> anyhow::Result<()> {
    start(world, cluster, watch, "restart-warm", &[])
        .await
        .map(drop)
}

/// Seconds from the start of a process to the volume of a claim that was waiting. The process is stopped, and the claim gone, at the end.
async fn start(
    world: &World,
    cluster: &Cluster,
    watch: &Watch,
    label: &str,
    settings: &[(&str, &str)],
) -> anyhow::Result<f64> {
    let claims = Claims::make(cluster, label, 1).await?;
    claims.asked_for(cluster).await?;
    let since = Instant::now();
    let provisioner = Provisioner::start_with(world, settings)?;
    let came = watch.all(&claims.volumes, |times| times.came).await?;
    let first = came.first().map_or(f64::NAN, |came| millis(*came - since));
    claims.bound(watch).await?;
    claims.delete(cluster).await?;
    watch.all(&claims.volumes, |times| times.gone).await?;
    provisioner.stop().await?;
    Ok(first / 1e3)
}

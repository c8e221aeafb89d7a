//! What the rooms know, as metrics: read whenever somebody scrapes, and kept nowhere.
//!
//! Refused here: waiting, and asking a server.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use jiff::Timestamp;
use nfs_export::{Export, State};

use super::{
    Context,
    events::Counts,
    queue::Depth,
    stores::Stores,
    survey::{Found, Survey},
};
use crate::{
    plan::facts::{Request, Standing},
    telemetry::{
        health::PATIENCE,
        metrics::{Metrics, Readings, families as f},
    },
};

/// From here on every scrape reads `ctx`'s rooms; looks after how full the shares are, for ever.
pub async fn run(ctx: Arc<Context>) {
    let survey = Arc::new(Survey::default());
    plug(&ctx, survey.clone());
    let heart = ctx.health.heart("survey", PATIENCE);
    survey.run(&ctx.shares, &heart).await;
}

fn plug(ctx: &Arc<Context>, survey: Arc<Survey>) {
    // The metrics are a part of the context: a strong reference here would keep both for ever.
    let weak: Weak<Context> = Arc::downgrade(ctx);
    ctx.metrics.at_scrape(move |out| {
        let Some(ctx) = weak.upgrade() else { return };
        out.add(&f::LEADER, [], truth(ctx.leadership.is_leading()));
        queue(out, "claim", ctx.queues.claims.depth());
        queue(out, "volume", ctx.queues.volumes.depth());
        events(out, &ctx.events.counts());
        classes(&ctx.metrics, &ctx.stores);
        claims(out, &ctx.stores);
        volumes(out, &ctx.stores);
        for export in ctx.shares.all() {
            share(out, &export, &survey.of(export.target()));
        }
    });
}

fn queue(out: &mut Readings, work: &str, depth: Depth) {
    out.add(
        &f::QUEUE_DEPTH,
        [work],
        count(depth.ready + depth.delayed + depth.working),
    );
    out.add(&f::RETRIES, [work], number(depth.retries));
}

fn events(out: &mut Readings, counts: &Counts) {
    let outcomes = [
        ("created", counts.created),
        ("recounted", counts.recounted),
        ("dropped", counts.dropped),
        ("failed", counts.failed),
    ];
    for (outcome, so_far) in outcomes {
        out.add(&f::EVENTS, [outcome], number(so_far));
    }
    out.add(&f::EVENTS_PENDING, [], count(counts.pending));
}

fn classes(metrics: &Metrics, stores: &Stores) {
    stores.each_class(|class| {
        metrics.provision().know(&class.name);
        metrics.delete().know(&class.name);
    });
}

/// Claims without a volume are in the store; those with one are counted as their volumes, see [`volumes`].
fn claims(out: &mut Readings, stores: &Stores) {
    let mut waiting: HashMap<Box<str>, usize> = HashMap::new();
    let mut oldest = None;
    stores.each_claim(|claim| {
        let Standing::Wanting(request) = &claim.standing else {
            return;
        };
        let class = request.class.as_deref().unwrap_or_default();
        sum_up(&mut waiting, class, |claims| *claims += 1);
        if is_our_turn(stores, request) {
            oldest = oldest.into_iter().chain(request.created).min();
        }
    });
    for (class, claims) in waiting {
        out.add(&f::CLAIMS, ["Pending", &class], count(claims));
    }
    let now = Timestamp::now().as_second();
    let age = oldest.map_or(0, |created| now.saturating_sub(created).max(0));
    out.add(&f::OLDEST_WAITING, [], number(age.unsigned_abs()));
}

/// Not before the scheduler has chosen a node, where the class says so.
fn is_our_turn(stores: &Stores, request: &Request) -> bool {
    let waits_for_consumer = || {
        let class = request.class.as_deref().and_then(|name| stores.class(name));
        class.is_some_and(|class| class.wait_for_first_consumer)
    };
    !request.deleting && (request.node_selected || !waits_for_consumer())
}

fn volumes(out: &mut Readings, stores: &Stores) {
    let mut sums: HashMap<Box<str>, HashMap<&'static str, (usize, u64)>> = HashMap::new();
    stores.each_volume(|volume| {
        if volume.ours {
            sum_up(&mut sums, &volume.class, |phases| {
                let (volumes, bytes) = phases.entry(volume.phase.name()).or_default();
                *volumes += 1;
                *bytes = bytes.saturating_add(volume.capacity);
            });
        }
    });
    for (class, phases) in sums {
        for (phase, (volumes, bytes)) in phases {
            out.add(&f::VOLUMES, [phase, &class], count(volumes));
            out.add(&f::PROVISIONED_BYTES, [&class], number(bytes));
            if phase == "Bound" {
                out.add(&f::CLAIMS, [phase, &class], count(volumes));
            }
        }
    }
}

/// Changes the sum of one class. Its name is copied only when it is new: there may be 100,000 volumes of it.
fn sum_up<T: Default>(sums: &mut HashMap<Box<str>, T>, class: &str, change: impl FnOnce(&mut T)) {
    if let Some(sum) = sums.get_mut(class) {
        change(sum);
    } else {
        change(sums.entry(class.into()).or_default());
    }
}

fn share(out: &mut Readings, export: &Export, found: &Found) {
    let target = export.target();
    let name = format!("{}:{}", target.server, target.path);
    let share = [name.as_str()];
    let is_up = matches!(*export.state().borrow(), State::Up);
    out.add(&f::SHARE_UP, share, truth(is_up));
    if let Some(room) = found.room {
        out.add(&f::SHARE_SIZE, share, number(room.total_bytes));
        out.add(&f::SHARE_AVAILABLE, share, number(room.available_bytes));
        out.add(&f::SHARE_INODES, share, number(room.total_files));
        out.add(
            &f::SHARE_INODES_AVAILABLE,
            share,
            number(room.available_files),
        );
    }
    if let Some(archives) = found.archives {
        out.add(&f::ARCHIVES, share, number(archives));
    }
    calls(out, export, &name);
}

fn calls(out: &mut Readings, export: &Export, name: &str) {
    let stats = export.stats();
    if let Some(took) = stats.last_round_trip() {
        out.add(&f::SHARE_ROUND_TRIP, [name], took.as_secs_f64());
    }
    out.add(&f::NFS_IN_FLIGHT, [name], number(stats.in_flight()));
    out.add(&f::NFS_RETRANSMITS, [name], number(stats.retransmits()));
    out.add(&f::NFS_RECONNECTS, [name], number(stats.reconnects()));
    out.add(&f::REMOVALS, [], number(stats.removals()));
    out.add(&f::ENTRIES_REMOVED, [], number(stats.entries_removed()));
    for (procedure, status, calls) in stats.calls() {
        out.add(&f::NFS_CALLS, [name, procedure, status], number(calls));
    }
    for all in stats.durations() {
        out.add_histogram(
            &f::NFS_DURATION,
            [name, all.procedure],
            &all.buckets,
            (all.count, all.sum.as_secs_f64()),
        );
    }
}

fn truth(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[expect(clippy::cast_precision_loss, reason = "samples are floating point")]
fn number(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "samples are floating point")]
fn count(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;

//! The loops that turn as long as the process lives, whether it leads or not.

use std::sync::Arc;

use crate::controller::{Context, unused};
use crate::shares::{Change, Changes};
use crate::telemetry::health::{Health, PATIENCE, Ready};
use kube::Client;
use nfs_export::Target;

/// Dials the default share at once, those of the classes as soon as these are known, and wakes what waits whenever a share comes up. Leaves
/// those that nobody needs any more.
pub(super) async fn follow_shares(ctx: Arc<Context>, changes: Changes, answered: Ready) {
    let dial = async {
        // The state tells how it went, and the export goes on by itself.
        let _ = ctx.shares.export(ctx.shares.default_target()).probe().await;
        ctx.stores.synced().await;
        for share in ctx.stores.served().all() {
            let _ = ctx.shares.export(&Target::from(share)).probe().await;
        }
        std::future::pending::<()>().await;
    };
    let is_default = |target: &Target| target == ctx.shares.default_target();
    let follow = changes.run(|change| match change {
        Change::Up(target) => {
            if is_default(&target) {
                answered.met();
            }
            ctx.queues.wake_all();
            ctx.share_came_up.notify_one();
        }
        // One that has answered once is no longer waited for.
        Change::Down(target, reason) if is_default(&target) => answered.not_yet(reason),
        Change::Down(..) => {}
    });
    let heart = ctx.health.heart("share states", PATIENCE);
    heart
        .while_waiting(async { tokio::join!(dial, follow, unused::run(&ctx)) })
        .await;
}

/// Never ends: every part of the background is there for the whole life of the process.
pub(super) async fn report_synced(ctx: Arc<Context>, synced: Ready) {
    ctx.stores.synced().await;
    synced.met();
    std::future::pending::<()>().await;
}

/// A timer that fires shows that the runtime's threads are not stuck; nothing that waits for a server is asked.
pub(super) async fn beat(health: Health) {
    let heart = health.heart("runtime", PATIENCE);
    heart.while_waiting(std::future::pending::<()>()).await;
}

pub(super) async fn follow_api(ctx: Arc<Context>, client: Client) {
    let heart = ctx.health.heart("API server pulse", PATIENCE);
    heart
        .while_waiting(ctx.pulse.run(client, || ctx.queues.wake_all()))
        .await;
}

//! The loops that turn as long as the process lives, whether it leads or not.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use nfs_export::Target;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::controller::Context;
use crate::controller::access::{Access, Error};
use crate::controller::events::Events;
use crate::controller::leader::Leader;
use crate::shares::{Change, Changes};
use crate::telemetry::health::{Health, Ready};
use crate::telemetry::log::chain;

/// Dials the default share at once, those of the classes as soon as these are known, and wakes what waits whenever a share comes up.
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
    let follow = changes.run(|change| {
        if let Change::Up(target) = change {
            if target == *ctx.shares.default_target() {
                answered.met();
            }
            ctx.queues.wake_all();
            ctx.share_came_up.notify_one();
        }
    });
    tokio::join!(dial, follow);
}

/// Never ends: every part of the background is there for the whole life of the process.
pub(super) async fn report_synced(ctx: Arc<Context>, synced: Ready) {
    ctx.stores.synced().await;
    synced.met();
    std::future::pending::<()>().await;
}

/// A timer that fires shows that the runtime's threads are not stuck; nothing that waits for a server is asked.
pub(super) async fn beat(health: Health) {
    let heart = health.heart("runtime", BEAT * 10);
    loop {
        heart.beat();
        tokio::time::sleep(BEAT).await;
    }
}

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(1);

pub(super) async fn follow_api(ctx: Arc<Context>, client: Client) {
    ctx.pulse.run(client, || ctx.queues.wake_all()).await;
}

/// Asks what this process may do, then stands for leader until `resign`.
pub(super) async fn elect(
    client: &Client,
    namespace: &str,
    access: &watch::Sender<Access>,
    ctx: &Context,
    leader: Option<Leader>,
    resign: &CancellationToken,
) {
    // An API server that is away must not keep the process from ending.
    let held = tokio::select! {
        held = ask_access(client, namespace, access, &ctx.events) => held,
        () = resign.cancelled() => return,
    };
    let lock = async {
        match leader {
            Some(leader) => leader.run(held, resign.clone()).await,
            None => resign.cancelled().await,
        }
    };
    tokio::select! {
        () = lock => {}
        () = follow_access(client, namespace, access, ctx) => {}
    }
}

/// Asks what this process may do, until there is an answer.
async fn ask_access(
    client: &Client,
    namespace: &str,
    access: &watch::Sender<Access>,
    events: &Events,
) -> Access {
    let (mut told, mut refused) = (false, 0);
    loop {
        let asked = tokio::time::timeout(ANSWER_WITHIN, Access::ask(client, namespace)).await;
        let asked = match asked {
            Ok(Err(error)) if is_refused_for_good(&error, &mut refused) => Ok(Ok(Access::of_go())),
            asked => asked,
        };
        match asked {
            Ok(Ok(answer)) => {
                answer.log();
                events.set_allowed(answer.events);
                access.send_replace(answer.clone());
                return answer;
            }
            Ok(Err(error)) => {
                if !std::mem::replace(&mut told, true) {
                    warn!(
                        reason = chain(&error),
                        "API server does not say what is allowed; asking on"
                    );
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Err(_elapsed) => {
                if !std::mem::replace(&mut told, true) {
                    warn!(waited = ?ANSWER_WITHIN, "API server does not answer; asking on");
                }
            }
        }
    }
}

/// Only after a while: a server that has just started forbids everything.
fn is_refused_for_good(error: &Error, refused: &mut u32) -> bool {
    *refused += u32::from(error.is_refusal());
    let for_good = *refused >= REFUSED_FOR_GOOD;
    if for_good {
        info!("access reviews forbidden, going by the known rules only");
    }
    for_good
}

/// One a second: a server has read its rules long before.
const REFUSED_FOR_GOOD: u32 = 10;

/// A connection on which nothing comes back is given up after so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Asks again for as long as something is missing that the work needs, for ever: a rule that is added cures without a restart.
async fn follow_access(
    client: &Client,
    namespace: &str,
    access: &watch::Sender<Access>,
    ctx: &Context,
) {
    loop {
        tokio::time::sleep(ASK_ANEW).await;
        let known = access.borrow().clone();
        if known.events && known.missing.is_empty() {
            std::future::pending::<()>().await;
        }
        let asked = tokio::time::timeout(ANSWER_WITHIN, Access::ask(client, namespace)).await;
        match asked {
            Ok(Ok(answer)) if answer != known => {
                answer.log();
                ctx.events.set_allowed(answer.events);
                access.send_replace(answer);
                ctx.queues.wake_all();
            }
            Ok(Err(error)) => debug!(reason = chain(&error), "what is allowed is not said"),
            // Nothing new, or no answer: the next question comes soon enough.
            Ok(Ok(_)) | Err(_) => {}
        }
    }
}

/// Between two questions while rules are missing.
const ASK_ANEW: Duration = Duration::from_secs(30);

/// Pause between two attempts to ask what is allowed.
const ASK_AGAIN: Duration = Duration::from_secs(1);

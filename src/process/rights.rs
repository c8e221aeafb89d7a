//! What this process may do, asked before it begins and whenever that may have changed; and the election, which needs to know it.

use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::controller::Context;
use crate::controller::access::{Access, Error, LockAt};
use crate::controller::events::Events;
use crate::controller::leader::Leader;
use crate::controller::retry_after;
use crate::telemetry::health::PATIENCE;
use crate::telemetry::log::chain;

/// Asks what this process may do, then stands for leader until `resign`.
pub(super) async fn elect(
    client: &Client,
    lock: Option<&LockAt>,
    access: &watch::Sender<Access>,
    ctx: &Context,
    leader: Option<Leader>,
    resign: &CancellationToken,
) {
    let heart = ctx.health.heart("permissions", PATIENCE);
    // An API server that is away must not keep the process from ending.
    let held = tokio::select! {
        held = heart.while_waiting(ask_access(client, lock, access, &ctx.events)) => held,
        () = resign.cancelled() => return,
    };
    let leading = async {
        match leader {
            Some(leader) => leader.run(held, &ctx.health, resign.clone()).await,
            None => resign.cancelled().await,
        }
    };
    tokio::select! {
        () = leading => {}
        () = heart.while_waiting(follow_access(client, lock, access, ctx)) => {}
    }
}

/// Asks what this process may do, until there is an answer.
async fn ask_access(
    client: &Client,
    lock: Option<&LockAt>,
    access: &watch::Sender<Access>,
    events: &Events,
) -> Access {
    let (mut told, mut refused) = (false, 0);
    loop {
        let asked = tokio::time::timeout(ANSWER_WITHIN, Access::ask(client, lock)).await;
        let asked = match asked {
            Ok(Err(error)) if is_refused_for_good(&error, &mut refused) => Ok(Ok(Access::of_go())),
            asked => asked,
        };
        match asked {
            Ok(Ok(answer)) => {
                answer.log(lock.is_some());
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
                let asked = retry_after::of(&error.source).unwrap_or_default();
                tokio::time::sleep(asked.max(ASK_AGAIN)).await;
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

/// Asks again for as long as something is missing that the work needs, for ever: a rule that is added cures without a restart. And once the API
/// server has forbidden something, until all is as it was: a rule that is taken away is named, and what needs it is left off meanwhile.
async fn follow_access(
    client: &Client,
    lock: Option<&LockAt>,
    access: &watch::Sender<Access>,
    ctx: &Context,
) {
    let usual = access.borrow().clone();
    loop {
        tokio::time::sleep(ASK_ANEW).await;
        let known = access.borrow().clone();
        if known == usual && known.missing.is_empty() {
            ctx.forbidden.notified().await;
        }
        let asked = tokio::time::timeout(ANSWER_WITHIN, Access::ask(client, lock)).await;
        match asked {
            Ok(Ok(answer)) if answer != known => {
                info!("permissions have changed");
                answer.log(lock.is_some());
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

/// Between two questions while rules are missing, and at least between two others.
const ASK_ANEW: Duration = Duration::from_secs(10);

/// Pause between two attempts to ask what is allowed.
const ASK_AGAIN: Duration = Duration::from_secs(1);

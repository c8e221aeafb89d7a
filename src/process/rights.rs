//! What this process may do, asked before it begins and whenever that may have changed; and the election, which needs to know it.

use std::time::Duration;

use kube::Client;
use tokio::sync::{Notify, watch};
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
    let changed = |answer: &Access| {
        ctx.events.set_allowed(answer.events);
        ctx.queues.wake_all();
    };
    let following = follow_access(client, lock, access, &ctx.forbidden, changed);
    tokio::select! {
        () = leading => {}
        () = heart.while_waiting(following) => {}
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
/// server has forbidden something, until all is as it was when first nothing was missing: a rule that is taken away is named, and what needs it is left
/// off meanwhile.
async fn follow_access(
    client: &Client,
    lock: Option<&LockAt>,
    access: &watch::Sender<Access>,
    forbidden: &Notify,
    changed: impl Fn(&Access),
) {
    let mut usual = None;
    loop {
        tokio::time::sleep(ASK_ANEW).await;
        let known = access.borrow().clone();
        if known.missing.is_empty() && usual.as_ref().is_none_or(|usual| *usual == known) {
            // What may be no more than assumed is no measure of what is answered.
            usual = (known != Access::of_go()).then_some(known.clone());
            forbidden.notified().await;
        }
        let asked = tokio::time::timeout(ANSWER_WITHIN, Access::ask(client, lock)).await;
        match asked {
            Ok(Ok(answer)) if answer != known => {
                info!("permissions have changed");
                answer.log(lock.is_some());
                access.send_replace(answer.clone());
                changed(&answer);
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::controller::double::{Log, mk_client};

    /// `VERB RESOURCE` that the API server does not allow at the moment.
    #[derive(Debug, Clone, Default)]
    struct Refused(Arc<Mutex<Vec<&'static str>>>);

    impl Refused {
        fn set(&self, rules: &[&'static str]) {
            *self.0.lock().unwrap() = rules.to_vec();
        }
    }

    fn mk_server() -> (Client, Log, Refused) {
        let refused = Refused::default();
        let rules = refused.clone();
        let (client, log) = mk_client(move |mut asked| {
            let wanted = &asked.body["spec"]["resourceAttributes"];
            let text = |field: &str| wanted[field].as_str().unwrap_or_default();
            let wanted = format!("{} {}", text("verb"), text("resource"));
            let allowed = !rules.0.lock().unwrap().contains(&wanted.as_str());
            asked.body["status"] = json!({"allowed": allowed});
            async move { (StatusCode::CREATED, asked.body) }
        });
        (client, log, refused)
    }

    /// Follows what is allowed, at first `known`, for as long as `play` takes.
    async fn following(
        client: &Client,
        known: Access,
        forbidden: &Notify,
        play: impl AsyncFnOnce(&watch::Sender<Access>),
    ) {
        let access = watch::channel(known).0;
        tokio::select! {
            () = follow_access(client, None, &access, forbidden, |_| {}) => {}
            () = play(&access) => {}
        }
    }

    /// Whether anything is asked in the next minutes, though nothing was forbidden.
    async fn asks_on(log: &Log) -> bool {
        // An answer that is on its way.
        tokio::time::sleep(ASK_ANEW / 2).await;
        let before = log.all().len();
        tokio::time::sleep(10 * ASK_ANEW).await;
        log.all().len() > before
    }

    #[tokio::test(start_paused = true)]
    async fn once_nothing_is_missing_any_more_nothing_is_asked() {
        let (client, log, refused) = mk_server();
        refused.set(&["create persistentvolumes"]);
        let known = Access::ask(&client, None).await.unwrap();
        let forbidden = Notify::new();
        following(&client, known, &forbidden, async |access| {
            assert!(asks_on(&log).await, "a rule is missing");
            refused.set(&[]);
            let whole = |access: &Access| access.missing.is_empty();
            access.subscribe().wait_for(whole).await.unwrap();
            assert!(!asks_on(&log).await, "the rule is there");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_only_assumed_is_no_measure_of_what_is_answered() {
        let (client, log, _refused) = mk_server();
        let forbidden = Notify::new();
        following(&client, Access::of_go(), &forbidden, async |access| {
            assert!(!asks_on(&log).await, "nothing was forbidden");
            forbidden.notify_one();
            access.subscribe().changed().await.unwrap();
            assert_ne!(*access.borrow(), Access::of_go());
            assert!(!asks_on(&log).await, "all is allowed");
        })
        .await;
    }

    /// An extra that is taken away is missed too.
    #[tokio::test(start_paused = true)]
    async fn what_was_forbidden_is_asked_for_until_all_is_as_it_was() {
        let (client, log, refused) = mk_server();
        let known = Access::ask(&client, None).await.unwrap();
        let forbidden = Notify::new();
        following(&client, known.clone(), &forbidden, async |access| {
            assert!(!asks_on(&log).await);
            refused.set(&["patch persistentvolumes", "update persistentvolumes"]);
            forbidden.notify_one();
            let mut seen = access.subscribe();
            seen.changed().await.unwrap();
            assert!(asks_on(&log).await, "an extra is gone");
            refused.set(&[]);
            seen.changed().await.unwrap();
            assert_eq!(*access.borrow(), known);
            assert!(!asks_on(&log).await, "it is back");
        })
        .await;
    }
}

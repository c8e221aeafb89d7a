//! What acts on the cluster and on the shares: everything that has a client, and nothing that decides.
//!
//! ```text
//! stores ──> queues ──> worker ──> claim, volume ──> shares, volumes_api ──> events
//!               ^                      │ key and delay
//!               └──────────────────────┘
//! ```

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use self::access::Access;
use self::events::Events;
use self::failure::Failure;
use self::hindsight::Hindsight;
use self::leader::Leadership;
use self::made::Made;
use self::missing::Missing;
use self::paths::Paths;
use self::pulse::Pulse;
use self::stores::{ClaimKey, Queues, Stores, VolumeKey};
use self::volumes_api::VolumesApi;
use self::waits::Waits;
use crate::config::Limits;
use crate::shares::Shares;
use crate::telemetry::health::{Health, PATIENCE};
use crate::telemetry::log::Repeats;
use crate::telemetry::metrics::Metrics;

pub mod access;
mod away;
mod claim;
#[cfg(test)]
pub(crate) mod double;
pub mod events;
pub mod failure;
pub mod hindsight;
mod lanes;
pub mod leader;
pub mod made;
pub mod missing;
mod parents;
pub mod paths;
pub mod pulse;
pub mod queue;
pub mod retry_after;
pub mod scrape;
pub mod stores;
pub mod survey;
mod sweep;
mod tell;
pub mod unused;
mod volume;
pub mod volumes_api;
pub mod waits;
mod worker;

/// What every attempt needs. Built once; shared by all.
#[derive(Debug)]
pub struct Context {
    /// `PROVISIONER_NAME`
    pub provisioner: Box<str>,
    /// What the cluster holds.
    pub stores: Arc<Stores>,
    /// Where changed keys wait.
    pub queues: Arc<Queues>,
    /// The exports.
    pub shares: Arc<Shares>,
    /// PersistentVolumes, to write to.
    pub volumes: VolumesApi,
    /// Where events are handed in.
    pub events: Events,
    /// Directories in flight.
    pub paths: Paths,
    /// Asks after the API server.
    pub pulse: Arc<Pulse>,
    /// What this process may do.
    pub access: watch::Receiver<Access>,
    /// Whether this process leads.
    pub leadership: Leadership,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether the loops turn.
    pub health: Health,
    /// Told when the API server has forbidden something.
    pub forbidden: Notify,
    /// Told when a share answers (again).
    pub share_came_up: Notify,
    /// Whether this term has seen the volumes afresh.
    pub hindsight: Hindsight,
    /// Keeps the same trouble from being logged for every key.
    pub repeats: Repeats<String>,
    /// Claims whose class is not there.
    pub classless: Missing<ClaimKey>,
    /// Claims that wait for what should take moments.
    pub claims_waiting: Waits<ClaimKey>,
    /// Volumes that wait for others.
    pub volumes_waiting: Waits<VolumeKey>,
    /// Directories whose claims have no volume yet.
    pub made: Made,
    /// Attempts at once, on each share.
    pub limits: Limits,
}

/// The time as leader: queues are open while it lasts.
struct Term<'a>(&'a Context);

// === impl Context ===

impl Context {
    /// Works whenever this process leads, until `drain` is cancelled and what is under way has ended.
    pub async fn work(&self, drain: &CancellationToken) {
        let mut leadership = self.leadership.clone();
        while !drain.is_cancelled() {
            let term = tokio::select! {
                term = leadership.term() => term,
                () = drain.cancelled() => return,
            };
            let Some(term) = term else { return };
            if term.spend(self.lead(drain)).await.is_none() {
                warn!(
                    "no longer the leader: what was under way is cut off, the next leader finishes it"
                );
            }
        }
    }

    /// Asked before each effect. The end of a term cuts attempts off, but a process that was stopped and goes on may get to an effect before it gets to
    /// the end of its term.
    fn fence(&self) -> Result<(), Failure> {
        if self.leadership.is_leading() {
            Ok(())
        } else {
            Err(Failure::NotLeading)
        }
    }

    /// Works through the queues as the leader. Once `drain` is cancelled nothing new is begun and the future ends with the attempts under
    /// way; dropping it cuts them off, as a leader that lost its lock must.
    async fn lead(&self, drain: &CancellationToken) {
        tokio::select! {
            () = self.stores.synced() => {}
            // A list may fail for as long as it likes: nothing is under way that would have to end.
            () = drain.cancelled() => return,
        }
        let _term = Term::begin(self);
        let hearts = ["claim workers", "volume workers", "sweep"]
            .map(|name| self.health.heart(name, PATIENCE));
        let claims = worker::Work {
            queue: &self.queues.claims,
            limit: self.limits.claims,
            lane: |key: &ClaimKey| claim::share(self, key),
            heart: &hearts[0],
            span: |key: &ClaimKey| claim::span(self, key),
        };
        let volumes = worker::Work {
            queue: &self.queues.volumes,
            limit: self.limits.volumes,
            lane: |key: &VolumeKey| volume::share(self, key),
            heart: &hearts[1],
            span: |key: &VolumeKey| volume::span(self, key),
        };
        let work = async {
            tokio::join!(
                claims.run(drain, |key| claim::attempt(self, key)),
                volumes.run(drain, |key| volume::attempt(self, key)),
            )
        };
        tokio::select! {
            _ = work => {}
            () = sweep::run(self, &hearts[2]) => {}
        }
    }

    /// Logs what stopped an attempt, the same cause once a minute, and wonders about the API server where that is what failed.
    fn note(&self, failure: &Failure, reason: &str, what: &'static str) {
        let in_doubt = match failure {
            Failure::Api { source, .. } => pulse::is_out_of_reach(source),
            Failure::Slow { .. } => true,
            _ => false,
        };
        if in_doubt {
            self.pulse.doubt();
        }
        if failure.is_forbidden() {
            self.forbidden.notify_one();
        }
        if let Some(kept_back) = self.repeats.say(&failure.cause()) {
            error!(reason, kept_back, "{what}");
        } else {
            // So that the story of each claim is whole for those who ask for all of it.
            debug!(reason, "{what}");
        }
    }
}

// === impl Term ===

impl<'a> Term<'a> {
    fn begin(ctx: &'a Context) -> Self {
        // Another process may have led meanwhile: what was in flight here is over.
        ctx.paths.clear();
        volume::inherit(ctx);
        ctx.made.clear();
        ctx.claims_waiting.clear();
        ctx.volumes_waiting.clear();
        for export in ctx.shares.all() {
            export.forget();
        }
        ctx.hindsight.forget();
        ctx.queues.open();
        ctx.stores.enqueue_all();
        Self(ctx)
    }
}

impl Drop for Term<'_> {
    fn drop(&mut self) {
        self.0.queues.close();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::double::{mk_client, mk_context, status};
    use super::*;
    use crate::plan::place::Place;
    use crate::plan::shares::Share;

    /// The lock is there and some list is not: that must not cost the whole grace period.
    #[tokio::test(start_paused = true)]
    async fn a_leader_whose_stores_are_not_synced_stops_at_once() {
        let (client, _log) =
            mk_client(async |_| status(StatusCode::SERVICE_UNAVAILABLE, "not now"));
        let share = Share {
            root: Place::new("nfs", "/data").unwrap(),
            nfs_port: None,
            mount_port: None,
        };
        let ctx = mk_context(client, &share, Leadership::always());
        let drain = CancellationToken::new();
        let mut work = std::pin::pin!(ctx.work(&drain));
        let waited = tokio::time::timeout(Duration::from_secs(60), &mut work).await;
        assert!(waited.is_err(), "it waits for the lists");
        drain.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(1), work).await;
        assert!(ended.is_ok(), "it waits on");
    }
}

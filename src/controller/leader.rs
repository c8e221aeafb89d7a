//! One process works, the others stand by: takes the lock, renews it, and tells the rest of the process.
//!
//! What to do is decided in [`plan::lock`](crate::plan::lock); here it is looked at, written and waited for. The lock is a Lease where the rules
//! allow one, else the Endpoints object of the Go provisioner; in both cases a Go provisioner that holds the Endpoints object is left to
//! finish. A term ends here before it can begin elsewhere: at the renewal deadline nothing is waited for any more, not even an
//! answer in flight.
//!
//! Refused here: ending the process. A leader that has lost its lock stands by.

mod candidate;
mod object;
mod term;
mod view;

use std::time::Duration;

use kube::Client;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    controller::{
        access::{Access, LockAt, OldLock},
        events::Events,
    },
    plan::lock::Terms,
    telemetry::health::{Health, PATIENCE},
};
use candidate::Candidate;
use object::LockObject;
pub use term::{Leadership, Term};
use view::View;

/// Between two questions whether a lock is allowed at all.
const ASK_AGAIN: Duration = Duration::from_mins(1);
/// Time to give the lock back at the end.
const RELEASE: Duration = Duration::from_secs(2);

/// Where the lock is, and who wants it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The lock object.
    pub at: LockAt,
    /// `HOSTNAME_UUID`, another for each process.
    pub identity: String,
    /// How long everything lasts.
    pub terms: Terms,
}

/// Takes part in the election while [`Leader::run`] is polled.
#[must_use = "nobody leads unless `run` is polled"]
pub struct Leader {
    client: Client,
    setup: Setup,
    events: Events,
    current: watch::Sender<Option<Term>>,
}

// === impl Leader ===

impl Leader {
    /// A candidate, and what tells the others whether it leads. Nothing is asked before [`Leader::run`].
    pub fn new(client: Client, setup: Setup, events: Events) -> (Self, Leadership) {
        let (current, leadership) = Leadership::new();
        (
            Self {
                client,
                setup,
                events,
                current,
            },
            leadership,
        )
    }

    /// Stands for election, leads, stands by again, until `stop`; then gives the lock back. `access` is what was answered last; where
    /// it allows no lock at all nothing is tried, and it is asked again every minute.
    ///
    /// Cancel `stop` only after the work has ended: up to then the lock is renewed.
    pub async fn run(self, access: Access, health: &Health, stop: CancellationToken) {
        let Self {
            client,
            setup,
            events,
            current,
        } = self;
        // In one turn each of the objects is looked at and one is written, for half a renewal deadline each at most.
        let heart = health.heart("leader election", PATIENCE + 2 * setup.terms.lease);
        let found = tokio::select! {
            found = heart.while_waiting(objects(&client, &setup, access)) => found,
            () = stop.cancelled() => return,
        };
        let (lock, old) = found;
        let mut candidate = Candidate::new(View::new(setup, lock, old), events, heart);
        tokio::select! {
            () = candidate.elect(&current) => {}
            () = stop.cancelled() => {}
        }
        // Dropping the election has ended the term; nobody works any more.
        current.send_replace(None);
        if timeout(RELEASE, candidate.release()).await.is_err() {
            debug!("lock not given back in time, it will run out");
        }
    }
}

/// The objects that may be touched: the lock, and the old one to be respected beside it.
async fn objects(
    client: &Client,
    setup: &Setup,
    mut access: Access,
) -> (LockObject, Option<LockObject>) {
    let LockAt { namespace, name } = &setup.at;
    let endpoints = || LockObject::endpoints(client, namespace, name);
    loop {
        match access.old_lock {
            OldLock::Usable | OldLock::Readable if access.leases => {
                return (
                    LockObject::lease(client, namespace, name),
                    Some(endpoints()),
                );
            }
            OldLock::Hidden if access.leases => {
                return (LockObject::lease(client, namespace, name), None);
            }
            OldLock::Usable => return (endpoints(), None),
            OldLock::Readable | OldLock::Hidden => {}
        }
        warn!(
            namespace,
            name, "neither Lease nor Endpoints allowed: no lock, standing by"
        );
        sleep(ASK_AGAIN).await;
        match timeout(ASK_AGAIN, Access::ask(client, Some(&setup.at))).await {
            Ok(Ok(answer)) => access = answer,
            Ok(Err(error)) => debug!(error = &error as &dyn std::error::Error, "access not known"),
            Err(_elapsed) => debug!("access not known in time"),
        }
    }
}

impl std::fmt::Debug for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leader")
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

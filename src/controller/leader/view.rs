//! What the lock objects say, as seen from here, and what to do about it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use super::{Setup, object::LockObject};
use crate::plan::lock::{self, Observed, Record, Role, Step};

/// The lock, the old one beside it, and the clocks they are seen by.
#[derive(Debug)]
pub(super) struct View {
    setup: Setup,
    lock: LockObject,
    seen: Observed,
    /// A Go provisioner's lock, and what it says.
    old: Option<LockObject>,
    beside: Observed,
    /// Where the instants of `plan::lock` are counted from.
    origin: Instant,
    stamped: (Instant, Timestamp),
}

// === impl View ===

impl View {
    pub(super) fn new(setup: Setup, lock: LockObject, old: Option<LockObject>) -> Self {
        Self {
            setup,
            lock,
            seen: Observed::default(),
            old,
            beside: Observed::default(),
            origin: Instant::now(),
            stamped: (Instant::now(), Timestamp::now()),
        }
    }

    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(super) fn lock(&self) -> &LockObject {
        &self.lock
    }

    /// An instant as `plan::lock` counts it.
    pub(super) fn count(&self, instant: Instant) -> lock::Instant {
        instant.saturating_duration_since(self.origin)
    }

    /// Who holds what, for people.
    pub(super) fn holders(&self) -> String {
        let beside = (!self.is_outlived()).then_some(&self.beside);
        let records = std::iter::once(&self.seen)
            .chain(beside)
            .filter_map(Observed::record);
        let holders = records.map(|record| record.holder_identity.as_str());
        holders
            .filter(|holder| !holder.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(super) fn decide(&mut self, role: Role) -> Step {
        let (now, stamp) = (self.origin.elapsed(), self.stamp());
        let Setup {
            identity, terms, ..
        } = &self.setup;
        let outlived = self.is_outlived().then(Observed::default);
        let beside = outlived.as_ref().unwrap_or(&self.beside);
        lock::decide(identity, terms, role, &self.seen, beside, now, stamp)
    }

    /// The time of day, but never standing still or going back: others see a renewal by its stamp having changed.
    fn stamp(&mut self) -> Timestamp {
        let (when, before) = self.stamped;
        let least = before.checked_add(when.elapsed()).unwrap_or(before);
        let stamp = least.max(Timestamp::now());
        self.stamped = (Instant::now(), stamp);
        stamp
    }

    /// Whether an earlier leader has waited for this very state of the old lock to run out.
    fn is_outlived(&self) -> bool {
        let version = self.old.as_ref().and_then(LockObject::version);
        version.is_some() && version == self.lock.outlived()
    }

    /// Looks at both objects.
    pub(super) async fn look(&mut self) -> Result<(), kube::Error> {
        let within = self.setup.terms.renew / 2;
        let record = answered(within, self.lock.read()).await?;
        self.seen.see(record, self.origin.elapsed());
        self.look_beside(within).await
    }

    /// Looks at the old lock only.
    pub(super) async fn look_beside(&mut self, within: Duration) -> Result<(), kube::Error> {
        let Some(old) = &mut self.old else {
            return Ok(());
        };
        let record = answered(within, old.read()).await?;
        self.beside.see(record, self.origin.elapsed());
        Ok(())
    }

    pub(super) async fn write(&mut self, record: &Record) -> Result<(), kube::Error> {
        // While this process may take the lock, what the old one says has run out: see `decide`.
        let outlived = self.old.as_ref().and_then(LockObject::version);
        let within = self.setup.terms.renew / 2;
        answered(within, self.lock.write(record, outlived)).await?;
        self.seen.see(Some(record.clone()), self.origin.elapsed());
        Ok(())
    }

    /// Gives the lock back if it is ours.
    pub(super) async fn release(&mut self) {
        let Ok(Some(record)) = self.lock.read().await else {
            return;
        };
        if record.holder_identity != self.setup.identity {
            return;
        }
        match self
            .lock
            .write(&record.released(self.stamped.1), None)
            .await
        {
            Ok(()) => info!("lock given back"),
            Err(error) => debug!(
                error = &error as &dyn std::error::Error,
                "lock not given back, it will run out"
            ),
        }
    }
}

/// An answer, or an error when there is none in time.
async fn answered<T>(
    within: Duration,
    asked: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, kube::Error> {
    timeout(within, asked)
        .await
        .unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())))
}

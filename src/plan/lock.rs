//! The leader lock: who may work, decided from what the lock objects say and when they were first seen saying it.
//!
//! ```text
//!            taken, or expired since it was first seen          not renewed in time, or another holder
//! standing by ───────────── Acquire ─────────────> leading ───────────── Lost ─────────────> standing by
//! ```
//!
//! The stamps in a record are for people: a lease runs from when this process first saw it, on this process's own clock, so that the clocks of two
//! machines need not agree. Instants in here are counted from any fixed point of a clock that never goes back.
//!
//! A second lock object can be respected beside the one that is taken: the Endpoints object of a Go provisioner that knows nothing of Leases.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The annotation of an Endpoints object that holds a [`Record`].
pub const ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// An instant: the time since any fixed point of a monotonic clock.
pub type Instant = Duration;

/// How long leading lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Others wait this long after the last renewal that they saw.
    pub lease: Duration,
    /// A leader that has not renewed for this long is none any more. Shorter than `lease`, so that it stops before another begins.
    pub renew: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

/// What a lock object says: client-go's `LeaderElectionRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Who holds the lock; empty: nobody, it was given back.
    #[serde(default)]
    pub holder_identity: String,
    /// For how long after a renewal.
    #[serde(default)]
    pub lease_duration_seconds: i32,
    /// When the holder took it, by the holder's clock.
    #[serde(default)]
    pub acquire_time: Option<Timestamp>,
    /// When the holder last renewed it, by the holder's clock.
    #[serde(default)]
    pub renew_time: Option<Timestamp>,
    /// How often it changed hands.
    #[serde(default)]
    pub leader_transitions: i32,
}

/// A lock object as seen from here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    record: Option<Record>,
    since: Instant,
}

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Not the leader.
    StandingBy,
    /// The leader.
    Leading {
        /// When the last request that took or renewed the lock was sent; not when it was answered, because others count from before that.
        renewed: Instant,
    },
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write this record (with the resourceVersion that was seen, or create the object). If that is refused, somebody else was first: look again.
    Acquire(Record),
    /// Write this record; still the leader until [`Role::Leading`] is too long ago.
    Renew(Record),
    /// Look again after so long, or when the object changes.
    Wait(Duration),
    /// No longer the leader: nothing may be done from now on.
    Lost(Why),
}

/// Why leading has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The deadline for renewing has passed.
    NotRenewed,
    /// The lock, or the one beside it, has this holder.
    HeldBy(String),
    /// The lock is not there any more, or has no holder.
    Gone,
}

/// Decides what to do at `now` as `identity`, seeing the lock itself in `lock` and in `beside` an older lock to be respected (`Observed::default()` where
/// there is none). `stamp` is the time of day, for the record.
pub fn decide(
    identity: &str,
    terms: &Terms,
    role: Role,
    lock: &Observed,
    beside: &Observed,
    now: Instant,
    stamp: Timestamp,
) -> Step {
    let others = [lock, beside]
        .into_iter()
        .filter_map(|seen| seen.held_by_another(identity, now));
    match role {
        Role::Leading { renewed } => lead(identity, terms, renewed, lock, others, now, stamp),
        Role::StandingBy => match others.map(|(_, left)| left).max() {
            Some(left) => Step::Wait(left.min(terms.retry)),
            None => Step::Acquire(Record::taken(identity, terms, lock.record.as_ref(), stamp)),
        },
    }
}

fn lead<'a>(
    identity: &str,
    terms: &Terms,
    renewed: Instant,
    lock: &Observed,
    mut others: impl Iterator<Item = (&'a str, Duration)>,
    now: Instant,
    stamp: Timestamp,
) -> Step {
    if now >= renewed + terms.renew {
        return Step::Lost(Why::NotRenewed);
    }
    if let Some((holder, _)) = others.next() {
        return Step::Lost(Why::HeldBy(holder.to_owned()));
    }
    let Some(mine) = lock
        .record
        .as_ref()
        .filter(|record| record.holder_identity == identity)
    else {
        return Step::Lost(Why::Gone);
    };
    match (renewed + terms.retry).checked_sub(now) {
        Some(left) if !left.is_zero() => Step::Wait(left),
        _ => Step::Renew(mine.renewed(terms, stamp)),
    }
}

// === impl Terms ===

impl Default for Terms {
    /// client-go's: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

impl Terms {
    fn seconds(&self) -> i32 {
        i32::try_from(self.lease.as_secs())
            .unwrap_or(i32::MAX)
            .max(1)
    }
}

// === impl Record ===

impl Record {
    /// What the annotation [`ANNOTATION`] of an Endpoints object says. A text that is no record counts as the record of an unknown holder with the usual
    /// lease: it may be one of a newer form, and a holder that is at work will change it.
    pub fn from_annotation(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            holder_identity: format!("unreadable: {text}"),
            lease_duration_seconds: Terms::default().seconds(),
            ..Self::default()
        })
    }

    /// The value of the annotation, with stamps to the second as client-go writes them.
    pub fn to_annotation(&self) -> String {
        let whole = |stamp: Option<Timestamp>| {
            stamp.and_then(|stamp| Timestamp::from_second(stamp.as_second()).ok())
        };
        let cut = Self {
            acquire_time: whole(self.acquire_time),
            renew_time: whole(self.renew_time),
            ..self.clone()
        };
        serde_json::to_string(&cut).unwrap_or_default()
    }

    /// What a Lease says.
    pub fn from_lease(spec: &LeaseSpec) -> Self {
        Self {
            holder_identity: spec.holder_identity.clone().unwrap_or_default(),
            lease_duration_seconds: spec.lease_duration_seconds.unwrap_or_default(),
            acquire_time: spec.acquire_time.as_ref().map(|time| time.0),
            renew_time: spec.renew_time.as_ref().map(|time| time.0),
            leader_transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }

    /// The Lease that says this.
    pub fn to_lease(&self) -> LeaseSpec {
        let micro = |stamp: Option<Timestamp>| {
            stamp
                .and_then(|stamp| Timestamp::from_microsecond(stamp.as_microsecond()).ok())
                .map(MicroTime)
        };
        LeaseSpec {
            holder_identity: Some(self.holder_identity.clone()),
            lease_duration_seconds: Some(self.lease_duration_seconds),
            acquire_time: micro(self.acquire_time),
            renew_time: micro(self.renew_time),
            lease_transitions: Some(self.leader_transitions),
            ..LeaseSpec::default()
        }
    }

    /// What gives the lock back: nobody holds it, and for a second only. Older client-go waits that second out.
    #[must_use]
    pub fn released(&self, stamp: Timestamp) -> Self {
        Self {
            holder_identity: String::new(),
            lease_duration_seconds: 1,
            acquire_time: Some(stamp),
            renew_time: Some(stamp),
            leader_transitions: self.leader_transitions,
        }
    }

    fn taken(identity: &str, terms: &Terms, before: Option<&Self>, stamp: Timestamp) -> Self {
        if let Some(mine) = before.filter(|record| record.holder_identity == identity) {
            return mine.renewed(terms, stamp);
        }
        Self {
            holder_identity: identity.to_owned(),
            lease_duration_seconds: terms.seconds(),
            acquire_time: Some(stamp),
            renew_time: Some(stamp),
            leader_transitions: before
                .map_or(0, |record| record.leader_transitions.saturating_add(1)),
        }
    }

    fn renewed(&self, terms: &Terms, stamp: Timestamp) -> Self {
        Self {
            lease_duration_seconds: terms.seconds(),
            renew_time: Some(stamp),
            ..self.clone()
        }
    }
}

// === impl Observed ===

impl Observed {
    /// Takes in what the object says at `now` (`None`: there is no object, or it has no record). The same record again does not prolong the lease.
    pub fn see(&mut self, record: Option<Record>, now: Instant) {
        if self.record != record {
            *self = Self { record, since: now };
        }
    }

    /// What it said last.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// A holder other than `identity` whose lease has not run out, and for how long it still runs.
    fn held_by_another(&self, identity: &str, now: Instant) -> Option<(&str, Duration)> {
        let record = self.record.as_ref()?;
        let holder = record.holder_identity.as_str();
        if holder.is_empty() || holder == identity {
            return None;
        }
        let lease =
            Duration::from_secs(u64::try_from(record.lease_duration_seconds).unwrap_or_default());
        let left = (self.since + lease)
            .checked_sub(now)
            .filter(|left| !left.is_zero())?;
        Some((holder, left))
    }
}

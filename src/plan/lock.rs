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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ME: &str = "host_me";

    fn mk_record(holder: &str) -> Record {
        Record {
            holder_identity: holder.into(),
            lease_duration_seconds: 15,
            leader_transitions: 3,
            ..Record::default()
        }
    }

    fn mk_seen(record: Option<Record>, at: u64) -> Observed {
        let mut seen = Observed::default();
        seen.see(record, Duration::from_secs(at));
        seen
    }

    fn mk_step(role: Role, lock: &Observed, beside: &Observed, now: u64) -> Step {
        decide(
            ME,
            &Terms::default(),
            role,
            lock,
            beside,
            Duration::from_secs(now),
            Timestamp::UNIX_EPOCH,
        )
    }

    fn wait(seconds: u64) -> Step {
        Step::Wait(Duration::from_secs(seconds))
    }

    /// What the lock and the one beside it say, first seen at second 100, and what follows at a later second.
    #[test]
    fn a_standby_takes_what_nobody_holds() {
        let (free, held) = (|| Some(mk_record("")), || Some(mk_record("other")));
        let (nothing, released) = (Observed::default(), mk_seen(free(), 100));
        let (other, mine) = (mk_seen(held(), 100), mk_seen(Some(mk_record(ME)), 100));
        for (outcome, lock, beside, now, taken) in [
            ("there is no lock yet", &nothing, &nothing, 100, Some(0)),
            ("it was given back", &released, &nothing, 100, Some(4)),
            ("it is held", &other, &nothing, 101, None),
            ("it is held to the last second", &other, &nothing, 114, None),
            ("it has run out", &other, &nothing, 115, Some(4)),
            ("it is ours from before", &mine, &nothing, 101, Some(3)),
            (
                "free, but a Go provisioner holds the older lock",
                &released,
                &other,
                101,
                None,
            ),
            (
                "no lock, but a Go provisioner holds the older lock",
                &nothing,
                &other,
                101,
                None,
            ),
            (
                "free, and the older lock has run out",
                &released,
                &other,
                115,
                Some(4),
            ),
            (
                "free, and the older lock is free",
                &released,
                &released,
                101,
                Some(4),
            ),
        ] {
            match (mk_step(Role::StandingBy, lock, beside, now), taken) {
                (Step::Acquire(record), Some(transitions)) => {
                    assert_eq!(
                        (&*record.holder_identity, record.leader_transitions),
                        (ME, transitions),
                        "{outcome}"
                    );
                    assert_eq!(record.lease_duration_seconds, 15, "{outcome}");
                }
                (Step::Wait(left), None) => assert!(
                    !left.is_zero() && left <= Terms::default().retry,
                    "{outcome}: {left:?}"
                ),
                (step, _) => panic!("{outcome}: {step:?}"),
            }
        }
    }

    #[test]
    fn a_standby_looks_again_just_when_the_lease_runs_out() {
        assert_eq!(
            mk_step(
                Role::StandingBy,
                &mk_seen(Some(mk_record("other")), 100),
                &Observed::default(),
                114
            ),
            wait(1)
        );
    }

    #[test]
    fn a_leader_renews_until_it_cannot() {
        let mine = mk_seen(Some(mk_record(ME)), 100);
        let (nothing, other) = (Observed::default(), mk_seen(Some(mk_record("other")), 100));
        let leading = Role::Leading {
            renewed: Duration::from_secs(100),
        };
        for (outcome, lock, beside, now, step) in [
            ("just renewed", &mine, &nothing, 100, wait(2)),
            ("not yet due", &mine, &nothing, 101, wait(1)),
            (
                "due",
                &mine,
                &nothing,
                102,
                Step::Renew(Record {
                    renew_time: Some(Timestamp::UNIX_EPOCH),
                    ..mk_record(ME)
                }),
            ),
            (
                "the deadline has passed",
                &mine,
                &nothing,
                110,
                Step::Lost(Why::NotRenewed),
            ),
            (
                "somebody else has it",
                &other,
                &nothing,
                101,
                Step::Lost(Why::HeldBy("other".into())),
            ),
            (
                "a Go provisioner took the older lock",
                &mine,
                &other,
                101,
                Step::Lost(Why::HeldBy("other".into())),
            ),
            (
                "somebody else had it, and it has run out",
                &mk_seen(Some(mk_record("other")), 80),
                &nothing,
                101,
                Step::Lost(Why::Gone),
            ),
            (
                "the lock was deleted",
                &nothing,
                &nothing,
                101,
                Step::Lost(Why::Gone),
            ),
        ] {
            assert_eq!(mk_step(leading, lock, beside, now), step, "{outcome}");
        }
    }

    #[test]
    fn a_leader_stops_before_anybody_may_begin() {
        // It renewed at 100; another saw that at 100 at the earliest.
        let (mine, terms) = (mk_seen(Some(mk_record(ME)), 100), Terms::default());
        let leading = Role::Leading {
            renewed: Duration::from_secs(100),
        };
        for now in 100..120 {
            let at = Duration::from_secs(now);
            let works = !matches!(
                mk_step(leading, &mine, &Observed::default(), now),
                Step::Lost(_)
            );
            let taken = matches!(
                decide(
                    "other",
                    &terms,
                    Role::StandingBy,
                    &mine,
                    &Observed::default(),
                    at,
                    Timestamp::UNIX_EPOCH
                ),
                Step::Acquire(_)
            );
            assert!(!(works && taken), "two at {now}");
        }
    }

    #[test]
    fn the_stamps_of_a_record_do_not_matter_only_that_they_change() {
        let at = |second| Record {
            renew_time: Timestamp::from_second(second).ok(),
            ..mk_record("other")
        };
        let mut seen = mk_seen(Some(at(-3_600)), 100);
        assert_eq!(
            mk_step(Role::StandingBy, &seen, &Observed::default(), 101),
            wait(2),
            "an hour behind, but just seen"
        );
        seen.see(Some(at(-3_600)), Duration::from_secs(110));
        assert!(
            matches!(
                mk_step(Role::StandingBy, &seen, &Observed::default(), 115),
                Step::Acquire(_)
            ),
            "the same again does not prolong it"
        );
        seen.see(Some(at(-3_590)), Duration::from_secs(114));
        assert_eq!(
            mk_step(Role::StandingBy, &seen, &Observed::default(), 115),
            wait(2),
            "renewed"
        );
    }

    #[test]
    fn the_go_provisioners_record_is_read_and_written_in_its_form() {
        let object: Value =
            serde_json::from_str(include_str!("../../tests/golden/lock.json")).unwrap();
        let text = object["metadata"]["annotations"][ANNOTATION]
            .as_str()
            .unwrap();
        let record = Record::from_annotation(text);
        assert_eq!(
            record.holder_identity,
            "vm_96b14afd-4577-4a06-b991-6d6cc83b4591"
        );
        assert_eq!(
            (record.lease_duration_seconds, record.leader_transitions),
            (15, 0)
        );
        assert_eq!(record.to_annotation(), text);
    }

    #[test]
    fn annotations_of_other_versions_are_read() {
        let newer = json!({"holderIdentity": "a", "leaseDurationSeconds": 20, "acquireTime": null, "renewTime": "2026-11-22T14:04:12.5Z",
            "leaderTransitions": 1, "strategy": "", "preferredHolder": ""});
        let record = Record::from_annotation(&newer.to_string());
        assert_eq!(
            (
                &*record.holder_identity,
                record.lease_duration_seconds,
                record.acquire_time
            ),
            ("a", 20, None)
        );
        assert_eq!(Record::from_annotation("{}"), Record::default());
    }

    #[test]
    fn an_unreadable_annotation_is_respected_for_one_lease() {
        let garbage = mk_seen(Some(Record::from_annotation("?")), 100);
        assert_eq!(
            mk_step(Role::StandingBy, &garbage, &Observed::default(), 101),
            wait(2)
        );
        assert!(matches!(
            mk_step(Role::StandingBy, &garbage, &Observed::default(), 115),
            Step::Acquire(_)
        ));
        assert_ne!(
            Record::from_annotation("?"),
            Record::from_annotation("!"),
            "a change is seen"
        );
    }

    #[test]
    fn a_lease_says_the_same_as_the_record() {
        let stamp = Timestamp::from_microsecond(1_234_567).unwrap();
        let record = Record {
            acquire_time: Some(stamp),
            renew_time: Some(stamp),
            ..mk_record(ME)
        };
        assert_eq!(Record::from_lease(&record.to_lease()), record);
    }

    #[test]
    fn giving_back_leaves_no_holder_and_one_second() {
        let record = mk_record(ME).released(Timestamp::UNIX_EPOCH);
        assert_eq!(
            (
                &*record.holder_identity,
                record.lease_duration_seconds,
                record.leader_transitions
            ),
            ("", 1, 3)
        );
        let step = mk_step(
            Role::StandingBy,
            &mk_seen(Some(record), 100),
            &Observed::default(),
            100,
        );
        assert!(matches!(step, Step::Acquire(_)), "{step:?}");
    }
}

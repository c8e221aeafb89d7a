//! What the client counts. Cheap to count (atomics), read as a whole when scraped.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::rpc::proc::Proc;

/// Upper bounds of the duration buckets, in seconds; one more, unbounded, follows.
pub const DURATION_BUCKETS: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// How calls ended, as labels. The first is success, then the statuses of NFS and MOUNT by number, then what has no number.
const OUTCOMES: [(&str, u32); 37] = [
    ("ok", 0),
    ("perm", 1),
    ("noent", 2),
    ("io", 5),
    ("nxio", 6),
    ("acces", 13),
    ("exist", 17),
    ("xdev", 18),
    ("nodev", 19),
    ("notdir", 20),
    ("isdir", 21),
    ("inval", 22),
    ("fbig", 27),
    ("nospc", 28),
    ("rofs", 30),
    ("mlink", 31),
    ("nametoolong", 63),
    ("notempty", 66),
    ("dquot", 69),
    ("stale", 70),
    ("remote", 71),
    ("badhandle", 10001),
    ("not_sync", 10002),
    ("bad_cookie", 10003),
    ("notsupp", 10004),
    ("toosmall", 10005),
    ("serverfault", 10006),
    ("badtype", 10007),
    ("jukebox", 10008),
    ("unknown_status", UNKNOWN),
    ("refused", UNKNOWN),
    ("malformed", UNKNOWN),
    ("timeout", UNKNOWN),
    ("lost", UNKNOWN),
    ("cancelled", UNKNOWN),
    ("unsent", UNKNOWN),
    ("other", UNKNOWN),
];
const UNKNOWN: u32 = u32::MAX;

/// How one call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Status(u32),
    Refused,
    Malformed,
    TimedOut,
    Lost,
    Cancelled,
    Unsent,
}

/// Counters and gauges of one export.
#[derive(Debug)]
pub struct Stats {
    procedures: [Procedure; Proc::ALL.len()],
    pub(crate) in_flight: AtomicU64,
    pub(crate) retransmits: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) remounts: AtomicU64,
    pub(crate) late_replies: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    /// Nanoseconds; 0: none yet.
    pub(crate) round_trip: AtomicU64,
    pub(crate) removals: AtomicU64,
    pub(crate) entries_removed: AtomicU64,
}

/// Durations of the calls of one procedure.
#[derive(Debug, Clone, PartialEq)]
pub struct Durations {
    /// The procedure.
    pub procedure: &'static str,
    /// Calls not slower than each of [`DURATION_BUCKETS`]; cumulative.
    pub buckets: [u64; DURATION_BUCKETS.len()],
    /// All calls.
    pub count: u64,
    /// Their durations added up.
    pub sum: Duration,
}

#[derive(Debug)]
struct Procedure {
    outcomes: [AtomicU64; OUTCOMES.len()],
    buckets: [AtomicU64; DURATION_BUCKETS.len()],
    nanos: AtomicU64,
}

/// Counts one up while it lives.
#[derive(Debug)]
pub(crate) struct Gauge<'a>(&'a AtomicU64);

// === impl Stats ===

impl Default for Stats {
    fn default() -> Self {
        Self {
            procedures: std::array::from_fn(|_| Procedure {
                outcomes: std::array::from_fn(|_| AtomicU64::new(0)),
                buckets: std::array::from_fn(|_| AtomicU64::new(0)),
                nanos: AtomicU64::new(0),
            }),
            in_flight: AtomicU64::new(0),
            retransmits: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            remounts: AtomicU64::new(0),
            late_replies: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            entries_removed: AtomicU64::new(0),
        }
    }
}

impl Stats {
    /// Calls that ended so far, as (procedure, outcome, count). Both are from closed sets; zero counts are left out.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        Proc::ALL
            .into_iter()
            .zip(&self.procedures)
            .flat_map(|(proc, counts)| {
                OUTCOMES
                    .iter()
                    .zip(&counts.outcomes)
                    .map(move |((outcome, _), count)| (proc.name(), *outcome, count.load(Relaxed)))
                    .filter(|(_, _, count)| *count > 0)
            })
    }

    /// How long calls took, from being handed to the connection to their answer; procedures without calls are left out.
    pub fn durations(&self) -> impl Iterator<Item = Durations> {
        Proc::ALL
            .into_iter()
            .zip(&self.procedures)
            .filter_map(|(proc, counts)| counts.durations(proc.name()))
    }

    /// Calls in flight now.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// Calls sent again on a new connection.
    pub fn retransmits(&self) -> u64 {
        self.retransmits.load(Relaxed)
    }

    /// Connections made after the first.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// MOUNT calls repeated because file handles had gone stale.
    pub fn remounts(&self) -> u64 {
        self.remounts.load(Relaxed)
    }

    /// Replies that nobody waited for any more.
    pub fn late_replies(&self) -> u64 {
        self.late_replies.load(Relaxed)
    }

    /// Calls whose caller went away before the answer came.
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Relaxed)
    }

    /// The last round trip, from the last byte of a call sent to its reply; `None` before the first.
    pub fn last_round_trip(&self) -> Option<Duration> {
        match self.round_trip.load(Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Removals under way now.
    pub fn removals(&self) -> u64 {
        self.removals.load(Relaxed)
    }

    /// Directories and other entries that removals have removed so far.
    pub fn entries_removed(&self) -> u64 {
        self.entries_removed.load(Relaxed)
    }

    pub(crate) fn record(&self, proc: Proc, outcome: Outcome, took: Duration) {
        self.procedures[proc as usize].record(outcome, took);
    }

    pub(crate) fn round_trip_took(&self, took: Duration) {
        self.round_trip.store(nanos(took).max(1), Relaxed);
    }
}

// === impl Procedure ===

impl Procedure {
    fn record(&self, outcome: Outcome, took: Duration) {
        self.outcomes[outcome.index()].fetch_add(1, Relaxed);
        let seconds = took.as_secs_f64();
        if let Some(at) = DURATION_BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.buckets[at].fetch_add(1, Relaxed);
        }
        self.nanos.fetch_add(nanos(took), Relaxed);
    }

    fn durations(&self, procedure: &'static str) -> Option<Durations> {
        let count = self.outcomes.iter().map(|n| n.load(Relaxed)).sum();
        let mut below = 0;
        let buckets = std::array::from_fn(|at| {
            below += self.buckets[at].load(Relaxed);
            below
        });
        let sum = Duration::from_nanos(self.nanos.load(Relaxed));
        (count > 0).then_some(Durations {
            procedure,
            buckets,
            count,
            sum,
        })
    }
}

// === impl Outcome ===

impl Outcome {
    fn index(self) -> usize {
        let label = match self {
            Self::Status(code) => {
                return OUTCOMES
                    .iter()
                    .position(|(_, known)| *known == code && code != UNKNOWN)
                    .unwrap_or_else(|| Self::label("unknown_status"));
            }
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::TimedOut => "timeout",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
            Self::Unsent => "unsent",
        };
        Self::label(label)
    }

    fn label(label: &str) -> usize {
        OUTCOMES
            .iter()
            .position(|(known, _)| *known == label)
            .unwrap_or(OUTCOMES.len() - 1)
    }
}

// === impl Gauge ===

impl<'a> Gauge<'a> {
    pub(crate) fn up(of: &'a AtomicU64) -> Self {
        of.fetch_add(1, Relaxed);
        Self(of)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_procedure_and_outcome() {
        let stats = Stats::default();
        stats.record(Proc::MkDir, Outcome::Status(0), Duration::from_micros(300));
        stats.record(Proc::MkDir, Outcome::Status(17), Duration::from_millis(3));
        stats.record(Proc::MkDir, Outcome::Status(12345), Duration::from_mins(1));
        stats.record(Proc::Null, Outcome::TimedOut, Duration::from_secs(30));
        assert_eq!(
            stats.calls().collect::<Vec<_>>(),
            [
                ("null", "timeout", 1),
                ("mkdir", "ok", 1),
                ("mkdir", "exist", 1),
                ("mkdir", "unknown_status", 1)
            ]
        );
        let mkdir = stats.durations().find(|d| d.procedure == "mkdir").unwrap();
        assert_eq!(mkdir.buckets, [0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(
            (mkdir.count, mkdir.sum),
            (3, Duration::from_micros(60_003_300))
        );
    }

    #[test]
    fn a_procedure_is_counted_at_its_own_place() {
        for (at, proc) in Proc::ALL.into_iter().enumerate() {
            assert_eq!(at, proc as usize);
        }
    }

    #[test]
    fn a_gauge_goes_down_when_dropped() {
        let stats = Stats::default();
        let gauge = Gauge::up(&stats.removals);
        assert_eq!(stats.removals(), 1);
        drop(gauge);
        assert_eq!(stats.removals(), 0);
    }
}

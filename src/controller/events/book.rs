//! Which event is written when: a queue, the events already written, and the counts owed to them.
//!
//! Plain data, told the time: nothing here waits or talks. Every event is in one stage:
//! ```text
//! publish ──> Fresh ──> Writing ──> Idle (remembered, then forgotten) <─┐
//!                         │ ^                │ repeat                   │
//!                         v └──── Due <──────┘                          │
//!                       failed ────^            nothing owed ───────────┘
//! ```

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Event, Kind, Options,
    job::{Body, Counts, Job, Key, Outcome, Step},
    object,
};
use shelf::{Entry, Shelf, Stage};

mod shelf;

/// Attempts at one write before the event is given up.
const ATTEMPTS: u32 = 8;
/// First and longest pause of all writing after a failure of the API server.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

#[derive(Debug)]
pub(super) struct Book {
    options: Options,
    shelf: Shelf,
    /// After a failure nothing is written before this.
    paused_until: Option<Instant>,
    failures: u32,
    draining: bool,
    allowed: bool,
    last_stamp: u64,
    counts: Counts,
    hasher: RandomState,
}

// === impl Book ===

impl Book {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            shelf: Shelf::default(),
            paused_until: None,
            failures: 0,
            draining: false,
            allowed: true,
            last_stamp: 0,
            counts: Counts::default(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn set_allowed(&mut self, allowed: bool) {
        self.allowed = allowed;
    }

    pub(super) fn pending(&self) -> usize {
        self.shelf.pending()
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            pending: self.pending(),
            ..self.counts
        }
    }

    /// From here on counts do not wait for their time, and when all is written the answer is [`Step::Done`].
    pub(super) fn drain(&mut self, now: Instant) {
        self.draining = true;
        for key in self.shelf.untroubled() {
            self.shelf.schedule(key, now);
        }
    }

    pub(super) fn publish(&mut self, mut event: Event, now: Instant, clock: Timestamp) {
        event.message = object::bounded(event.message);
        let identity = (&event.regarding.uid, event.reason, &event.message);
        let key = self.hasher.hash_one(identity);
        if let Some(entry) = self.shelf.get_mut(key) {
            entry.total = entry.total.saturating_add(1);
            entry.last = clock;
            if let Stage::Idle(_) = entry.stage {
                self.settle(key, now);
            }
            return;
        }
        if !self.allowed || self.pending() >= self.room_for(event.kind) {
            self.counts.dropped += 1;
            return;
        }
        let name = object::name(&event.regarding.name, self.stamp(clock));
        let first = clock;
        let body = Arc::new(Body { event, name, first });
        self.shelf.insert(key, Entry::new(body, now));
    }

    /// The next request to make, if there is room for one in flight and one to make.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        if self.shelf.writing() >= self.options.in_flight {
            return Step::Wait(None);
        }
        if self.draining && self.pending() == 0 {
            return Step::Done;
        }
        if let Some(until) = self.paused_until.filter(|&until| until > now) {
            return Step::Wait(Some(until));
        }
        match self.shelf.start(now) {
            Some((key, entry)) => Step::Write(Job {
                key,
                body: entry.body.clone(),
                create: !entry.created,
                count: entry.total,
                last: entry.last,
            }),
            // What is due by now waits for a request that is in flight, whose end is no matter of time.
            None => Step::Wait(self.shelf.first_due().filter(|&at| at > now)),
        }
    }

    /// A request came back.
    pub(super) fn done(&mut self, job: &Job, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Later(after) => {
                self.pause(after, now);
                return self.again(job.key, now);
            }
            Outcome::Written if job.create => self.counts.created += 1,
            Outcome::Written => self.counts.recounted += 1,
            Outcome::Refused => self.counts.failed += 1,
            Outcome::Exists | Outcome::Missing => {}
        }
        (self.failures, self.paused_until) = (0, None);
        let Some(entry) = self.shelf.get_mut(job.key) else {
            return;
        };
        entry.created = matches!(outcome, Outcome::Written | Outcome::Exists);
        // A refused event stays known, so that its repeats do not knock at the same door each time.
        entry.written = match outcome {
            Outcome::Exists => 1,
            _ => job.count,
        };
        if outcome == Outcome::Missing {
            return self.again(job.key, now);
        }
        entry.attempts = 0;
        entry.not_before = now + self.options.repeat_every;
        self.settle(job.key, now);
    }

    /// Where an event goes for which no request is in flight.
    fn settle(&mut self, key: Key, now: Instant) {
        let Some(entry) = self.shelf.get_mut(key) else {
            return;
        };
        if entry.total <= entry.written {
            return self.shelf.rest(key, self.options.known);
        }
        let at = if self.draining { now } else { entry.not_before };
        self.shelf.schedule(key, at);
    }

    /// One more attempt, or the end of it.
    fn again(&mut self, key: Key, now: Instant) {
        let Some(entry) = self.shelf.get_mut(key) else {
            return;
        };
        entry.attempts += 1;
        if entry.attempts < ATTEMPTS {
            return self.shelf.schedule(key, self.paused_until.unwrap_or(now));
        }
        self.counts.failed += 1;
        self.shelf.forget(key);
    }

    /// Leaves the API server alone for a while. Those that were in flight together fail together, and count as one failure.
    fn pause(&mut self, after: Option<Duration>, now: Instant) {
        if self.paused_until.is_some_and(|until| until > now) {
            return;
        }
        let pause = PAUSE.0.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        self.paused_until = Some(now + after.unwrap_or(pause).min(PAUSE.1));
    }

    fn room_for(&self, kind: Kind) -> usize {
        match kind {
            Kind::Warning => self.options.queue,
            Kind::Normal => self.options.queue - self.options.queue / 8,
        }
    }

    /// Nanoseconds since 1970, each given out once.
    fn stamp(&mut self, clock: Timestamp) -> u64 {
        let now = u64::try_from(clock.as_nanosecond()).unwrap_or(0);
        self.last_stamp = now.max(self.last_stamp + 1);
        self.last_stamp
    }
}

#[cfg(test)]
mod tests;

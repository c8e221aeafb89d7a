//! What the book asks the writer to do, and what comes of it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::Event;

/// What became of events; all but `pending` only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Written as a new object.
    pub created: u64,
    /// Requests that raised the count of an object.
    pub recounted: u64,
    /// Found no room in the queue, or were not allowed.
    pub dropped: u64,
    /// The API server said no for good, or failed too often.
    pub failed: u64,
    /// Waiting to be written.
    pub pending: usize,
}

/// Stands for an event's uid, reason and message. Two events with one key are a repeat; a collision of 64 random bits would
/// count one event too many, which is no harm.
pub(super) type Key = u64;

/// What does not change about an event once it has a name.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) event: Event,
    pub(super) name: String,
    pub(super) first: Timestamp,
}

/// One request to make.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) key: Key,
    pub(super) body: Arc<Body>,
    /// Whether the object is to be created, and not recounted.
    pub(super) create: bool,
    pub(super) count: u32,
    pub(super) last: Timestamp,
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The API server has it.
    Written,
    /// A create met the object of an earlier attempt whose reply was lost.
    Exists,
    /// A recount met no object: its time to live is over.
    Missing,
    /// Never: forbidden, invalid, a namespace that is going.
    Refused,
    /// Later; after this long, where the API server said so.
    Later(Option<Duration>),
}

/// What to do now.
#[derive(Debug)]
pub(super) enum Step {
    Write(Job),
    /// Nothing, unless something is published, a request comes back, or this time comes.
    Wait(Option<Instant>),
    /// Everything is written, and nothing more was wanted.
    Done,
}

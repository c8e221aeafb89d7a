//! Events on claims, volumes and the lock, written in the background.
//!
//! ```text
//! publish ──> Book (bounded, repeats counted) ──> Writer (8 at a time, 1 for an object) ──> POST | PATCH events
//! ```
//! Publishing never waits and never fails: what does not fit is counted and forgotten, because an event must not stand in the
//! way of the work it tells of. The writer asks for no more than `create` and `patch` on core events, as the Go provisioner does.
//! Refused here: deciding what is worth an event (that is the plan's), and reading events back.

mod book;
mod job;
mod object;
mod writer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use book::Book;
pub use job::Counts;
pub use writer::Writer;

/// The object that an event is about, as its `involvedObject` says it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Regarding {
    /// `v1`, `coordination.k8s.io/v1`, ...
    pub api_version: &'static str,
    /// `PersistentVolumeClaim`, `PersistentVolume`, ...
    pub kind: &'static str,
    /// Empty for what has no namespace: the event is then written to `default`, where `kubectl describe` looks.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// UID of the object: by this `kubectl describe` finds its events.
    pub uid: String,
    /// The version that was looked at.
    pub resource_version: String,
}

/// `type` of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Things go as they should.
    Normal,
    /// Somebody may have to act.
    Warning,
}

/// One thing that happened to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it happened to.
    pub regarding: Regarding,
    /// Good or bad.
    pub kind: Kind,
    /// One word in CamelCase, for machines.
    pub reason: &'static str,
    /// A sentence for people; cut at 1,024 bytes.
    pub message: String,
}

/// Bounds of the events' room.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Events not yet written at most; the last eighth is kept for warnings.
    pub queue: usize,
    /// Written events that are remembered, so that a repeat is counted instead of written anew.
    pub known: usize,
    /// Requests in flight at most.
    pub in_flight: usize,
    /// Time between two writes of the same event at least.
    pub repeat_every: Duration,
    /// Time one request may take.
    pub deadline: Duration,
}

/// Where events are handed in; cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    book: Mutex<Book>,
    /// Told whenever there may be something to write.
    changed: Notify,
    /// Cancelled when the writer has ended, for whatever reason.
    finished: CancellationToken,
}

// === impl Events ===

impl Events {
    /// A handle, and the writer whose [`Writer::run`] must be polled for anything to be written.
    ///
    /// `component` becomes `source.component`: `PROVISIONER_NAME_HOSTNAME_UUID`.
    pub fn new(client: kube::Client, component: &str, options: Options) -> (Self, Writer) {
        let shared = Arc::new(Shared {
            book: Mutex::new(Book::new(options)),
            changed: Notify::new(),
            finished: CancellationToken::new(),
        });
        let writer = Writer::new(client, component.into(), options, shared.clone());
        (Self { shared }, writer)
    }

    /// Hands in an event. Never waits, never fails; see [`Events::counts`] for those that found no room.
    pub fn publish(&self, event: Event) {
        self.shared
            .book()
            .publish(event, Instant::now(), Timestamp::now());
        self.shared.changed.notify_one();
    }

    /// Whether events may be written at all: where the rules do not allow `create` on events, nothing is sent, and what is
    /// published is counted as dropped. Allowed until told otherwise.
    pub fn set_allowed(&self, allowed: bool) {
        self.shared.book().set_allowed(allowed);
    }

    /// What became of the events so far.
    pub fn counts(&self) -> Counts {
        self.shared.book().counts()
    }

    /// Writes what is left, counts that wait for their time included, then ends the writer; gives up after `deadline`.
    /// Returns how many events were left unwritten.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.shared.book().drain(Instant::now());
        self.shared.changed.notify_one();
        // An Err is the deadline: what is left says so.
        let _ = timeout(deadline, self.shared.finished.cancelled()).await;
        self.shared.book().pending()
    }
}

// === impl Shared ===

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        // A panic between two lines of the book leaves at worst one event uncounted.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 16 * 1024,
            known: 2048,
            in_flight: 8,
            repeat_every: Duration::from_secs(10),
            deadline: Duration::from_secs(10),
        }
    }
}

//! Many calls on one connection.
//!
//! One task reads and writes; both advance together in it, so a peer that stops reading cannot keep replies from being read. Calls that are
//! queued when the socket can take them go out in one write; one that is alone is written by its caller. The first error breaks the connection for
//! good: every waiter, and whoever calls later, gets that same [`Broken`].

mod company;
mod driver;
mod outbox;
mod task;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, SemaphorePermit, SetOnce, mpsc, oneshot},
    time::Instant,
};

use super::{Broken, CallError, in_flight::Entry};
use crate::stats::Stats;
use driver::Driver;
use task::Task;

/// A handle on one connection; the connection ends when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Mux {
    submit: mpsc::UnboundedSender<Submit>,
    driver: Arc<Mutex<Driver>>,
    shared: Arc<Shared>,
}

/// What handles, calls in flight and the task have in common.
#[derive(Debug)]
struct Shared {
    slots: Semaphore,
    /// The verdict.
    broken: SetOnce<Arc<Broken>>,
    answers: AtomicU64,
    stats: Arc<Stats>,
}

/// What bounds a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Calls in flight.
    pub(crate) in_flight: usize,
    /// Time for a call, from when it is sent.
    pub(crate) deadline: Duration,
}

/// A call to be sent: one whole record, its header included.
#[derive(Debug)]
pub(crate) struct Submit {
    pub(crate) xid: u32,
    pub(crate) record: Vec<u8>,
    pub(crate) waiter: Waiter,
}

/// Who waits for a reply, and the slot that is free again once the wire is done with the call.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) reply: oneshot::Sender<Result<BytesMut, CallError>>,
    pub(crate) _slot: Slot,
}

/// One of the calls in flight.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Shared>);

// === impl Mux ===

impl Mux {
    /// Takes `stream` over. Must be called on a tokio runtime.
    pub(crate) fn start<S>(stream: S, limits: Limits, stats: Arc<Stats>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (submit, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            slots: Semaphore::new(limits.in_flight.max(1)),
            broken: SetOnce::new(),
            answers: AtomicU64::new(0),
            stats,
        });
        let driver = Driver::new(Box::new(stream), limits.deadline, Arc::clone(&shared));
        let driver = Arc::new(Mutex::new(driver));
        let task = Task {
            queue,
            driver: Arc::clone(&driver),
            shared: Arc::clone(&shared),
        };
        tokio::spawn(task.run());
        Self {
            submit,
            driver,
            shared,
        }
    }

    /// Why the connection was given up, if it was.
    pub(crate) fn broken(&self) -> Option<&Arc<Broken>> {
        self.shared.broken.get()
    }

    /// Waits until the connection breaks.
    pub(crate) async fn closed(&self) -> Arc<Broken> {
        Arc::clone(self.shared.broken.wait().await)
    }

    /// Calls answered so far.
    pub(crate) fn answers(&self) -> u64 {
        self.shared.answers.load(Relaxed)
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Waits for a free slot.
    pub(crate) async fn slot(&self) -> Slot {
        // An error would say that the semaphore was closed, and nobody does that: slots of a broken connection are all free soon.
        let _ = self
            .shared
            .slots
            .acquire()
            .await
            .map(SemaphorePermit::forget);
        self.shared.stats.in_flight.fetch_add(1, Relaxed);
        Slot(Arc::clone(&self.shared))
    }

    /// Sends a call that is alone, and queues any other.
    pub(crate) fn submit(&self, submit: Submit) -> Result<(), CallError> {
        if self.broken().is_some() {
            return Err(self.lost());
        }
        // Where somebody has it in hand, the call is not alone, or the task is about to look for it.
        let queued = match self.driver.try_lock() {
            Ok(mut driver) => driver.send_alone(submit).err(),
            Err(_) => Some(submit),
        };
        queued.map_or(Ok(()), |submit| {
            self.submit.send(submit).map_err(|_| self.lost())
        })
    }

    /// The error of a call that was not sent because the connection is gone.
    pub(crate) fn lost(&self) -> CallError {
        let why = self.broken().cloned();
        CallError::Lost {
            why: why.unwrap_or_else(|| Arc::new(Broken::Dropped)),
            sent: false,
        }
    }
}

impl fmt::Debug for Mux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mux").field(&self.shared).finish()
    }
}

// === impl Shared ===

impl Shared {
    /// Hands a reply to its caller.
    fn answer(&self, entry: Entry<Waiter>, record: BytesMut, now: Instant) {
        self.answers.fetch_add(1, Relaxed);
        if let Some(sent) = entry.sent {
            self.stats.round_trip_took(now - sent);
        }
        // An error here means that the caller went away: its slot is free now, and nothing else was waiting.
        if entry.waiter.reply.send(Ok(record)).is_err() {
            self.stats.abandoned.fetch_add(1, Relaxed);
        }
    }
}

// === impl Slot ===

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.stats.in_flight.fetch_sub(1, Relaxed);
        self.0.slots.add_permits(1);
    }
}

#[cfg(test)]
mod model;
#[cfg(any(test, fuzzing))]
pub(crate) mod peer;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod writes;

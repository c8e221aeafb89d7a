//! Many calls on one connection.
//!
//! One task owns the socket; reading and writing advance together in it, so a peer that stops reading cannot keep replies from being
//! read. Calls that are queued when the socket can take them go out in one write. The first error breaks the connection for good: every
//! waiter, and whoever calls later, gets that same [`Broken`].

mod driver;

use std::{
    collections::VecDeque,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::Instant,
};

use super::{Broken, CallError, in_flight::InFlight, record::Decoder};
use crate::stats::Stats;
use driver::Driver;

/// A handle on one connection; the connection ends when the last one is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Mux {
    submit: mpsc::UnboundedSender<Submit>,
    slots: Arc<Semaphore>,
    broken: watch::Receiver<Option<Arc<Broken>>>,
    stats: Arc<Stats>,
    answers: Arc<AtomicU64>,
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
    pub(crate) record: Bytes,
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
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
    stats: Arc<Stats>,
}

// === impl Mux ===

impl Mux {
    /// Takes `stream` over. Must be called on a tokio runtime.
    pub(crate) fn start<S>(stream: S, limits: Limits, stats: Arc<Stats>) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (submit, queue) = mpsc::unbounded_channel();
        let (poison, broken) = watch::channel(None);
        let (read, write) = tokio::io::split(stream);
        let answers = Arc::new(AtomicU64::new(0));
        let driver = Driver {
            read,
            write,
            queue,
            table: InFlight::new(limits.deadline),
            stats: Arc::clone(&stats),
            answers: Arc::clone(&answers),
            deadline: limits.deadline,
            decoder: Decoder::default(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            queued: 0,
            written: 0,
            unsent: VecDeque::new(),
            blocked: None,
            heard: Instant::now(),
        };
        tokio::spawn(driver.run(poison));
        Self {
            submit,
            slots: Arc::new(Semaphore::new(limits.in_flight.max(1))),
            broken,
            stats,
            answers,
        }
    }

    /// Why the connection was given up, if it was.
    pub(crate) fn broken(&self) -> Option<Arc<Broken>> {
        self.broken.borrow().clone()
    }

    /// Waits until the connection breaks.
    pub(crate) async fn closed(&self) -> Arc<Broken> {
        let mut broken = self.broken.clone();
        match broken.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(why)) => Arc::clone(why),
            _ => Arc::new(Broken::Dropped),
        }
    }

    /// Calls answered so far.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Waits for a free slot.
    pub(crate) async fn slot(&self) -> Result<Slot, CallError> {
        let permit = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| self.lost())?;
        self.stats.in_flight.fetch_add(1, Relaxed);
        Ok(Slot {
            _permit: permit,
            stats: Arc::clone(&self.stats),
        })
    }

    /// Queues a call.
    pub(crate) fn submit(&self, submit: Submit) -> Result<(), CallError> {
        match self.broken() {
            Some(why) => Err(CallError::Lost { why, sent: false }),
            None => self.submit.send(submit).map_err(|_| self.lost()),
        }
    }

    /// The error of a call that was not sent because the connection is gone.
    pub(crate) fn lost(&self) -> CallError {
        CallError::Lost {
            why: self.broken().unwrap_or_else(|| Arc::new(Broken::Dropped)),
            sent: false,
        }
    }
}

// === impl Slot ===

impl Drop for Slot {
    fn drop(&mut self) {
        self.stats.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod model;
#[cfg(any(test, fuzzing))]
pub(crate) mod peer;
#[cfg(test)]
mod tests;

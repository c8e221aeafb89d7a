//! Many calls on one connection.
//!
//! One task owns the socket; reading and writing advance together in it, so a peer that stops reading cannot keep replies from being
//! read. Calls that are queued when the socket can take them go out in one write. The first error breaks the connection for good: every
//! waiter, and whoever calls later, gets that same [`Broken`].

use std::{
    collections::VecDeque,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use nfs3_client::rpc::RpcClient;
use nfs3_types::rpc::opaque_auth;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    Broken, CallError,
    in_flight::{Entry, InFlight},
    lane::Lane,
    proc::Call,
    record::{Decoder, RecordError},
};
use crate::stats::Stats;

/// Bytes taken from the queue for one write.
const WRITE_MAX: usize = 256 * 1024;
/// Room made for each read.
const READ_CHUNK: usize = 64 * 1024;
/// An xid and the message type: less cannot be a reply.
const REPLY_MIN: usize = 8;

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

struct Driver<S> {
    read: ReadHalf<S>,
    write: WriteHalf<S>,
    queue: mpsc::UnboundedReceiver<Submit>,
    table: InFlight<Waiter>,
    stats: Arc<Stats>,
    answers: Arc<AtomicU64>,
    deadline: Duration,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    /// Bytes queued and written since the start, and at which of them each call ends.
    queued: u64,
    written: u64,
    unsent: VecDeque<(u64, u32)>,
    /// Since when `output` has not moved; set while it is not empty.
    blocked: Option<Instant>,
    heard: Instant,
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

    /// One call. `xid` must not be in flight on this connection; a call that is repeated on the next connection keeps its own, so that
    /// the server's duplicate-request cache can know it again.
    pub(crate) async fn call<C: Call>(
        &self,
        xid: u32,
        credential: &opaque_auth<'static>,
        args: &C,
    ) -> Result<C::Reply, CallError> {
        let lane = Lane::new(self.clone(), C::PROC, xid);
        let mut client = RpcClient::new_with_auth(lane, credential.clone(), opaque_auth::default());
        let (program, version, procedure) = C::PROC.number();
        Ok(client
            .call::<C, C::Reply>(program, version, procedure, args)
            .await?)
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

// === impl Driver ===

impl<S: AsyncRead + AsyncWrite> Driver<S> {
    async fn run(mut self, poison: watch::Sender<Option<Arc<Broken>>>) {
        let why = match self.drive().await {
            Ok(never) => match never {},
            Err(why) => Arc::new(why),
        };
        // First the verdict, then the queue: a call that misses the one is caught by the other.
        poison.send_replace(Some(Arc::clone(&why)));
        self.queue.close();
        while let Ok(submit) = self.queue.try_recv() {
            let _ = submit.waiter.reply.send(Err(CallError::Lost {
                why: Arc::clone(&why),
                sent: false,
            }));
        }
        for entry in self.table.drain() {
            let lost = CallError::Lost {
                why: Arc::clone(&why),
                sent: entry.sent.is_some(),
            };
            let _ = entry.waiter.reply.send(Err(lost));
        }
    }

    async fn drive(&mut self) -> Result<std::convert::Infallible, Broken> {
        let sleep = tokio::time::sleep_until(Instant::now() + self.deadline);
        tokio::pin!(sleep);
        loop {
            // All deadlines are equally long, so the timer moves only when it fired or nothing was waiting.
            if let Some(wake) = self.wake()
                && (sleep.is_elapsed() || wake < sleep.deadline())
            {
                sleep.as_mut().reset(wake);
            }
            if self.input.capacity() - self.input.len() < READ_CHUNK / 4 {
                self.input.reserve(READ_CHUNK);
            }
            tokio::select! {
                read = self.read.read_buf(&mut self.input) => self.received(read.map_err(Broken::Io)?)?,
                wrote = self.write.write_buf(&mut self.output), if !self.output.is_empty() => {
                    self.wrote(wrote.map_err(Broken::Io)?)?;
                }
                submit = self.queue.recv(), if self.output.len() < WRITE_MAX => {
                    self.enqueue(submit.ok_or(Broken::Dropped)?);
                }
                () = &mut sleep, if !sleep.is_elapsed() => self.expire()?,
            }
        }
    }

    fn wake(&mut self) -> Option<Instant> {
        let stalled = self.blocked.map(|since| since + self.deadline);
        [self.table.next_deadline(), stalled]
            .into_iter()
            .flatten()
            .min()
    }

    /// Moves what is queued into the output buffer, so that it goes out in one write.
    fn enqueue(&mut self, first: Submit) {
        let mut next = Some(first);
        while let Some(submit) = next {
            self.append(submit);
            if self.output.len() >= WRITE_MAX {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        if !self.output.is_empty() && self.blocked.is_none() {
            self.blocked = Some(Instant::now());
        }
    }

    fn append(&mut self, submit: Submit) {
        if submit.waiter.reply.is_closed() {
            return;
        }
        if let Err(waiter) = self.table.insert(submit.xid, submit.waiter) {
            let why = Arc::new(Broken::Io(std::io::Error::other("an xid is in use")));
            let _ = waiter.reply.send(Err(CallError::Lost { why, sent: false }));
            return;
        }
        self.output.extend_from_slice(&submit.record);
        self.queued += submit.record.len() as u64;
        self.unsent.push_back((self.queued, submit.xid));
    }

    fn wrote(&mut self, bytes: usize) -> Result<(), Broken> {
        if bytes == 0 {
            return Err(Broken::Io(std::io::ErrorKind::WriteZero.into()));
        }
        let now = Instant::now();
        self.written += bytes as u64;
        while let Some((end, xid)) = self.unsent.front()
            && *end <= self.written
        {
            self.table.mark_sent(*xid, now);
            self.unsent.pop_front();
        }
        self.blocked = (!self.output.is_empty()).then_some(now);
        Ok(())
    }

    fn received(&mut self, bytes: usize) -> Result<(), Broken> {
        if bytes == 0 {
            let inside = self.decoder.is_mid_record(&self.input);
            return Err(if inside {
                Broken::MidRecord
            } else {
                Broken::Closed
            });
        }
        self.heard = Instant::now();
        while let Some(record) = self.decoder.next(&mut self.input)? {
            self.deliver(record)?;
        }
        Ok(())
    }

    fn deliver(&mut self, record: BytesMut) -> Result<(), Broken> {
        let Some((xid, kind)) = record
            .split_first_chunk::<4>()
            .map(|(xid, rest)| (u32::from_be_bytes(*xid), rest))
        else {
            return Err(RecordError::TooShort(record.len()).into());
        };
        if record.len() < REPLY_MIN {
            return Err(RecordError::TooShort(record.len()).into());
        }
        if !kind.starts_with(&[0, 0, 0, 1]) {
            return Err(Broken::NotAReply);
        }
        match self.table.complete(xid) {
            Some(entry) => self.answer(entry, record),
            None => {
                self.stats.late_replies.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    fn answer(&self, entry: Entry<Waiter>, record: BytesMut) {
        self.answers.fetch_add(1, Relaxed);
        if let Some(sent) = entry.sent {
            self.stats.round_trip_took(self.heard - sent);
        }
        // An error here means that the caller went away: its slot is free now, and nothing else was waiting.
        if entry.waiter.reply.send(Ok(record)).is_err() {
            self.stats.abandoned.fetch_add(1, Relaxed);
        }
    }

    fn expire(&mut self) -> Result<(), Broken> {
        let now = Instant::now();
        let mut silent = false;
        while let Some(entry) = self.table.expire(now) {
            silent |= entry.sent.is_some_and(|sent| self.heard <= sent);
            let _ = entry
                .waiter
                .reply
                .send(Err(CallError::TimedOut(self.deadline)));
        }
        // A slow call is the server's affair; a connection on which nothing at all arrived is taken for dead.
        if silent {
            return Err(Broken::Silent(self.deadline));
        }
        match self.blocked {
            Some(since) if now >= since + self.deadline => Err(Broken::Stalled(self.deadline)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod tests;

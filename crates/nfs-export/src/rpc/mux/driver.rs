//! The task that owns a connection: what it reads, what it writes, and what that means for those who wait.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Submit, Waiter};
use crate::{
    rpc::{
        Broken, CallError,
        in_flight::{Entry, InFlight},
        record::{Decoder, RecordError},
    },
    stats::Stats,
};

/// Bytes taken from the queue for one write.
const WRITE_MAX: usize = 256 * 1024;
/// Room made for each read.
const READ_CHUNK: usize = 64 * 1024;
/// An xid and the message type: less cannot be a reply.
const REPLY_MIN: usize = 8;

pub(super) struct Driver<S> {
    pub(super) read: ReadHalf<S>,
    pub(super) write: WriteHalf<S>,
    pub(super) queue: mpsc::UnboundedReceiver<Submit>,
    pub(super) table: InFlight<Waiter>,
    pub(super) stats: Arc<Stats>,
    pub(super) answers: Arc<AtomicU64>,
    pub(super) deadline: Duration,
    pub(super) decoder: Decoder,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
    /// Bytes queued and written since the start, and at which of them each call ends.
    pub(super) queued: u64,
    pub(super) written: u64,
    pub(super) unsent: VecDeque<(u64, u32)>,
    /// Since when `output` has not moved; set while it is not empty.
    pub(super) blocked: Option<Instant>,
    pub(super) heard: Instant,
}

// === impl Driver ===

impl<S: AsyncRead + AsyncWrite> Driver<S> {
    pub(super) async fn run(mut self, poison: watch::Sender<Option<Arc<Broken>>>) {
        let why = match self.drive().await {
            Ok(never) => match never {},
            Err(why) => Arc::new(why),
        };
        // First the verdict, then the queue: a call that misses the one is caught by the other. Waited for and not only looked for: one
        // that is just being queued is not to be seen yet, and nobody else would ever answer it.
        poison.send_replace(Some(Arc::clone(&why)));
        self.queue.close();
        while let Some(submit) = self.queue.recv().await {
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
        let mut fired = false;
        loop {
            let wake = self.wake();
            // Asked of the clock and not of the timer: one that is set to what has passed meanwhile fires without being seen.
            if wake.is_some_and(|wake| wake <= Instant::now()) {
                self.expire()?;
                continue;
            }
            // All deadlines are equally long, so the timer moves only when it fired or nothing was waiting.
            if let Some(wake) = wake
                && (fired || wake < sleep.deadline())
            {
                sleep.as_mut().reset(wake);
                fired = false;
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
                () = &mut sleep, if !fired => fired = true,
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

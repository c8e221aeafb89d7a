//! The task that owns a connection: what it reads, what it writes, and what that means for those who wait.
//!
//! ```text
//! turn: clock ─> queue into output ─> output to socket ─> socket to input, records to waiters ─> deadlines
//! ```
//! Each turn does all that can be done and then waits for whatever comes first, so a call alone on its connection costs one write, one wait
//! and one read.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, Sleep, sleep_until},
};

use super::{Shared, Submit, Verdict, Waiter, company::Company, outbox::Outbox};
use crate::rpc::{
    Broken, CallError,
    in_flight::InFlight,
    record::{Decoder, RecordError},
};

/// Room made for each read.
const READ_CHUNK: usize = 64 * 1024;
/// An xid and the message type: less cannot be a reply.
const REPLY_MIN: usize = 8;

/// A connection's state, all but its socket.
pub(super) struct Driver {
    queue: mpsc::UnboundedReceiver<Submit>,
    table: InFlight<Waiter>,
    verdict: Verdict,
    deadline: Duration,
    timer: Pin<Box<Sleep>>,
    /// When this turn began: the clock is read once a turn.
    now: Instant,
    decoder: Decoder,
    input: BytesMut,
    /// Calls that wait until `output` is empty, or for company.
    held: VecDeque<Submit>,
    output: Outbox,
    /// Since when the reply at the front of `input` has been coming in.
    unfinished: Option<Instant>,
    heard: Instant,
    company: Company,
}

// === impl Driver ===

impl Driver {
    pub(super) fn new(
        queue: mpsc::UnboundedReceiver<Submit>,
        deadline: Duration,
        shared: Arc<Shared>,
    ) -> Self {
        let now = Instant::now();
        Self {
            queue,
            table: InFlight::new(deadline),
            verdict: Verdict(shared),
            deadline,
            timer: Box::pin(sleep_until(now + deadline)),
            now,
            decoder: Decoder::default(),
            input: BytesMut::new(),
            held: VecDeque::new(),
            output: Outbox::default(),
            unfinished: None,
            heard: now,
            company: Company::new(now),
        }
    }

    pub(super) async fn run<S>(mut self, mut stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let why = Arc::new(poll_fn(|cx| self.turn(&mut stream, cx)).await);
        // First the socket: whoever hears of its end dials anew, and wants the port that it is bound to.
        drop(stream);
        // Then the verdict, then the queue: a call that misses the one is caught by the other. Waited for and not only looked for: one
        // that is just being queued is not to be seen yet, and nobody else would ever answer it.
        self.verdict.say(Arc::clone(&why));
        self.queue.close();
        while let Some(submit) = self.queue.recv().await {
            self.held.push_back(submit);
        }
        for submit in self.held {
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

    /// Does all that can be done now; ready when the connection is at its end.
    fn turn<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.now = Instant::now();
        let done = self
            .send(stream, cx)
            .and_then(|()| self.receive(stream, cx))
            .and_then(|()| self.watch(cx));
        match done {
            Ok(()) => Poll::Pending,
            Err(why) => Poll::Ready(why),
        }
    }

    /// Writes what is queued, until there is no more of it or the socket takes no more.
    fn send<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Result<(), Broken>
    where
        S: AsyncWrite + Unpin,
    {
        loop {
            self.gather(cx)?;
            if self.output.is_empty() {
                return Ok(());
            }
            while !self.output.is_empty() {
                match pin!(stream.write_buf(&mut self.output.bytes)).poll(cx) {
                    Poll::Ready(wrote) => self.wrote(wrote.map_err(Broken::Io)?)?,
                    Poll::Pending => return Ok(()),
                }
            }
        }
    }

    /// Takes what is queued, and moves it into the output buffer, so that it goes out in one write, unless it is to wait: a call whose caller goes away
    /// before that is never sent.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        while let Poll::Ready(submit) = self.queue.poll_recv(cx) {
            self.held.push_back(submit.ok_or(Broken::Dropped)?);
        }
        let (held, sent) = (self.held.len(), self.table.len());
        if self.output.is_empty() && !self.company.is_awaited(held, sent, self.now, cx) {
            while let Some(submit) = self.held.pop_front() {
                self.append(submit);
            }
        }
        Ok(())
    }

    fn append(&mut self, submit: Submit) {
        if submit.waiter.reply.is_closed() {
            return;
        }
        if let Err(waiter) = self.table.insert(submit.xid, submit.waiter) {
            let why = Arc::new(Broken::Io(io::Error::other("an xid is in use")));
            let _ = waiter.reply.send(Err(CallError::Lost { why, sent: false }));
            return;
        }
        self.output.push(submit.xid, &submit.record, self.now);
    }

    fn wrote(&mut self, bytes: usize) -> Result<(), Broken> {
        if bytes == 0 {
            return Err(Broken::Io(io::ErrorKind::WriteZero.into()));
        }
        let Self {
            output, table, now, ..
        } = self;
        output.wrote(bytes, *now, |xid| table.mark_sent(xid, *now));
        Ok(())
    }

    /// Reads until there is nothing more, and hands out what is whole.
    fn receive<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Result<(), Broken>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            if self.input.capacity() - self.input.len() < READ_CHUNK / 4 {
                self.input.reserve(READ_CHUNK);
            }
            match pin!(stream.read_buf(&mut self.input)).poll(cx) {
                Poll::Ready(read) => self.received(read.map_err(Broken::Io)?)?,
                Poll::Pending => return Ok(()),
            }
        }
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
        self.company.heard(self.now - self.heard);
        self.heard = self.now;
        while let Some(record) = self.decoder.next(&mut self.input)? {
            self.deliver(record)?;
            self.unfinished = None;
        }
        if self.decoder.is_mid_record(&self.input) {
            self.unfinished.get_or_insert(self.now);
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
        let shared = &self.verdict.0;
        match self.table.complete(xid) {
            Some(entry) => shared.answer(entry, record, self.now),
            None => {
                shared.stats.late_replies.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    /// Ends what is past its deadline, and sets the timer to the next one.
    fn watch(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        while let Some(wake) = self.wake() {
            // Asked of the clock and not of the timer: one that is set to what has passed meanwhile fires without being seen.
            if wake <= self.now {
                self.expire()?;
                continue;
            }
            // All deadlines are equally long, so the timer moves only when it has fired or nothing was waiting.
            if wake < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(wake);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                break;
            }
            self.now = Instant::now();
        }
        Ok(())
    }

    fn wake(&mut self) -> Option<Instant> {
        [self.output.blocked(), self.unfinished]
            .into_iter()
            .flatten()
            .map(|since| since + self.deadline)
            .chain(self.table.next_deadline())
            .min()
    }

    fn expire(&mut self) -> Result<(), Broken> {
        let mut silent = false;
        while let Some(entry) = self.table.expire(self.now) {
            silent |= entry.sent.is_some_and(|sent| self.heard <= sent);
            let timed_out = CallError::TimedOut(self.deadline);
            let _ = entry.waiter.reply.send(Err(timed_out));
        }
        let is_over =
            |since: Option<Instant>| since.is_some_and(|since| since + self.deadline <= self.now);
        // A slow call is the server's affair; a connection on which nothing at all arrived is taken for dead. One on which bytes arrive
        // that come to no end has lost its place in the stream, or is too slow for any reply as long as this one.
        if silent {
            Err(Broken::Silent(self.deadline))
        } else if is_over(self.unfinished) {
            Err(Broken::Unfinished(self.deadline))
        } else if is_over(self.output.blocked()) {
            Err(Broken::Stalled(self.deadline))
        } else {
            Ok(())
        }
    }
}

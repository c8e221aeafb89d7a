//! What a connection reads, what it writes, and what that means for those who wait.
//!
//! ```text
//! turn: clock ─> queue into output ─> output to socket ─> socket to input, records to waiters ─> deadlines
//! ```
//! Each turn of its task does all that can be done; then the task waits for whatever comes first. A call that is alone on its connection is sent from
//! where it is made ([`Driver::send_alone`]), and so costs one write, one wait and one read, and of turns of the task the one that brings the answer.

mod deadlines;

use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    sync::mpsc,
    time::{Instant, Sleep, sleep_until},
};

use super::{Shared, Submit, Waiter, company::Company, outbox::Outbox};
use crate::rpc::{
    Broken, CallError,
    in_flight::InFlight,
    record::{Decoder, RecordError},
};

/// Room made for each read.
const READ_CHUNK: usize = 64 * 1024;
/// An xid and the message type: less cannot be a reply.
const REPLY_MIN: usize = 8;

/// A socket, or what stands for one in a test.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection's state.
pub(super) struct Driver {
    /// `None` at its end.
    stream: Option<Box<dyn Stream>>,
    shared: Arc<Shared>,
    table: InFlight<Waiter>,
    deadline: Duration,
    timer: Pin<Box<Sleep>>,
    /// The timer is set, and wakes the task.
    timed: bool,
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
    /// The task's, from its last turn.
    waker: Option<Waker>,
    /// Why a call that was alone could not be sent; the next turn's to say.
    failed: Option<Broken>,
}

/// Who waits at the end of a connection: calls that were never sent, and the others with whether they were.
pub(super) type Orphans = (VecDeque<Submit>, Vec<(Waiter, bool)>);

// === impl Driver ===

impl Driver {
    pub(super) fn new(stream: Box<dyn Stream>, deadline: Duration, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            stream: Some(stream),
            shared,
            table: InFlight::new(deadline),
            deadline,
            timer: Box::pin(sleep_until(now + deadline)),
            timed: false,
            now,
            decoder: Decoder::default(),
            input: BytesMut::new(),
            held: VecDeque::new(),
            output: Outbox::default(),
            unfinished: None,
            heard: now,
            company: Company::new(now),
            waker: None,
            failed: None,
        }
    }

    /// Does all that can be done now; ready when the connection is at its end.
    pub(super) fn turn(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<Submit>,
        cx: &mut Context<'_>,
    ) -> Poll<Broken> {
        self.now = Instant::now();
        if !self
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            self.waker = Some(cx.waker().clone());
        }
        let done = self
            .failed
            .take()
            .map_or(Ok(()), Err)
            .and_then(|()| self.send(queue, cx))
            .and_then(|()| self.receive(cx))
            .and_then(|()| self.watch(cx));
        match done {
            Ok(()) => Poll::Pending,
            Err(why) => Poll::Ready(why),
        }
    }

    /// Sends a call from where it is made, if it is the only one: by way of the task it would be on its way later. Others wait there for company.
    ///
    /// # Errors
    /// Gives back one that is not alone.
    pub(super) fn send_alone(&mut self, submit: Submit) -> Result<(), Submit> {
        let is_alone = self.table.len() == 0 && self.held.is_empty() && self.output.is_empty();
        if !is_alone || self.stream.is_none() || self.failed.is_some() {
            return Err(submit);
        }
        let Some(task) = self.waker.take() else {
            return Err(submit);
        };
        self.now = Instant::now();
        self.append(submit);
        self.failed = self.flush(&mut Context::from_waker(&task)).err();
        // What the socket has no room for wakes the task by itself.
        if self.failed.is_some() || !self.is_timed() {
            task.wake_by_ref();
        }
        self.waker = Some(task);
        Ok(())
    }

    /// Lets go of the socket; returns who waits.
    pub(super) fn hang_up(&mut self) -> Orphans {
        self.stream = None;
        let sent = self.table.drain();
        let sent = sent.map(|entry| (entry.waiter, entry.sent.is_some()));
        (std::mem::take(&mut self.held), sent.collect())
    }

    /// Writes what is queued, until there is no more of it or the socket takes no more.
    fn send(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<Submit>,
        cx: &mut Context<'_>,
    ) -> Result<(), Broken> {
        loop {
            self.gather(queue, cx)?;
            if self.output.is_empty() {
                return Ok(());
            }
            self.flush(cx)?;
            if !self.output.is_empty() {
                return Ok(());
            }
        }
    }

    /// Writes what is in the output buffer, as far as the socket takes it.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        while let Some(stream) = &mut self.stream
            && !self.output.is_empty()
        {
            match Pin::new(stream).poll_write(cx, &self.output.bytes) {
                Poll::Ready(wrote) => self.wrote(wrote.map_err(Broken::Io)?)?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Takes what is queued, and moves it into the output buffer, so that it goes out in one write, unless it is to wait: a call whose caller goes away
    /// before that is never sent.
    fn gather(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<Submit>,
        cx: &mut Context<'_>,
    ) -> Result<(), Broken> {
        while let Poll::Ready(submit) = queue.poll_recv(cx) {
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
        output.bytes.advance(bytes);
        output.wrote(bytes, *now, |xid| table.mark_sent(xid, *now));
        Ok(())
    }

    /// Reads until there is nothing more, and hands out what is whole.
    fn receive(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        while let Some(stream) = &mut self.stream {
            if self.input.capacity() - self.input.len() < READ_CHUNK / 4 {
                self.input.reserve(READ_CHUNK);
            }
            match pin!(stream.read_buf(&mut self.input)).poll(cx) {
                Poll::Ready(read) => self.received(read.map_err(Broken::Io)?)?,
                Poll::Pending => break,
            }
        }
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
        let shared = &self.shared;
        match self.table.complete(xid) {
            Some(entry) => shared.answer(entry, record, self.now),
            None => {
                shared.stats.late_replies.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }
}

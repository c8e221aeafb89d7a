//! Calls on their way out: their bytes, one after the other, and where each call ends.

use std::collections::VecDeque;

use bytes::BytesMut;
use tokio::time::Instant;

/// What is still to be written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) bytes: BytesMut,
    /// Bytes queued and written since the start, and at which of them each call ends.
    queued: u64,
    written: u64,
    unsent: VecDeque<(u64, u32)>,
    blocked: Option<Instant>,
}

// === impl Outbox ===

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Since when no call has gone out whole; `None` where there is nothing to be written. Only whole calls count: a peer that takes a byte now
    /// and then gets nowhere.
    pub(super) fn blocked(&self) -> Option<Instant> {
        self.blocked
    }

    pub(super) fn push(&mut self, xid: u32, record: &[u8], now: Instant) {
        self.bytes.extend_from_slice(record);
        self.queued += record.len() as u64;
        self.unsent.push_back((self.queued, xid));
        self.blocked.get_or_insert(now);
    }

    /// `count` of the bytes are gone from the front; `sent` is told whose last byte was among them.
    pub(super) fn wrote(&mut self, count: usize, now: Instant, mut sent: impl FnMut(u32)) {
        self.written += count as u64;
        while let Some((end, xid)) = self.unsent.front()
            && *end <= self.written
        {
            sent(*xid);
            self.unsent.pop_front();
            self.blocked = Some(now);
        }
        if self.bytes.is_empty() {
            self.blocked = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use tokio::time::{Duration, advance};

    use super::*;

    fn write(outbox: &mut Outbox, count: usize) -> Vec<u32> {
        let mut sent = Vec::new();
        outbox.bytes.advance(count);
        outbox.wrote(count, Instant::now(), |xid| sent.push(xid));
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_sent_with_its_last_byte_and_only_that_is_progress() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.blocked(), None);
        let start = Instant::now();
        for xid in 1..4 {
            outbox.push(xid, b"1234", start);
        }
        advance(Duration::from_secs(1)).await;
        assert_eq!(write(&mut outbox, 3), []);
        assert_eq!(outbox.blocked(), Some(start));
        assert_eq!(write(&mut outbox, 6), [1, 2]);
        assert_eq!(outbox.blocked(), Some(Instant::now()));
        assert_eq!(write(&mut outbox, 3), [3]);
        assert_eq!(outbox.blocked(), None);
    }
}

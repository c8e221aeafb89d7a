//! The table of calls without an answer: who waits for which xid, and until when.
//!
//! No I/O and no clock of its own. A deadline counts from when the call was sent; an entry leaves by its answer, by its deadline or
//! with the whole table, and each way hands its waiter out exactly once. That a waiter has gone away meanwhile changes nothing here:
//! the entry stays until the wire is done with it.

use std::{
    collections::{HashMap, VecDeque, hash_map},
    hash::{BuildHasherDefault, Hasher},
    time::Duration,
};

use tokio::time::Instant;

/// Waiters by xid.
#[derive(Debug)]
pub(crate) struct InFlight<W> {
    calls: HashMap<u32, Entry<W>, BuildHasherDefault<XidHasher>>,
    /// In the order of sending, and so of deadlines; answered calls are dropped from here lazily.
    sent: VecDeque<(Instant, u32)>,
    deadline: Duration,
}

#[derive(Debug)]
pub(crate) struct Entry<W> {
    pub(crate) waiter: W,
    pub(crate) sent: Option<Instant>,
}

/// Spreads the bits of an xid. What is in the table was numbered by ourselves, so nobody can make it collide.
#[derive(Debug, Default)]
struct XidHasher(u64);

// === impl InFlight ===

impl<W> InFlight<W> {
    pub(crate) fn new(deadline: Duration) -> Self {
        Self {
            calls: HashMap::default(),
            sent: VecDeque::new(),
            deadline,
        }
    }

    /// Starts to wait for `xid`.
    ///
    /// # Errors
    /// Gives the waiter back where one waits for that xid already.
    pub(crate) fn insert(&mut self, xid: u32, waiter: W) -> Result<(), W> {
        match self.calls.entry(xid) {
            hash_map::Entry::Occupied(_) => Err(waiter),
            hash_map::Entry::Vacant(place) => {
                place.insert(Entry { waiter, sent: None });
                Ok(())
            }
        }
    }

    /// The last byte of the call is on its way: its deadline counts from `now`.
    pub(crate) fn mark_sent(&mut self, xid: u32, now: Instant) {
        if let Some(entry) = self.calls.get_mut(&xid) {
            entry.sent = Some(now);
            self.sent.push_back((now, xid));
        }
        // One slow call at the front must not make the queue as long as all that were answered after it.
        if self.sent.len() > 2 * self.calls.len() + 64 {
            let calls = &self.calls;
            self.sent
                .retain(|(at, xid)| calls.get(xid).is_some_and(|entry| entry.sent == Some(*at)));
        }
    }

    /// Takes the waiter for `xid` out; `None`: nobody waits (a late or made-up reply).
    pub(crate) fn complete(&mut self, xid: u32) -> Option<Entry<W>> {
        self.calls.remove(&xid)
    }

    /// When [`Self::expire`] has something to do, at the earliest.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        self.drop_answered();
        self.sent.front().map(|(at, _)| *at + self.deadline)
    }

    /// Takes out one call whose deadline has passed.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Entry<W>> {
        self.drop_answered();
        let (at, xid) = *self.sent.front()?;
        if at + self.deadline > now {
            return None;
        }
        self.sent.pop_front();
        self.calls.remove(&xid)
    }

    /// Calls that are waited for.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Takes all waiters out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Entry<W>> {
        self.sent.clear();
        self.calls.drain().map(|(_, entry)| entry)
    }

    fn drop_answered(&mut self) {
        while let Some((at, xid)) = self.sent.front()
            && self
                .calls
                .get(xid)
                .is_none_or(|entry| entry.sent != Some(*at))
        {
            self.sent.pop_front();
        }
    }
}

// === impl XidHasher ===

impl Hasher for XidHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, xid: u32) {
        // 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ u64::from(xid)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    fn mk_table(xids: std::ops::Range<u32>) -> InFlight<u32> {
        let mut table = InFlight::new(DEADLINE);
        for xid in xids {
            table.insert(xid, xid * 10).unwrap();
        }
        table
    }

    #[test]
    fn an_answer_takes_its_waiter_once() {
        let mut table = mk_table(1..4);
        assert_eq!(table.complete(2).map(|e| e.waiter), Some(20));
        assert!(table.complete(2).is_none());
        assert!(table.complete(9).is_none());
        assert_eq!(table.drain().count(), 2);
    }

    #[test]
    fn an_xid_in_use_is_refused() {
        assert_eq!(mk_table(1..2).insert(1, 99), Err(99));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_counts_from_sending() {
        let mut table = mk_table(1..4);
        assert_eq!(table.next_deadline(), None);
        let start = Instant::now();
        table.mark_sent(1, start);
        tokio::time::advance(Duration::from_secs(10)).await;
        table.mark_sent(2, Instant::now());
        assert_eq!(table.next_deadline(), Some(start + DEADLINE));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(table.expire(Instant::now()).map(|e| e.waiter), Some(10));
        assert!(table.expire(Instant::now()).is_none());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(table.expire(Instant::now()).map(|e| e.waiter), Some(20));
        assert!(
            table.expire(Instant::now()).is_none(),
            "a call that was never sent does not expire"
        );
        assert_eq!(table.drain().map(|e| e.waiter).collect::<Vec<_>>(), [30]);
    }

    #[tokio::test(start_paused = true)]
    async fn answered_calls_do_not_pile_up_behind_a_slow_one() {
        let mut table = mk_table(0..1);
        table.mark_sent(0, Instant::now());
        for xid in 1..100_000 {
            table.insert(xid, xid).unwrap();
            table.mark_sent(xid, Instant::now());
            table.complete(xid);
        }
        assert!(table.sent.len() < 100, "{}", table.sent.len());
        assert_eq!(table.next_deadline(), Some(Instant::now() + DEADLINE));
    }
}

//! One direction's misbehaviour and counters, over all connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// One direction of a proxy. Changes take effect at once, on open connections too; everything is off at first.
#[derive(Debug)]
pub struct Link {
    weather: watch::Sender<Weather>,
    cut: Mutex<Option<Cut>>,
    bytes: AtomicU64,
    pieces: AtomicU64,
    records: AtomicU64,
    corrupted: AtomicU64,
    swallowed: AtomicU64,
    changed: watch::Sender<()>,
}

/// What lasts until it is changed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) split: Option<Split>,
    pub(super) corrupt_every: Option<u64>,
    pub(super) is_stalled: bool,
    pub(super) is_blackhole: bool,
}

/// Pieces of one to `longest` bytes, so long apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub(super) longest: usize,
    pub(super) pause: Duration,
}

/// The one cut to come, on whichever connection gets there first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    AfterBytes(u64),
    InRecord(u64),
}

// === impl Link ===

impl Link {
    pub(super) fn new(changed: watch::Sender<()>) -> Self {
        Self {
            weather: watch::Sender::new(Weather::default()),
            cut: Mutex::new(None),
            bytes: AtomicU64::new(0),
            pieces: AtomicU64::new(0),
            records: AtomicU64::new(0),
            corrupted: AtomicU64::new(0),
            swallowed: AtomicU64::new(0),
            changed,
        }
    }

    /// Holds each byte back for so long. Bytes overtake nothing and wait at the same time, so this is latency and not bandwidth.
    pub fn delay(&self, delay: Duration) {
        self.change(|weather| weather.delay = delay);
    }

    /// Adds up to so much to the delay, at random; order is kept.
    pub fn jitter(&self, jitter: Duration) {
        self.change(|weather| weather.jitter = jitter);
    }

    /// Writes in pieces of one to `longest` bytes with a pause after each, so that the reader sees them apart.
    pub fn split(&self, longest: usize, pause: Duration) {
        let longest = longest.max(1);
        self.change(|weather| weather.split = Some(Split { longest, pause }));
    }

    /// Flips a random bit in one byte of, on average, so many.
    pub fn corrupt_every(&self, bytes: u64) {
        let bytes = bytes.max(1);
        self.change(|weather| weather.corrupt_every = Some(bytes));
    }

    /// Passes nothing on until [`clear`](Self::clear), and loses nothing; the sender is held back in time.
    pub fn stall(&self) {
        self.change(|weather| weather.is_stalled = true);
    }

    /// Takes in everything and loses it until [`clear`](Self::clear), as behind a firewall that drops.
    pub fn blackhole(&self) {
        self.change(|weather| weather.is_blackhole = true);
    }

    /// Ends the connection once so many more bytes went this way, on both sides. Happens once.
    pub fn cut_after(&self, bytes: u64) {
        *self.cut() = Some(Cut::AfterBytes(bytes));
    }

    /// Passes so many whole RPC records (fragments, RFC 5531, section 11), then the header and half of the next one, and ends the connection.
    /// Happens once; a stream that is no sequence of records is cut somewhere.
    pub fn cut_in_record(&self, whole: u64) {
        *self.cut() = Some(Cut::InRecord(whole));
    }

    /// Ends all misbehaviour; what was held back goes on.
    pub fn clear(&self) {
        *self.cut() = None;
        self.weather.send_replace(Weather::default());
    }

    /// Bytes passed on.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Writes made.
    pub fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Whole RPC record fragments passed on.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes corrupted.
    pub fn corrupted(&self) -> u64 {
        self.corrupted.load(Ordering::Relaxed)
    }

    /// Bytes lost in the [`blackhole`](Self::blackhole).
    pub fn swallowed(&self) -> u64 {
        self.swallowed.load(Ordering::Relaxed)
    }

    pub(super) fn weather(&self) -> watch::Receiver<Weather> {
        self.weather.subscribe()
    }

    pub(super) fn cut(&self) -> MutexGuard<'_, Option<Cut>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wrote(&self, bytes: usize, records: u64) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    pub(super) fn flipped(&self) {
        self.corrupted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, bytes: usize) {
        self.swallowed.fetch_add(bytes as u64, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }
}

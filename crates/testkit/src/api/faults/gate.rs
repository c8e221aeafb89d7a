//! Requests that are stopped before or after their effect, for a test to act at that moment.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::watch;

use super::Requests;
use crate::api::request::Target;

/// What becomes of a request that a [`Hold`] stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits, and takes effect when the hold ends, even if its client has gone away.
    Wait,
    /// It never takes effect and is never answered: when the hold ends, the connection is cut.
    Ignore,
    /// It takes effect and is never answered: when the hold ends, the connection is cut.
    LoseReply,
}

/// Stops matching requests until it is dropped or released.
#[derive(Debug)]
pub struct Hold {
    gate: Arc<Gate>,
}

/// The request is not answered: its connection is to be cut.
#[derive(Debug)]
pub(crate) struct NoAnswer;

/// Permission to take effect, and where the answer is lost afterwards.
#[derive(Debug, Default)]
#[must_use = "the answer may have to be lost"]
pub(crate) struct Entry {
    loses_reply: Vec<Arc<Gate>>,
}

#[derive(Debug)]
pub(super) struct Gate {
    requests: Requests,
    /// How many requests still pass.
    skip: AtomicUsize,
    fate: Fate,
    waiting: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

// === impl Hold ===

impl Hold {
    pub(super) fn of(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    /// Returns once `count` matching requests wait; under [`Fate::LoseReply`] they have taken effect by then.
    pub async fn reached(&self, count: usize) {
        let mut waiting = self.gate.waiting.subscribe();
        // The sender lives as long as self, so this only ends with the count.
        let _ = waiting.wait_for(|now| *now >= count).await;
    }

    /// Ends the hold: stopped requests meet their fate, later ones pass.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.open.send_replace(true);
    }
}

// === impl Entry ===

impl Entry {
    /// To be called after the effect, before the answer.
    pub(crate) async fn leave(self) -> Result<(), NoAnswer> {
        for gate in &self.loses_reply {
            gate.wait().await;
        }
        if self.loses_reply.is_empty() {
            Ok(())
        } else {
            Err(NoAnswer)
        }
    }
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(requests: Requests, skip: usize, fate: Fate) -> Self {
        Self {
            requests,
            skip: AtomicUsize::new(skip),
            fate,
            waiting: watch::Sender::new(0),
            open: watch::Sender::new(false),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Before the effect of a request: it passes, or is stopped here, or is to be stopped when it leaves.
    pub(super) async fn pass(
        self: &Arc<Self>,
        target: &Target,
        entry: &mut Entry,
    ) -> Result<(), NoAnswer> {
        if self.is_open() || !self.requests.matches(target) || self.is_skipped() {
            return Ok(());
        }
        match self.fate {
            Fate::Wait => self.wait().await,
            Fate::Ignore => {
                self.wait().await;
                return Err(NoAnswer);
            }
            Fate::LoseReply => entry.loses_reply.push(self.clone()),
        }
        Ok(())
    }

    fn is_skipped(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.skip
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    async fn wait(&self) {
        self.waiting.send_modify(|count| *count += 1);
        let mut open = self.open.subscribe();
        // The sender lives as long as self, so this only ends with the opening.
        let _ = open.wait_for(|open| *open).await;
        self.waiting.send_modify(|count| *count -= 1);
    }
}

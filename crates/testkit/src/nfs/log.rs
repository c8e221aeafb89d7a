//! Every call that reached the server, for tests to ask about.
//!
//! A call stands in the log from the moment it was read, whatever became of it afterwards. Counts are complete; of the calls
//! themselves the last [`KEPT`] are kept.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::call::{Call, Credential, Procedure};
use crate::wait::NotSeen;

/// How many calls are kept in full.
pub const KEPT: usize = 100_000;

/// A shared view of a server's calls; clones see the same log. It lives on over restarts of the server.
#[derive(Debug, Clone)]
pub struct CallLog(Arc<Shared>);

/// One call as it arrived.
#[derive(Debug, Clone)]
pub struct LoggedCall {
    /// When its last byte was read.
    pub at: Instant,
    /// Address and source port that it came from.
    pub peer: SocketAddr,
    /// Transaction id, the same in a retransmission.
    pub xid: u32,
    /// Version of the program.
    pub version: u32,
    /// What was called.
    pub procedure: Procedure,
    /// Directory entry names in the arguments: one for LOOKUP, CREATE, MKDIR, SYMLINK, MKNOD, REMOVE and RMDIR, old and new for RENAME;
    /// for MNT and UMNT the path; for the rest none.
    pub names: Vec<Vec<u8>>,
    /// Who it says it is from.
    pub credential: Credential,
}

/// Counts a call as in flight for as long as it lives.
#[derive(Debug)]
pub(super) struct InFlight(CallLog);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    calls: VecDeque<LoggedCall>,
    counts: HashMap<Procedure, usize>,
    in_flight: usize,
    most_in_flight: usize,
    connections: usize,
}

// === impl CallLog ===

impl CallLog {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        }))
    }

    /// How often a procedure was called since the start or the last [`clear`](Self::clear).
    pub fn count(&self, procedure: Procedure) -> usize {
        self.state().counts.get(&procedure).copied().unwrap_or(0)
    }

    /// Calls of all kinds.
    pub fn total(&self) -> usize {
        self.state().counts.values().sum()
    }

    /// The calls in order of arrival, the last [`KEPT`] of them.
    pub fn calls(&self) -> Vec<LoggedCall> {
        self.state().calls.iter().cloned().collect()
    }

    /// The calls of one procedure in order of arrival.
    pub fn calls_of(&self, procedure: Procedure) -> Vec<LoggedCall> {
        let state = self.state();
        let calls = state.calls.iter();
        calls
            .filter(|call| call.procedure == procedure)
            .cloned()
            .collect()
    }

    /// The first names in the calls of one procedure, in order of arrival.
    pub fn names_of(&self, procedure: Procedure) -> Vec<String> {
        let calls = self.calls_of(procedure).into_iter();
        calls
            .filter_map(|call| Some(String::from_utf8_lossy(call.names.first()?).into_owned()))
            .collect()
    }

    /// Calls read and not answered yet.
    pub fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// The most calls that were in flight at once, over all connections.
    pub fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// Forgets calls, counts and high-water mark; what is in flight stays so.
    pub fn clear(&self) {
        let mut state = self.state();
        state.calls.clear();
        state.counts.clear();
        state.connections = 0;
        state.most_in_flight = state.in_flight;
    }

    /// Waits until a procedure was called at least so often.
    pub async fn wait_for(
        &self,
        procedure: Procedure,
        times: usize,
        cap: Duration,
    ) -> Result<(), NotSeen> {
        self.wait_until(cap, |log| log.count(procedure) >= times)
            .await
    }

    /// Waits until something holds of the log; it is asked at every change.
    pub async fn wait_until(
        &self,
        cap: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Result<(), NotSeen> {
        crate::wait::until(self.0.changed.subscribe(), cap, || holds(self)).await
    }

    pub(super) fn connected(&self) {
        self.state().connections += 1;
        self.0.changed.send_replace(());
    }

    pub(super) fn arrived(&self, call: &Call, peer: SocketAddr) -> InFlight {
        let mut state = self.state();
        *state.counts.entry(call.procedure).or_default() += 1;
        if state.calls.len() == KEPT {
            state.calls.pop_front();
        }
        state.calls.push_back(LoggedCall {
            at: Instant::now(),
            peer,
            xid: call.xid,
            version: call.version,
            procedure: call.procedure,
            names: call.names(),
            credential: call.credential.clone(),
        });
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        drop(state);
        self.0.changed.send_replace(());
        InFlight(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.0.changed.send_replace(());
    }
}

//! One call over a [`Mux`]: a slot, the call's bytes into the queue, the reply's value out, and how it ended into the statistics.
//!
//! Dropped at any time: what was not sent never is, and what was sent keeps its slot until the server answers or its deadline passes, since
//! the wire cannot take it back.

use tokio::{sync::oneshot, time::Instant};

use super::{
    CallError,
    message::{self, Credential},
    mux::{Mux, Submit, Waiter},
    proc::{Call, Proc},
};
use crate::stats::{Outcome, Stats};

/// Counts a call when dropped: as cancelled, unless it was told another end.
struct Count<'a> {
    stats: &'a Stats,
    proc: Proc,
    queued: Instant,
    outcome: Outcome,
}

// === impl Mux ===

impl Mux {
    /// One call. `xid` must not be in flight on this connection; a call that is repeated on the next connection keeps its own, so that
    /// the server's duplicate-request cache can know it again.
    pub(crate) async fn call<C: Call>(
        &self,
        xid: u32,
        credential: &Credential,
        args: &C,
    ) -> Result<C::Reply, CallError> {
        let slot = self.slot().await;
        let mut count = Count::start(self.stats(), C::PROC);
        let (reply, answer) = oneshot::channel();
        let sent = message::encode(xid, credential, args)
            .map_err(CallError::Malformed)
            .and_then(|record| {
                let waiter = Waiter { reply, _slot: slot };
                self.submit(Submit {
                    xid,
                    record,
                    waiter,
                })
            });
        let ended = match sent {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.lost())),
            Err(error) => Err(error),
        };
        let value = ended.and_then(|record| message::decode::<C>(&record));
        count.outcome = Outcome::from(&value);
        value.map(|(_, value)| value)
    }
}

// === impl Count ===

impl<'a> Count<'a> {
    fn start(stats: &'a Stats, proc: Proc) -> Self {
        Self {
            stats,
            proc,
            queued: Instant::now(),
            outcome: Outcome::Cancelled,
        }
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.stats
            .record(self.proc, self.outcome, self.queued.elapsed());
    }
}

// === impl Outcome ===

impl<T> From<&Result<(Option<u32>, T), CallError>> for Outcome {
    fn from(ended: &Result<(Option<u32>, T), CallError>) -> Self {
        match ended {
            Ok((status, _)) => Self::Status(status.unwrap_or(0)),
            Err(CallError::Lost { sent: true, .. }) => Self::Lost,
            Err(CallError::Lost { sent: false, .. }) => Self::Unsent,
            Err(CallError::TimedOut(_)) => Self::TimedOut,
            Err(CallError::Malformed(_)) => Self::Malformed,
            Err(CallError::Refused(_)) => Self::Refused,
        }
    }
}

//! The task that a connection has: it keeps the [`Driver`] going, and sees to it that nobody waits for one that has ended.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::mpsc;

use super::{
    Shared, Submit,
    driver::{Driver, Orphans},
};
use crate::rpc::{Broken, CallError};

/// A connection's task. Where it is dropped before its end, as its runtime may do, the connection ends with it.
pub(super) struct Task {
    pub(super) queue: mpsc::UnboundedReceiver<Submit>,
    pub(super) driver: Arc<Mutex<Driver>>,
    pub(super) shared: Arc<Shared>,
}

// === impl Task ===

impl Task {
    pub(super) async fn run(mut self) {
        let Self { queue, driver, .. } = &mut self;
        let turn = poll_fn(|cx| {
            let mut driver = driver.lock().unwrap_or_else(PoisonError::into_inner);
            driver.turn(queue, cx)
        });
        let why = Arc::new(turn.await);
        let (held, sent) = self.hang_up();
        // First the socket is gone: whoever hears of its end dials anew, and wants the port that it is bound to. Then the verdict, then the queue: a call
        // that misses the one is caught by the other. Waited for and not only looked for: one that is just being queued is not to be seen yet, and nobody
        // else would ever answer it.
        self.verdict(&why);
        self.queue.close();
        let mut unsent: Vec<_> = held.into_iter().map(|submit| submit.waiter).collect();
        while let Some(submit) = self.queue.recv().await {
            unsent.push(submit.waiter);
        }
        let unsent = unsent.into_iter().map(|waiter| (waiter, false));
        for (waiter, sent) in unsent.chain(sent) {
            let why = Arc::clone(&why);
            let _ = waiter.reply.send(Err(CallError::Lost { why, sent }));
        }
    }

    /// Lets go of the socket; returns who waits.
    fn hang_up(&self) -> Orphans {
        self.driver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hang_up()
    }

    fn verdict(&self, why: &Arc<Broken>) {
        // It is said once; only the drop below comes after it.
        let _ = self.shared.broken.set(Arc::clone(why));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Who waits still learns of it by what is dropped here.
        let orphans = self.hang_up();
        self.verdict(&Arc::new(Broken::Dropped));
        drop(orphans);
    }
}

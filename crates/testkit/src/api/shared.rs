//! What all requests and the controllers share.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::sync::watch;

use super::{Options, audit::Audit, auth::Tokens, faults::Faults, store::Store};

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) tokens: Tokens,
    pub(crate) audit: Audit,
    pub(crate) faults: Faults,
    pub(crate) bookmark_every: Duration,
    controllers: watch::Sender<bool>,
    running: watch::Sender<bool>,
    /// How many times the server was stopped; what came in before a stop has no effect after it.
    stops: AtomicU64,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            store: Store::new(options.history),
            tokens: Tokens::new(options.anonymous),
            audit: Audit::default(),
            faults: Faults::default(),
            bookmark_every: options.bookmark_every,
            controllers: watch::Sender::new(options.controllers),
            running: watch::Sender::new(true),
            stops: AtomicU64::new(0),
        }
    }

    pub(crate) fn set_controllers(&self, on: bool) {
        self.controllers.send_replace(on);
    }

    /// Notes a start or a stop.
    pub(crate) fn set_running(&self, running: bool) {
        self.running.send_replace(running);
        if !running {
            self.stops.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn controllers_on(&self) -> bool {
        *self.controllers.borrow()
    }

    /// Which life of the server this is.
    pub(crate) fn life(&self) -> u64 {
        self.stops.load(Ordering::SeqCst)
    }

    /// Returns when the controllers may work: switched on, the server running and not frozen.
    pub(crate) async fn controllers_due(&self) {
        let (mut on, mut running) = (self.controllers.subscribe(), self.running.subscribe());
        loop {
            // None of the three ends before self does.
            let _ = on.wait_for(|on| *on).await;
            let _ = running.wait_for(|running| *running).await;
            self.faults.thawed().await;
            if *on.borrow() && *running.borrow() {
                return;
            }
        }
    }
}

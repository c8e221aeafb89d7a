//! The task that keeps one export mounted.
//!
//! A lost connection is made again at once; where that fails, the share is down, and it is dialled until it is back: first after 100 ms,
//! then at most 2 s apart, so that a share is in service again well within 5 s of its coming up.

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::Instant;
use tracing::{debug, info};

use super::{Backoff, Link, Live, Shared, dial::Dialer};
use crate::{Cause, Error, State, error::Operation};

const REDIAL_FIRST: Duration = Duration::from_millis(100);
const REDIAL_MAX: Duration = Duration::from_secs(2);
/// A connection that lasted this long was a good one.
const SETTLED: Duration = Duration::from_secs(5);
/// Calls that a dial itself makes over the NFS connection, at most.
const DIAL_ANSWERS: u64 = 2;
/// Connections in a row that may break sooner before the share counts as down between them.
const SHORT_MAX: u32 = 3;

/// Runs until it is aborted.
pub(super) async fn supervise(shared: Arc<Shared>) {
    let mut dialer = Dialer::new(Arc::clone(&shared)).await;
    let mut backoff = Backoff::new(REDIAL_FIRST, REDIAL_MAX);
    let mut short = 0;
    loop {
        let start = Instant::now();
        let cause = match dialer.dial().await {
            Err(cause) => cause,
            Ok(live) => {
                let mux = live.mux.clone();
                if live.connection > 1 {
                    shared.stats.reconnects.fetch_add(1, Relaxed);
                }
                let cause = serve(&shared, &mut dialer, live).await;
                short = if start.elapsed() < SETTLED {
                    short + 1
                } else {
                    0
                };
                // One that was of use may be had again soon, but not at once for ever.
                if short == 0 || mux.answers() > DIAL_ANSWERS {
                    backoff.reset();
                }
                if matches!(cause, Cause::Lost(_)) && short <= SHORT_MAX {
                    debug!(share = %shared.name(), error = &cause as &dyn std::error::Error, "connection lost");
                    shared.link.send_replace(Link::Dialing);
                    continue;
                }
                cause
            }
        };
        shared.down(cause);
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Keeps `live` up until it breaks or cannot be mounted again; why.
async fn serve(shared: &Shared, dialer: &mut Dialer, live: Live) -> Cause {
    let mut live = Arc::new(live);
    let mut stale = shared.stale.subscribe();
    loop {
        shared.up(&live);
        tokio::select! {
            why = live.mux.closed() => return Cause::Lost(why),
            changed = stale.wait_for(|generation| *generation >= live.generation) => {
                if changed.is_err() {
                    return Cause::Lost(Arc::new(crate::Broken::Dropped));
                }
            }
        }
        info!(share = %shared.name(), "file handles are stale, mounting again");
        match dialer.remount(&live).await {
            Ok(mounted) => live = Arc::new(mounted),
            Err(cause) => return cause,
        }
    }
}

// === impl Shared ===

impl Shared {
    /// `server:/export`, for errors and logs.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.target.server, self.target.path)
    }

    fn up(&self, live: &Arc<Live>) {
        self.link.send_replace(Link::Up(Arc::clone(live)));
        self.state.send_if_modified(|state| {
            let news = !matches!(state, State::Up);
            if news {
                debug!(share = %self.name(), "share is up");
                *state = State::Up;
            }
            news
        });
    }

    fn down(&self, cause: Cause) {
        let error = Arc::new(Error::new(Operation::Reach, &self.name(), cause));
        self.link.send_replace(Link::Down(Arc::clone(&error)));
        self.state.send_modify(|state| {
            // Whoever follows the state says so where people look, and knows what they were told before.
            debug!(share = %self.name(), error = &*error as &dyn std::error::Error, "share is down");
            *state = State::Down(error);
        });
    }
}

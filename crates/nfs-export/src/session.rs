//! One export that stays mounted: dial, watch, dial again; and calls that outlive a connection.
//!
//! ```text
//!            first use            answer lost              redial fails
//! Idle ─────────────> Dialing ──> Up ─────────> Dialing ─────────────> Down(cause)
//!                        ^                                                │ 100 ms .. 2 s
//!                        └────────────────────────────────────────────────┘
//! ```
//! A call waits while the share is being dialled and fails at once, with the last cause, while it is down. A call whose connection
//! breaks is sent again with the same xid on the next one (see [`call`]).

mod backoff;
mod call;
mod dial;
mod handles;
mod mount;
mod port;
mod portmap;
mod resolve;
mod supervise;
mod walk;

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::watch, task::AbortHandle, time::Instant};

pub(crate) use call::{Answer, Doubt};
pub(crate) use handles::{Directory, Handles};
pub(crate) use walk::{Found, Tries};

use crate::{
    Cause, Error, Options, State, Target,
    rpc::{message::Credential, mux::Mux, proc::NullArgs},
    stats::Stats,
};
use backoff::Backoff;

/// An export, dialled when first needed. Ends its connection and its task when dropped.
#[derive(Debug)]
pub(crate) struct Session {
    shared: Arc<Shared>,
    supervisor: OnceLock<AbortOnDrop>,
}

/// A mounted connection.
#[derive(Debug)]
pub(crate) struct Live {
    /// Counts connections, and mounts on them.
    connection: u64,
    generation: u64,
    address: SocketAddr,
    mux: Mux,
    credential: Credential,
    pub(crate) root: Directory,
    /// Bytes of a directory to ask for at once.
    pub(crate) page: u32,
    pub(crate) handles: Handles,
}

#[derive(Debug)]
struct Shared {
    target: Arc<Target>,
    options: Options,
    stats: Arc<Stats>,
    link: watch::Sender<Link>,
    state: watch::Sender<State>,
    /// The last mount generation that somebody found stale.
    stale: watch::Sender<u64>,
    xid: AtomicU32,
    /// Whether it was said that reserved ports are not to be had.
    port_warned: AtomicBool,
}

#[derive(Debug, Clone)]
enum Link {
    Idle,
    Dialing,
    Up(Arc<Live>),
    Down(Arc<Error>),
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

// === impl Session ===

impl Session {
    pub(crate) fn new(target: Arc<Target>, options: Options) -> Self {
        let shared = Shared {
            target,
            options,
            stats: Arc::default(),
            link: watch::Sender::new(Link::Idle),
            state: watch::Sender::new(State::Idle),
            stale: watch::Sender::new(0),
            xid: AtomicU32::new(fastrand::u32(..)),
            port_warned: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
            supervisor: OnceLock::new(),
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.shared.target
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(crate) fn stats(&self) -> &Arc<Stats> {
        &self.shared.stats
    }

    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Starts to dial, if that has not been done yet.
    pub(crate) fn wake(&self) {
        self.supervisor.get_or_init(|| {
            self.shared.link.send_replace(Link::Dialing);
            AbortOnDrop(tokio::spawn(supervise::supervise(Arc::clone(&self.shared))).abort_handle())
        });
    }

    /// The mounted connection; waits while it is being made, fails at once while the share is down.
    pub(crate) async fn live(&self) -> Result<Arc<Live>, Cause> {
        self.live_after(None).await
    }

    /// One NULL call on the connection as it is; its round-trip time.
    pub(crate) async fn null(&self) -> Result<Duration, Cause> {
        let live = self.live().await?;
        let start = Instant::now();
        live.mux
            .call(self.shared.xid(), &live.credential, &NullArgs)
            .await?;
        Ok(start.elapsed())
    }

    /// Has the export mounted again because handles of `generation` are stale; returns when that is done or has failed.
    pub(crate) async fn remount(&self, generation: u64) -> Result<(), Cause> {
        let mut link = self.shared.link.subscribe();
        self.shared.stale.send_if_modified(|stale| {
            let news = generation > *stale;
            *stale = generation.max(*stale);
            news
        });
        loop {
            match &*link.borrow_and_update() {
                Link::Up(live) if live.generation > generation => return Ok(()),
                Link::Down(last) => return Err(Cause::Unreachable(Arc::clone(last))),
                Link::Idle | Link::Dialing | Link::Up(_) => {}
            }
            if link.changed().await.is_err() {
                return Err(Cause::Lost(Arc::new(crate::Broken::Dropped)));
            }
        }
    }

    /// As [`Self::live`], but not the connection `lost`, which is known to be broken.
    async fn live_after(&self, lost: Option<u64>) -> Result<Arc<Live>, Cause> {
        self.wake();
        if let Link::Up(live) = &*self.shared.link.borrow()
            && live.is_usable(lost)
        {
            return Ok(Arc::clone(live));
        }
        // Boxed, because seldom waited for: every call's future has room for this one.
        Box::pin(self.next_live(lost)).await
    }

    async fn next_live(&self, lost: Option<u64>) -> Result<Arc<Live>, Cause> {
        let mut link = self.shared.link.subscribe();
        loop {
            match &*link.borrow_and_update() {
                Link::Up(live) if live.is_usable(lost) => return Ok(Arc::clone(live)),
                Link::Down(last) => return Err(Cause::Unreachable(Arc::clone(last))),
                Link::Idle | Link::Dialing | Link::Up(_) => {}
            }
            if link.changed().await.is_err() {
                return Err(Cause::Lost(Arc::new(crate::Broken::Dropped)));
            }
        }
    }
}

// === impl Live ===

impl Live {
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    fn is_usable(&self, lost: Option<u64>) -> bool {
        lost.is_none_or(|lost| self.connection > lost) && self.mux.broken().is_none()
    }
}

// === impl Shared ===

impl Shared {
    fn xid(&self) -> u32 {
        self.xid.fetch_add(1, Relaxed)
    }
}

// === impl AbortOnDrop ===

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

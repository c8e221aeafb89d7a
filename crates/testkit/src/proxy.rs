//! A TCP proxy that misbehaves on demand: between any client and any server, at run time, each direction by itself.
//!
//! ```text
//! client ── to_server (Link) ──> upstream
//!        <── to_client (Link) ──
//! ```
//!
//! A [`Link`] delays, splits, stalls, corrupts, swallows, and cuts after so many bytes or in the middle of an RPC record; the [`Proxy`]
//! closes or resets connections, refuses new ones, and moves to another upstream. Where pieces end and which bytes are corrupted depends on
//! the seed, on the connection's number and on the place in the stream, not on timing.
//!
//! Upstream it calls from an ordinary port, so a server that requires reserved ones refuses what comes through it.
//!
//! ```no_run
//! # async fn example(server: std::net::SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use testkit::proxy::Proxy;
//!
//! let mut proxy = Proxy::start(server, 7).await?;
//! let _connect_here = proxy.addr();
//! proxy.to_client().delay(Duration::from_millis(5));
//! proxy.to_client().cut_in_record(3); // three whole answers, then half of the fourth
//! proxy.wait_until(Duration::from_secs(5), |proxy| proxy.cuts() == 1).await?;
//! proxy.refuse().await;
//! proxy.accept().await?;
//! # Ok(())
//! # }
//! ```

mod link;
mod marks;
mod pump;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::wait::NotSeen;
pub use link::Link;

use pump::{Direction, End};

/// How long accepting rests after it failed, as when there are too many open files.
const ACCEPT_REST: Duration = Duration::from_millis(10);

/// A running proxy. Dropping it closes its listener and its connections.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    addr: SocketAddr,
    /// Ends when the proxy does.
    end: CancellationToken,
    /// What listens, unless connections are refused.
    listening: Option<Listening>,
}

#[derive(Debug)]
struct Shared {
    upstream: Mutex<SocketAddr>,
    to_server: Link,
    to_client: Link,
    closing: watch::Sender<Closing>,
    changed: watch::Sender<()>,
    seed: u64,
    accepted: AtomicU64,
    failed: AtomicU64,
    cuts: AtomicU64,
    open: AtomicU64,
}

/// How the connections that are open at its change are closed.
#[derive(Debug, Clone, Copy)]
enum Closing {
    Orderly,
    Reset,
}

#[derive(Debug)]
struct Listening {
    end: CancellationToken,
    task: TaskTracker,
}

// === impl Proxy ===

impl Proxy {
    /// Listens at a free port of 127.0.0.1 and passes what comes in on to `upstream`. The seed decides all that is left to chance.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let changed = watch::Sender::new(());
        let shared = Shared {
            upstream: Mutex::new(upstream),
            to_server: Link::new(changed.clone()),
            to_client: Link::new(changed.clone()),
            closing: watch::Sender::new(Closing::Orderly),
            changed,
            seed,
            accepted: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            open: AtomicU64::new(0),
        };
        let mut proxy = Self {
            shared: Arc::new(shared),
            addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            end: CancellationToken::new(),
            listening: None,
        };
        proxy.accept().await?;
        Ok(proxy)
    }

    /// Where clients connect. The same for the proxy's whole life.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What clients send.
    pub fn to_server(&self) -> &Link {
        &self.shared.to_server
    }

    /// What the server sends.
    pub fn to_client(&self) -> &Link {
        &self.shared.to_client
    }

    /// Both directions, for what is to befall both.
    pub fn links(&self) -> [&Link; 2] {
        [self.to_server(), self.to_client()]
    }

    /// New connections go to another server; open ones stay where they are.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        *self.shared.upstream() = upstream;
    }

    /// Closes every open connection, on both sides.
    pub fn cut(&self) {
        self.shared.closing.send_replace(Closing::Orderly);
    }

    /// Resets every open connection, on both sides: the peers see `ECONNRESET`.
    pub fn reset(&self) {
        self.shared.closing.send_replace(Closing::Reset);
    }

    /// Closes the listener: connecting is refused until [`accept`](Self::accept). Open connections stay.
    pub async fn refuse(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.end.cancel();
            listening.task.close();
            listening.task.wait().await;
        }
    }

    /// Listens again, at the same address.
    ///
    /// # Errors
    /// Somebody else has taken the port.
    pub async fn accept(&mut self) -> io::Result<()> {
        if self.listening.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.addr).await?;
        self.addr = listener.local_addr()?;
        let end = self.end.child_token();
        let task = TaskTracker::new();
        let run = Arc::clone(&self.shared).listen(listener, self.end.clone());
        let until = end.clone();
        task.spawn(async move { until.run_until_cancelled(run).await });
        self.listening = Some(Listening { end, task });
        Ok(())
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Connections that were closed at once, since the upstream could not be reached.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Connections that a link's `cut_after` or `cut_in_record` ended.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Waits until something holds of the proxy and its counters; it is asked at every change.
    pub async fn wait_until(
        &self,
        cap: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Result<(), NotSeen> {
        let changed = self.shared.changed.subscribe();
        crate::wait::until(changed, cap, || holds(self)).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

// === impl Shared ===

impl Shared {
    async fn listen(self: Arc<Self>, listener: TcpListener, end: CancellationToken) {
        loop {
            let Ok((client, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            };
            let number = self.accepted.fetch_add(1, Ordering::Relaxed);
            let serve = Arc::clone(&self).serve(client, number);
            let end = end.clone();
            tokio::spawn(async move { end.run_until_cancelled(serve).await });
        }
    }

    async fn serve(self: Arc<Self>, mut client: TcpStream, number: u64) {
        let mut closing = self.closing.subscribe();
        let _open = Open::new(&self);
        let upstream = *self.upstream();
        let Ok(mut server) = TcpStream::connect(upstream).await else {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_in, client_out) = client.split();
        let (server_in, server_out) = server.split();
        let seed = self.seed.wrapping_add(number.wrapping_mul(2));
        let there = Direction::new(&self.to_server, seed);
        let back = Direction::new(&self.to_client, seed.wrapping_add(1));
        let end = tokio::select! {
            end = there.pump_with(back, (client_in, server_out), (server_in, client_out)) => end,
            _ = closing.changed() => End::Closed(*closing.borrow_and_update()),
        };
        match end {
            End::Cut => {
                self.cuts.fetch_add(1, Ordering::Relaxed);
            }
            End::Closed(Closing::Reset) => {
                let _ = (client.set_zero_linger(), server.set_zero_linger());
            }
            End::Finished | End::Closed(Closing::Orderly) => {}
        }
    }

    fn upstream(&self) -> std::sync::MutexGuard<'_, SocketAddr> {
        self.upstream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a connection as open for as long as it lives.
struct Open<'a>(&'a Shared);

// === impl Open ===

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        shared.changed.send_replace(());
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.send_replace(());
    }
}

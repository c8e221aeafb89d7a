//! The process: builds the rooms, joins their futures, and stops them in order.
//!
//! ```text
//! first signal ──> no new work ──> attempts under way end, or the grace period does ──> events written ──> lock released
//! second signal ─> the end
//! ```

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use nfs_export::Target;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::controller::Context;
use crate::controller::access::{Access, LockAt};
use crate::controller::events::{self, Events};
use crate::controller::hindsight::Hindsight;
use crate::controller::leader::{self, Leader, Leadership};
use crate::controller::made::Made;
use crate::controller::missing::Missing;
use crate::controller::paths::Paths;
use crate::controller::pulse::Pulse;
use crate::controller::queue::Queue;
use crate::controller::scrape;
use crate::controller::stores::{Queues, Stores};
use crate::controller::volumes_api::VolumesApi;
use crate::controller::waits::Waits;
use crate::plan::{backoff, names};
use crate::shares::{Changes, Shares};
use crate::telemetry::health::{Health, PATIENCE};
use crate::telemetry::http::{self, Pages};
use crate::telemetry::log::Repeats;
use crate::telemetry::metrics::Metrics;

mod background;
mod connect;
pub(crate) mod privilege;
mod rights;

use background::{beat, follow_api, follow_shares, report_synced};
use connect::connect;
use rights::elect;

/// Why the process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no usable kubeconfig, or no service account where there is none.
    #[error("KUBECONFIG")]
    Kubeconfig(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something that the process cannot do without could not be set up.
    #[error("cannot set up {0}")]
    Setup(
        &'static str,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
    /// A loop that never ends has ended.
    #[error("a part of the process stopped by itself")]
    Ended(#[source] Option<tokio::task::JoinError>),
}

/// Runs until the first SIGTERM or SIGINT is dealt with, or the second comes.
pub(crate) async fn run_until_signalled(config: Config) -> Result<ExitCode, RunError> {
    let setup = |error: std::io::Error| RunError::Setup("signals", error.into());
    let mut signals = Signals {
        term: signal(SignalKind::terminate()).map_err(setup)?,
        int: signal(SignalKind::interrupt()).map_err(setup)?,
    };
    let stop = CancellationToken::new();
    let mut work = std::pin::pin!(run(config, stop.clone()));
    tokio::select! {
        outcome = &mut work => return outcome.map(|()| ExitCode::SUCCESS),
        name = signals.next() => info!(signal = name, "stopping: attempts under way end first; a second signal ends the process at once"),
    }
    stop.cancel();
    tokio::select! {
        outcome = work => outcome.map(|()| ExitCode::SUCCESS),
        name = signals.next() => {
            warn!(signal = name, "second signal: ending at once");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Provisions and deletes until `stop` is cancelled; then ends what is under way within the grace period.
///
/// # Errors
/// [`RunError`]: nothing that waiting could cure. An API server or NFS server that does not answer is waited for.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), RunError> {
    let process = Process::build(&config).await?;
    Box::pin(process.run(stop, config.grace)).await
}

struct Signals {
    term: Signal,
    int: Signal,
}

/// The rooms, built and not yet running.
struct Process {
    client: Client,
    ctx: Arc<Context>,
    changes: Changes,
    writer: events::Writer,
    access: watch::Sender<Access>,
    /// Where there is one.
    lock: Option<LockAt>,
    leader: Option<Leader>,
    metrics_address: Option<SocketAddr>,
}

// === impl Signals ===

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

// === impl Process ===

impl Process {
    async fn build(config: &Config) -> Result<Self, RunError> {
        let setup = |what| move |error: prometheus::Error| RunError::Setup(what, error.into());
        let metrics = Metrics::new().map_err(setup("metrics"))?;
        let identity = names::identity(&host_name(), &uuid::Uuid::new_v4().to_string());
        let client = connect(config, &identity, &metrics).await?;
        let component = names::event_component(&config.provisioner, &identity);
        let (events, writer) = Events::new(client.clone(), &component, events::Options::default());
        let lock = config.lock.as_ref().map(|lock| LockAt {
            namespace: lock.namespace.clone(),
            name: names::lock(&config.provisioner),
        });
        let (leader, leadership) = match config.lock.as_ref().zip(lock.clone()) {
            Some((lock, at)) => {
                let setup = leader::Setup {
                    at,
                    identity,
                    terms: lock.terms,
                };
                let (leader, leadership) = Leader::new(client.clone(), setup, events.clone());
                (Some(leader), leadership)
            }
            None => (None, Leadership::always()),
        };
        let (shares, changes) = Shares::new(Target::from(&config.share), config.nfs.clone());
        let delay = |failures| backoff::delay(failures, fastrand::f64());
        let queues = Arc::new(Queues {
            claims: Queue::new(delay),
            volumes: Queue::new(delay),
        });
        let paths = Paths::default();
        let stores = Stores::new(
            &config.provisioner,
            config.share.clone(),
            queues.clone(),
            paths.clone(),
        );
        let (access, asked) = watch::channel(Access::of_go());
        let ctx = Context {
            provisioner: config.provisioner.as_str().into(),
            stores: Arc::new(stores),
            queues,
            shares: Arc::new(shares),
            volumes: VolumesApi::new(client.clone()),
            events,
            paths,
            pulse: Arc::new(Pulse::default()),
            access: asked,
            leadership,
            metrics,
            health: Health::default(),
            forbidden: Notify::new(),
            share_came_up: Notify::new(),
            hindsight: Hindsight::default(),
            repeats: Repeats::default(),
            classless: Missing::default(),
            claims_waiting: Waits::default(),
            volumes_waiting: Waits::default(),
            made: Made::default(),
            limits: config.limits,
        };
        Ok(Self {
            client,
            ctx: Arc::new(ctx),
            changes,
            writer,
            access,
            lock,
            leader,
            metrics_address: config.metrics,
        })
    }

    async fn run(self, stop: CancellationToken, grace: Duration) -> Result<(), RunError> {
        let Self {
            client,
            ctx,
            changes,
            writer,
            access,
            lock,
            leader,
            metrics_address,
        } = self;
        let health = ctx.health.clone();
        let mut background = JoinSet::new();
        let (synced, answered) = (
            health.condition("stores synced"),
            health.condition("default share answered"),
        );
        background.spawn(ctx.stores.clone().run(client.clone(), health.clone()));
        background.spawn(report_synced(ctx.clone(), synced));
        background.spawn(follow_shares(ctx.clone(), changes, answered));
        background.spawn(follow_api(ctx.clone(), client.clone()));
        background.spawn(beat(health.clone()));
        background.spawn(scrape::run(ctx.clone()));
        let heart = health.heart("event writer", PATIENCE);
        if let Some(address) = metrics_address {
            let pages = Pages {
                metrics: ctx.metrics.clone(),
                health,
            };
            background.spawn(http::run(address, pages, CancellationToken::new()));
        }
        let writing = tokio::spawn(writer.run(heart));
        let resign = CancellationToken::new();
        let election = elect(&client, lock.as_ref(), &access, &ctx, leader, &resign);
        let work = async {
            let outcome = tokio::select! {
                () = work_once_allowed(&ctx, &stop) => Ok(()),
                () = after(&stop, grace) => {
                    warn!("grace period is over: what is still under way is cut off and will be repeated");
                    Ok(())
                }
                Some(ended) = background.join_next() => Err(RunError::Ended(ended.err())),
            };
            // Only now, when nothing is under way any more, may another process begin.
            resign.cancel();
            let unwritten = ctx.events.drain(DRAIN).await;
            if unwritten > 0 {
                warn!(unwritten, "events left unwritten");
            }
            outcome
        };
        let (outcome, ()) = tokio::join!(work, election);
        writing.abort();
        info!("stopped");
        outcome
    }
}

/// Begins once it is known what may be done: a finalizer, above all, has to be taken off by whoever deletes the volume.
async fn work_once_allowed(ctx: &Context, stop: &CancellationToken) {
    let mut access = ctx.access.clone();
    tokio::select! {
        _ = access.changed() => {}
        () = stop.cancelled() => {}
    }
    ctx.work(stop).await;
}

/// Time for the last events.
const DRAIN: Duration = Duration::from_secs(3);

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

async fn after(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
}

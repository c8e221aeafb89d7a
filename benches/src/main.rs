//! `make bench`: the provisioner on a real API server, and its NFS client on real NFS servers.
//!
//! ```text
//! world (e2e/world.sh) ──> cluster: bursts, memory      the release binary as a process of its own
//!                      └─> nfs: mkdir, remove, mux      this program again as a worker, beside benches/peers/ (libnfs)
//! ```
//! Every figure stands beside its yardstick, taken in the same run on the same machine; what counts is the ratio. Figures of the Go
//! provisioner are constants, and are labelled so.

mod cluster;
mod delay;
mod nfs;
mod provisioner;
mod series;
mod table;
mod usage;
mod world;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::runtime::Builder;

use self::cluster::Cluster;
use self::nfs::worker::Worker;
use self::table::Report;
use self::world::World;

/// Benchmarks on the world that E2E_WORLD names
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// Which; all when none is named
    what: Vec<What>,
    /// Repetitions of which the median is shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// MKDIR: only at so many calls in flight; may be given more than once
    #[arg(long)]
    depth: Vec<usize>,
    /// Objects of each kind for the memory figure
    #[arg(long, default_value_t = 20_000)]
    objects: usize,
    /// Entries of the one large directory
    #[arg(long, default_value_t = 1_000_000)]
    entries: usize,
    #[command(subcommand)]
    worker: Option<Hidden>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Claims and deletions, and requests a claim
    Bursts,
    /// Memory of the provisioner
    Memory,
    /// SIGTERM, start again, first volume
    Restart,
    /// MKDIR beside libnfs
    Mkdir,
    /// Removal beside one call at a time
    Remove,
    /// CPU of a call
    Mux,
}

#[derive(Debug, Subcommand)]
enum Hidden {
    /// One measurement in a process of its own
    #[command(hide = true)]
    Worker(Worker),
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.worker {
        // One thread, as libnfs has: what is compared is the clients, not how threads wake each other.
        // On a task, as calls are made in earnest: between a wake-up of what `block_on` itself was given and its turn the runtime asks the
        // kernel for events once more.
        Some(Hidden::Worker(worker)) => Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async { tokio::spawn(worker.run()).await? }),
        None => Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(run(&args)),
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let world = World::from_env()?;
    let wanted = |what| args.what.is_empty() || args.what.contains(&what);
    let mut report = Report::default();
    if wanted(What::Mkdir) {
        nfs::mkdir::run(&world, args.rounds, &args.depth, &mut report)?;
    }
    if wanted(What::Mux) {
        nfs::mux::run(&world, args.rounds)?;
    }
    if wanted(What::Remove) {
        nfs::remove::run(&world, args.entries, &mut report)?;
    }
    if [What::Bursts, What::Restart, What::Memory]
        .into_iter()
        .any(wanted)
    {
        on_cluster(args, &world, wanted, &mut report).await?;
    }
    report.finish();
    Ok(())
}

/// What needs the API server, by one class of this run.
async fn on_cluster(
    args: &Args,
    world: &World,
    wanted: impl Fn(What) -> bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let cluster = Cluster::connect(world).await?;
    if wanted(What::Bursts) {
        cluster::bursts::run(world, &cluster, args.rounds, report).await?;
    }
    if wanted(What::Restart) {
        cluster::restart::run(world, &cluster, args.rounds, report).await?;
    }
    if wanted(What::Memory) {
        cluster::memory::run(world, &cluster, args.objects, report).await?;
    }
    Ok(())
}

//! One measurement of our client, in a process of its own. Says each [`Outcome`] on standard output, a line of JSON.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use futures::{StreamExt, TryStreamExt, stream};
use nfs_export::{Export, Options, SubDir, Target};

use super::{Outcome, mux};
use crate::usage::Usage;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// MKDIR, spread over some parents: for each line of standard input as many as it says, and an outcome
    Mkdir {
        #[command(flatten)]
        share: Share,
        depth: usize,
        parents: usize,
    },
    /// Removal of a tree
    Remove {
        #[command(flatten)]
        share: Share,
        depth: usize,
        dir: String,
    },
    /// NULL, through the client
    Null {
        #[command(flatten)]
        share: Share,
        depth: usize,
        count: usize,
    },
    /// NULL, over a socket with nothing around it
    BareNull {
        address: String,
        depth: usize,
        count: usize,
    },
}

#[derive(Debug, Args)]
struct Share {
    server: String,
    path: String,
    #[arg(long)]
    nfs_port: Option<u16>,
    #[arg(long)]
    mount_port: Option<u16>,
}

/// The time and the CPU from when it was made.
struct Stopwatch {
    since: Instant,
    cpu: Duration,
}

// === impl Worker ===

impl Worker {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let outcome = match self.task {
            Task::Mkdir {
                share,
                depth,
                parents,
            } => return mkdir(&share.open(depth), depth, parents).await,
            Task::Remove { share, depth, dir } => remove(&share.open(depth), &dir).await?,
            Task::Null {
                share,
                depth,
                count,
            } => null(&share.open(depth), depth, count).await?,
            Task::BareNull {
                address,
                depth,
                count,
            } => {
                let watch = Stopwatch::start()?;
                mux::bare_calls(&address, depth, count)?;
                watch.stop(count)?
            }
        };
        say(&outcome)
    }
}

fn say(outcome: &Outcome) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(outcome)?);
    Ok(())
}

async fn mkdir(export: &Export, depth: usize, parents: usize) -> anyhow::Result<()> {
    // Right under the share's root, as libnfs's are: ext4 spreads such directories over the disk, and those below them it does not.
    let parents: Vec<SubDir> = (0..parents)
        .map(|parent| SubDir::parse(&format!("mkdir-{}-{parent}", std::process::id())))
        .collect::<Result<_, _>>()?;
    for parent in &parents {
        export.create_dir_all(parent, 0o777).await?;
    }
    let mut names = 0_u32..;
    // Between two lines nothing is in flight, so that nothing waits for this thread while it waits for a line.
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line)? > 0 {
        let count: usize = line.trim().parse().context("how many?")?;
        let dirs: Vec<SubDir> = (&mut names)
            .take(count)
            .zip(parents.iter().cycle())
            .map(|(index, parent)| parent.join(&format!("d{index:06}")))
            .collect::<Result<_, _>>()?;
        let watch = Stopwatch::start()?;
        stream::iter(dirs)
            .map(|dir| async move { export.create_dir_all(&dir, 0o777).await })
            .buffer_unordered(depth)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        say(&watch.stop(count)?)?;
        line.clear();
    }
    for parent in &parents {
        export.remove_dir_all(parent).await?;
    }
    Ok(())
}

async fn remove(export: &Export, dir: &str) -> anyhow::Result<Outcome> {
    export.probe().await?;
    let watch = Stopwatch::start()?;
    let removed = export.remove_dir_all(&SubDir::parse(dir)?).await?;
    watch.stop(usize::try_from(removed.directories + removed.files)?)
}

async fn null(export: &Export, depth: usize, count: usize) -> anyhow::Result<Outcome> {
    export.probe().await?;
    let watch = Stopwatch::start()?;
    stream::iter(0..count)
        .map(|_| async move { export.probe().await })
        .buffer_unordered(depth)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await?;
    watch.stop(count)
}

// === impl Share ===

impl Share {
    fn open(self, depth: usize) -> Export {
        let target = Target {
            server: self.server,
            path: self.path,
            nfs_port: self.nfs_port,
            mount_port: self.mount_port,
        };
        let options = Options {
            in_flight: depth,
            ..Options::default()
        };
        Export::new(target, options)
    }
}

// === impl Stopwatch ===

impl Stopwatch {
    fn start() -> anyhow::Result<Self> {
        Ok(Self {
            cpu: Usage::own()?.cpu,
            since: Instant::now(),
        })
    }

    fn stop(self, count: usize) -> anyhow::Result<Outcome> {
        let seconds = self.since.elapsed().as_secs_f64();
        let usage = Usage::own()?;
        Ok(Outcome {
            count: u32::try_from(count).context("too many to count")?,
            seconds,
            cpu_seconds: usage.cpu.saturating_sub(self.cpu).as_secs_f64(),
            peak_mib: usage.peak,
        })
    }
}

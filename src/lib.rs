//! A Kubernetes provisioner: a directory on an NFS share and a PersistentVolume for each claim of its classes, over NFSv3, without a mount.
//!
//! ```text
//! args ──> config ──> run ─┬─ controller::stores ──> controller::queue ──> controller::{claim, volume}
//!                          │                                                  │ plan (pure)   │
//!                          ├─ shares (nfs_export) <──────────────────────────────────────────┤
//!                          ├─ controller::{leader, events, pulse} <──────────────────────────┘
//!                          └─ telemetry::{log, metrics, http}
//! ```
//!
//! [`command`] is the whole program; [`run`] is it without command line, log and signals, for tests and the demo.

use std::ffi::OsString;
use std::process::ExitCode;

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinError,
};
use tracing::error;

pub mod args;
pub mod config;
pub mod controller;
pub mod plan;
mod process;
pub mod shares;
pub mod telemetry;

pub use process::{RunError, run};

use args::{Args, Stop};
use config::Config;

/// Exit code for settings that are missing or wrong.
const BAD_SETTINGS: u8 = 2;

/// The whole program: `line` is the command line, the program's name first. Exit code 0 after a clean stop, 2 for bad settings with one line on
/// standard error that names the setting, 1 for whatever else ends the process.
pub fn command(line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let config = match Args::read(line) {
        Ok(args) => Config::resolve(args).map_err(|error| error.to_string()),
        Err(Stop::Shown(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Usage(text)) => Err(text),
    };
    match config {
        Ok(config) => start(config),
        Err(text) => {
            eprintln!("nfs-subdir-external-provisioner: {text}");
            ExitCode::from(BAD_SETTINGS)
        }
    }
}

/// Threads for work that mostly waits: as many as there are processors, but on a large node no more than that.
const THREADS_MAX: usize = 4;

fn threads() -> std::io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(processors.min(THREADS_MAX))
        .enable_all()
        .build()
}

/// Runs `work` where the connections' tasks run: each call made on this thread would cross to another one and back.
fn on_a_worker<F>(runtime: &Runtime, work: F) -> Result<F::Output, JoinError>
where
    F: Future<Output: Send> + Send + 'static,
{
    runtime.block_on(runtime.spawn(work))
}

fn start(config: Config) -> ExitCode {
    if let Err(error) = telemetry::log::init(&config.log) {
        eprintln!("nfs-subdir-external-provisioner: {error}");
        return ExitCode::FAILURE;
    }
    // Threads inherit it, so before there are any.
    process::privilege::take_up();
    let runtime = match threads() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("nfs-subdir-external-provisioner: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = on_a_worker(&runtime, process::run_until_signalled(config))
        .unwrap_or_else(|error| Err(RunError::Ended(Some(error))));
    // A second signal ends the process at once, whatever is still under way.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(error @ RunError::Kubeconfig(_)) => {
            error!(reason = telemetry::log::chain(&error), "cannot start");
            ExitCode::from(BAD_SETTINGS)
        }
        Err(error) => {
            error!(reason = telemetry::log::chain(&error), "stopped");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_runs_on_one_of_a_few_workers() {
        let runtime = threads().unwrap();
        assert!((1..=THREADS_MAX).contains(&runtime.metrics().num_workers()));
        let here = std::thread::current().id();
        let there = on_a_worker(&runtime, async { std::thread::current().id() }).unwrap();
        assert_ne!(here, there);
    }
}

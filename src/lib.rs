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

fn start(config: Config) -> ExitCode {
    if let Err(error) = telemetry::log::init(&config.log) {
        eprintln!("nfs-subdir-external-provisioner: {error}");
        return ExitCode::FAILURE;
    }
    // Threads inherit it, so before there are any.
    process::privilege::take_up();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("nfs-subdir-external-provisioner: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(process::run_until_signalled(config));
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

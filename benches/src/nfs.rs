//! The NFS client's side: each measurement runs in a process of its own, so that its CPU and memory are its own.

mod apart;
pub(crate) mod mkdir;
pub(crate) mod mux;
mod peer;
pub(crate) mod remove;
mod slices;
pub(crate) mod worker;

use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// What a worker, ours or a peer, says of what it measured: one line of JSON.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Outcome {
    /// Calls, or entries removed.
    count: u32,
    /// Time they took.
    seconds: f64,
    /// CPU they took, user and system.
    cpu_seconds: f64,
    /// Most memory the process ever had, MiB.
    peak_mib: f64,
}

// === impl Outcome ===

impl Outcome {
    fn rate(&self) -> f64 {
        f64::from(self.count) / self.seconds
    }

    /// Of CPU, for each.
    fn microseconds(&self) -> f64 {
        self.cpu_seconds / f64::from(self.count) * 1e6
    }
}

/// Runs a worker to its end.
fn outcome(command: &mut Command) -> anyhow::Result<Outcome> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("what {command:?} says"))
}

/// This program again, as a worker that runs to its end.
fn own_worker(words: &[String]) -> anyhow::Result<Outcome> {
    outcome(&mut own_command(words)?)
}

fn own_command(words: &[String]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("worker").args(words);
    Ok(command)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

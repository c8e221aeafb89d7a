//! A worker that measures a slice at a time, on command, so that several of them can take turns.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use super::Outcome;

/// A process that answers each line COUNT with an [`Outcome`], and clears away what it made at the end of its input.
#[derive(Debug)]
pub(super) struct Slices {
    process: Child,
    /// `None` once it is to end.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

// === impl Slices ===

impl Slices {
    /// Starts it, and has it do a first slice that counts for nothing: then its connection is up and its directories are there.
    pub(super) fn start(mut command: Command, count: usize) -> anyhow::Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {}", command.get_program().display()))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let output = output.context("no standard output")?;
        let mut slices = Self {
            process,
            input,
            output: BufReader::new(output).lines(),
        };
        slices.next(count).with_context(|| format!("{command:?}"))?;
        Ok(slices)
    }

    /// One slice.
    pub(super) fn next(&mut self, count: usize) -> anyhow::Result<Outcome> {
        let input = self.input.as_mut().context("it is to end")?;
        writeln!(input, "{count}")?;
        let line = self.output.next().context("it ended too soon")??;
        serde_json::from_str(&line).with_context(|| format!("what it says: {line}"))
    }

    /// Lets it clear away.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.input = None;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("a worker ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Slices {
    /// One that was not finished is not to outlive a measurement that failed.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

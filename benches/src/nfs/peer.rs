//! libnfs's asynchronous API, in a small C program that is built on the spot.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use super::{Outcome, outcome};

/// The program, built.
#[derive(Debug)]
pub(super) struct Peer(PathBuf);

// === impl Peer ===

impl Peer {
    /// Compiles `benches/peers/mkdir.c` beside this program. `None`, and a line that says so, where there is no compiler or no libnfs.
    pub(super) fn build() -> anyhow::Result<Option<Self>> {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/mkdir.c");
        let program = std::env::current_exe()?.with_file_name("bench-peer-mkdir");
        let compiled = Command::new("cc")
            .args(["-O2", "-Wall", "-Werror", "-o"])
            .arg(&program)
            .args([source, "-lnfs"])
            .output();
        match compiled {
            Ok(output) if output.status.success() => Ok(Some(Self(program))),
            Ok(output) if !std::path::Path::new("/usr/include/nfsc/libnfs.h").exists() => {
                let first = String::from_utf8_lossy(&output.stderr);
                println!(
                    "no libnfs to compare with ({}): install libnfs-dev",
                    first.lines().next().unwrap_or_default()
                );
                Ok(None)
            }
            Ok(output) => bail!("{source}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("no libnfs to compare with: install gcc and libnfs-dev");
                Ok(None)
            }
            Err(error) => Err(error).context("cc"),
        }
    }

    /// A run that hangs while it mounts, as libnfs can, ends itself and is repeated once.
    pub(super) fn mkdir(
        &self,
        server: &str,
        path: &str,
        depth: usize,
        parents: usize,
        count: usize,
    ) -> anyhow::Result<Outcome> {
        let numbers = [depth, parents, count].map(|number| number.to_string());
        let run = || outcome(Command::new(&self.0).args([server, path]).args(&numbers));
        run().or_else(|error| {
            println!("once more: {error}");
            run()
        })
    }
}

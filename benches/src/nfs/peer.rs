//! libnfs's asynchronous API, in a small C program that is built on the spot.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use super::mkdir::Case;
use super::slices::Slices;

/// The program, built.
#[derive(Debug)]
pub(super) struct Peer(PathBuf);

/// When libnfs sends a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// As Debian's 4.0 does: with Nagle's algorithm, when the one before has been acknowledged.
    AsItDoes,
    /// With TCP_NODELAY, as libnfs itself from 6.0 on, Linux's client, and ours.
    AtOnce,
}

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

    /// One that hangs while it mounts, as libnfs can, ends itself and is started once more.
    pub(super) fn mkdir(&self, case: &Case<'_>, sending: Sending) -> anyhow::Result<Slices> {
        let start = || {
            let mut command = Command::new(&self.0);
            command
                .args([case.server, case.path])
                .args([case.depth, case.parents].map(|number| number.to_string()));
            if sending == Sending::AtOnce {
                command.arg("nodelay");
            }
            Slices::start(command, case.count)
        };
        start().or_else(|error| {
            println!("once more: {error:#}");
            start()
        })
    }
}

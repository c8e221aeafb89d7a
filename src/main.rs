//! The command: reads the settings, runs, and turns the outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    nfs_subdir_external_provisioner::command(std::env::args_os())
}

//! The provisioner as a whole, seen from outside: the program is started as a process, claims are created, and what became of them is looked at in the
//! API and on the share.
//!
//! ```text
//! scenario ──> Stage ──> World ─┬─ double: API server and NFS server in this process      cargo test
//!                │              └─ real: kube-apiserver, controller manager, NFS servers    E2E_WORLD=… (see e2e/README.md)
//!                └──> Provisioner, a process
//! ```
//! Every world runs the same list. What one of them cannot show is listed as ignored, with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test target without the standard harness counts as a program"
)]

use std::process::ExitCode;

use libtest_mimic::Arguments;

mod expect;
mod fixtures;
mod pages;
mod provisioner;
mod scenario;
mod stage;
mod suite;
mod world;

mod archive;
mod binding;
mod compatibility;
mod crash;
mod describe;
mod events;
mod faults;
mod finalizer;
mod go;
mod health;
mod lock;
mod metrics;
mod pattern;
mod permissions;
mod protection;
mod random;
mod reclaim;
mod refusal;
mod regrets;
mod rights;
mod runbook;
mod servers;
mod settings;
mod shares;
mod shutdown;
mod story;
mod upgrade;
mod volume;

/// Scenarios mostly wait, so more of them run at a time than there are processors.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(AT_ONCE);
    suite::run(&args, all())
}

fn all() -> Vec<scenario::Scenario> {
    [
        archive::scenarios(),
        binding::scenarios(),
        crash::scenarios(),
        describe::scenarios(),
        events::scenarios(),
        faults::scenarios(),
        finalizer::scenarios(),
        go::scenarios(),
        health::scenarios(),
        lock::scenarios(),
        metrics::scenarios(),
        pattern::scenarios(),
        permissions::scenarios(),
        protection::scenarios(),
        random::scenarios(),
        reclaim::scenarios(),
        refusal::scenarios(),
        regrets::scenarios(),
        rights::scenarios(),
        runbook::scenarios(),
        servers::scenarios(),
        settings::scenarios(),
        shares::scenarios(),
        shutdown::scenarios(),
        story::scenarios(),
        upgrade::scenarios(),
        volume::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

//! What takes its time: patience that ends, progress that is told, dials that come further and further apart.

use std::time::Duration;

use nfs_export::{Cause, Options, Recovery, nfsstat3};
use testkit::nfs::{Effect, Procedure, Rule};
use tokio::time::Instant;

use crate::{
    logs::Logs,
    world::{CAP, mk_lab, sub},
};

#[tokio::test]
async fn patience_with_a_server_that_asks_for_it_ends() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    lab.server
        .faults()
        .fail(Procedure::MKDIR, nfsstat3::NFS3ERR_JUKEBOX);
    tokio::time::pause();
    let start = Instant::now();
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    let took = start.elapsed();
    assert!(
        matches!(error.cause(), Cause::Nfs(nfsstat3::NFS3ERR_JUKEBOX)),
        "{error:?}"
    );
    assert_eq!(error.recovery(), Recovery::BackOff);
    assert!(!error.is_in_doubt(), "each copy was answered");
    let seconds = took.as_secs();
    assert!((20..=30).contains(&seconds), "{took:?}");
}

#[tokio::test]
async fn a_removal_that_takes_long_says_how_far_it_is() {
    let lab = mk_lab().await;
    std::fs::create_dir(lab.real("v")).unwrap();
    std::fs::write(lab.real("v/file"), "x").unwrap();
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    let late = Effect::AnswerLate(Duration::from_secs(25));
    lab.server
        .faults()
        .inject(Rule::on(Procedure::REMOVE, late));
    let (logs, _recording) = Logs::record();
    tokio::time::pause();
    export.remove_dir_all(&sub("v")).await.unwrap();
    let said = logs.with("removal goes on");
    assert_eq!(said.len(), 2, "{said:?}");
    for part in ["dir=v", "directories=0", "files=0"] {
        assert!(said[0].contains(part), "{said:?}");
    }
}

/// A server that takes connections and cuts them is not dialled without a pause.
#[tokio::test]
async fn dials_of_a_server_that_cuts_each_connection_come_further_and_further_apart() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    let faults = lab.server.faults();
    faults.inject(Rule::on(Procedure::FSINFO, Effect::Disconnect));
    export.probe().await.unwrap_err();
    let log = lab.server.log();
    log.wait_for(Procedure::FSINFO, 5, CAP).await.unwrap();
    let dials: Vec<_> = log
        .calls_of(Procedure::FSINFO)
        .iter()
        .map(|call| call.at)
        .collect();
    for (at, pair) in dials.windows(2).enumerate() {
        // Three quarters of 100 ms, 200 ms, 400 ms, ...
        let least = Duration::from_millis(75 << at);
        assert!(pair[1] - pair[0] >= least, "dial {at}: {dials:?}");
    }
    // Portmapper, MOUNT and NFS for each, and those of a dial that may be under way.
    let connections = log.connections();
    assert!(connections <= 3 * (dials.len() + 1), "{connections}");
}

//! The whole thing on this machine, with no cluster, no mount and no root: `make demo`.
//!
//! An API server with the volume binder's part, an NFS server over a temporary directory, and the provisioner, all in this process. Three claims as
//! Kafka's StatefulSet makes them get their directories; one is deleted, once with a class that deletes and once with one that archives. It ends by
//! itself; with `KEEP=1` it stays up for kubectl until it is interrupted.

#![allow(unreachable_pub, reason = "a program has no outside")]

mod cluster;
mod show;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use tokio::signal::unix::{SignalKind, signal};

use cluster::Cluster;

const CLAIMS: [&str; 3] = ["data-kafka-0", "data-kafka-1", "data-kafka-2"];

#[tokio::main]
async fn main() -> ExitCode {
    match play().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    show::title("An API server, an NFS server and the provisioner, in one process");
    show::fact(
        "share",
        &format!("{} is {}", cluster.share(), cluster.folder().display()),
    );

    provision(&cluster, "false").await?;
    delete(&cluster, CLAIMS[2], None).await?;
    cluster.clear(&CLAIMS[..2]).await?;

    provision(&cluster, "true").await?;
    let kept = cluster.directory(CLAIMS[2])?;
    delete(&cluster, CLAIMS[2], Some(format!("archived-{kept}"))).await?;

    if std::env::var_os("KEEP").is_some_and(|text| !text.is_empty()) {
        keep(&cluster).await?;
    }
    cluster.stop().await
}

/// The class and its three claims, until all are bound.
async fn provision(cluster: &Cluster, archive: &str) -> Result<()> {
    show::title(&format!(
        "Class nfs-client, archiveOnDelete {archive:?}: three claims"
    ));
    let took = cluster.create(archive, &CLAIMS).await?;
    show::claims(cluster, &CLAIMS)?;
    show::events(cluster, CLAIMS[0]);
    show::directories(cluster.folder())?;
    for claim in CLAIMS {
        let dir = cluster.folder().join(cluster.directory(claim)?);
        ensure!(dir.is_dir(), "{} is not there", dir.display());
        // What a broker would write.
        std::fs::write(dir.join("meta.properties"), claim).context("a file on the share")?;
    }
    show::fact(
        "bound",
        &format!("all three, {} ms after they were created", took.as_millis()),
    );
    Ok(())
}

/// Deletes a claim and shows what became of its directory: nothing, or this archive.
async fn delete(cluster: &Cluster, claim: &str, archive: Option<String>) -> Result<()> {
    show::title(&format!("Claim {claim} deleted"));
    let dir = cluster.directory(claim)?;
    cluster.delete(claim).await?;
    show::directories(cluster.folder())?;
    ensure!(
        !cluster.folder().join(&dir).exists(),
        "{dir} is still there"
    );
    match archive {
        None => show::fact("directory", "gone, and the volume with it"),
        Some(archive) => {
            let file = cluster.folder().join(&archive).join("meta.properties");
            ensure!(file.is_file(), "{} is not there", file.display());
            show::fact(
                "directory",
                "archived with what it holds; the volume is gone",
            );
        }
    }
    Ok(())
}

async fn keep(cluster: &Cluster) -> Result<()> {
    // From before it is spoken of.
    let mut interrupts = signal(SignalKind::interrupt()).context("signals")?;
    let kubeconfig = cluster.write_kubeconfig()?;
    let kubectl = format!("kubectl --kubeconfig {}", kubeconfig.display());
    show::title("It stays up until Ctrl-C");
    show::fact("look", &format!("{kubectl} get sc,pvc,pv,events"));
    show::fact(
        "claim",
        &format!("{kubectl} apply -f manifests/examples/claim.yaml"),
    );
    show::fact("share", &cluster.folder().display().to_string());
    interrupts.recv().await.context("signals")
}

//! What an administrator wants to see, on a terminal of a hundred columns.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::cluster::Cluster;

/// A heading.
pub fn title(text: &str) {
    if std::io::stdout().is_terminal() {
        println!("\n\x1b[1m{text}\x1b[0m");
    } else {
        println!("\n{text}");
    }
}

/// One thing worth knowing.
pub fn fact(name: &str, text: &str) {
    println!("  {name:<10} {text}");
}

/// Claims and their volumes, as `kubectl get pvc,pv` has them.
pub fn claims(cluster: &Cluster, names: &[&str]) -> Result<()> {
    println!(
        "  {:<13} {:<6} {:<41} {:<5} RECLAIM",
        "CLAIM", "STATUS", "VOLUME", "SIZE"
    );
    for name in names {
        let claim = cluster
            .get("persistentvolumeclaims", name)
            .unwrap_or_default();
        let volume = cluster.volume(name).unwrap_or_default();
        println!(
            "  {:<13} {:<6} {:<41} {:<5} {}",
            name,
            text(&claim["status"]["phase"]),
            text(&volume["metadata"]["name"]),
            text(&volume["spec"]["capacity"]["storage"]),
            text(&volume["spec"]["persistentVolumeReclaimPolicy"]),
        );
    }
    anyhow::ensure!(
        names.iter().all(|name| cluster.volume(name).is_some()),
        "a claim has no volume"
    );
    Ok(())
}

/// The provisioner's events about a claim, as `kubectl describe pvc` has them.
pub fn events(cluster: &Cluster, claim: &str) {
    let uid = cluster
        .get("persistentvolumeclaims", claim)
        .unwrap_or_default()["metadata"]["uid"]
        .clone();
    println!("  EVENTS of {claim}");
    for event in cluster.events() {
        let ours = text(&event["source"]["component"]).contains("nfs-subdir-external-provisioner_");
        if ours && event["involvedObject"]["uid"] == uid {
            println!(
                "    {:<6} {:<21} {}",
                text(&event["type"]),
                text(&event["reason"]),
                text(&event["message"])
            );
        }
    }
}

/// What the share holds, as `ls -l` has it.
pub fn directories(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    println!("  SHARE");
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // The provisioner's own, where directories are on their way out.
        if !name.starts_with('.') {
            let mode = entry.metadata()?.permissions().mode() & 0o777;
            lines.push(format!("    {mode:o} {name}/"));
        }
    }
    lines.sort_unstable();
    println!("{}", lines.join("\n"));
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

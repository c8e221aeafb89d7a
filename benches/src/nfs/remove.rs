//! Removal of many files at several round-trip times, beside one call at a time.
//!
//! One call at a time is what `rm -rf` on a kernel mount does. It is our own client with one call in flight, on a small sample: the whole tree
//! would take a quarter of an hour at 10 ms.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::{Outcome, own_worker, words};
use crate::delay;
use crate::table::{Report, Table, number};
use crate::world::World;

/// Of the whole tree.
const DIRECTORIES: usize = 100;
const FILES: usize = 1_000;
/// Directories of a sample.
const SAMPLE_DIRECTORIES: usize = 4;
/// Calls in flight, as the provisioner has them.
const DEPTH: usize = 128;
/// MiB.
const MEMORY: f64 = 32.0;

/// Round-trip time added, files of a sample directory, and how many times faster the pipeline shall be.
const CASES: [(Duration, usize, Option<f64>); 3] = [
    (Duration::ZERO, 2_500, None),
    (Duration::from_millis(1), 500, Some(10.0)),
    (Duration::from_millis(10), 100, Some(20.0)),
];

/// A share that is reached through proxies.
struct Far {
    path: String,
    nfs: SocketAddr,
    mount: SocketAddr,
}

pub(crate) fn run(world: &World, entries: usize, report: &mut Report) -> anyhow::Result<()> {
    // The proxies' own connections come from any port, so this is the export that takes any.
    let path = world.get("NFS_PATH_OPEN")?;
    let root = Path::new(path);
    let mut table = Table::new(
        format!(
            "Removal of {} files in {DIRECTORIES} directories (nfs-ganesha, {DEPTH} calls in flight)",
            DIRECTORIES * FILES
        ),
        &[
            "round-trip time added",
            "entries/s",
            "one at a time",
            "times faster",
            "entries a CPU second",
            "most MiB",
        ],
    );
    for (rtt, sample, aim) in CASES {
        let far = Far::new(world, path, rtt)?;
        let single = far.timed(root, SAMPLE_DIRECTORIES, sample, 1)?;
        let whole = far.timed(root, DIRECTORIES, FILES, DEPTH)?;
        let faster = whole.rate() / single.rate();
        let label = format!("{} ms", rtt.as_millis());
        let cell = aim.map_or_else(
            || number(faster),
            |aim| report.at_least(&format!("removal at {label}, times faster"), faster, aim),
        );
        table.row(cells(&label, &whole, number(single.rate()), cell, report));
    }
    let near = Far::new(world, path, Duration::ZERO)?;
    let whole = near.timed(root, 1, entries, DEPTH)?;
    table.row(cells(
        &format!("0 ms, one directory of {entries}"),
        &whole,
        String::new(),
        String::new(),
        report,
    ));
    table.print();
    Ok(())
}

fn cells(
    label: &str,
    whole: &Outcome,
    single: String,
    faster: String,
    report: &mut Report,
) -> [String; 6] {
    [
        label.to_owned(),
        number(whole.rate()),
        single,
        faster,
        number(f64::from(whole.count) / whole.cpu_seconds),
        report.at_most(
            &format!("MiB of a removal, {label}"),
            whole.peak_mib,
            MEMORY,
        ),
    ]
}

fn mk_tree(at: &Path, directories: usize, files: usize) -> anyhow::Result<()> {
    for directory in 0..directories {
        let dir = at.join(format!("d{directory}"));
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        for file in 0..files {
            File::create(dir.join(format!("segment-{file:08}.log")))?;
        }
    }
    Ok(())
}

// === impl Far ===

impl Far {
    fn new(world: &World, path: &str, rtt: Duration) -> anyhow::Result<Self> {
        let server = world.get("NFS_SERVER")?;
        let address = |key: &str| -> anyhow::Result<SocketAddr> {
            Ok(SocketAddr::new(server.parse()?, world.get(key)?.parse()?))
        };
        Ok(Self {
            path: path.to_owned(),
            nfs: delay::proxy(address("NFS_PORT")?, rtt)?,
            mount: delay::proxy(address("MOUNT_PORT")?, rtt)?,
        })
    }

    /// Makes a tree on the server's own file system, and has it removed over NFS.
    fn timed(
        &self,
        root: &Path,
        directories: usize,
        files: usize,
        depth: usize,
    ) -> anyhow::Result<Outcome> {
        let name = "remove-tree";
        mk_tree(&root.join(name), directories, files)?;
        let (nfs, mount) = (self.nfs.port().to_string(), self.mount.port().to_string());
        let depth = depth.to_string();
        let outcome = own_worker(&words(&[
            "remove",
            "127.0.0.1",
            &self.path,
            "--nfs-port",
            &nfs,
            "--mount-port",
            &mount,
            &depth,
            name,
        ]))?;
        anyhow::ensure!(!root.join(name).exists(), "the tree is still there");
        Ok(outcome)
    }
}

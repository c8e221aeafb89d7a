//! MKDIR at several depths, beside libnfs at the same depth.

use super::peer::Peer;
use super::{Outcome, own_worker, words};
use crate::series::median;
use crate::table::{Report, Table, number};
use crate::world::World;

/// Calls in flight, and how many are made.
const DEPTHS: [(usize, usize); 4] = [(1, 2_000), (8, 6_000), (32, 10_000), (128, 10_000)];
const PARENTS: [usize; 2] = [1, 16];
/// Of libnfs's rate.
const AIM: f64 = 1.0;

#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    server: &'a str,
    path: &'a str,
    depth: usize,
    parents: usize,
    count: usize,
}

pub(crate) fn run(world: &World, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    let peer = Peer::build()?;
    one_server(
        (
            "nfs-ganesha",
            world.get("NFS_SERVER")?,
            world.get("NFS_PATH")?,
        ),
        peer.as_ref(),
        rounds,
        report,
    )?;
    let knfsd = (
        world.find("KNFSD_SERVER"),
        world.find("KNFSD_PATH"),
        world.find("KNFSD_PATH_TMPFS"),
    );
    let (Some(server), Some(disk), Some(tmpfs)) = knfsd else {
        println!("this world has no knfsd: `world.sh knfsd up`");
        return Ok(());
    };
    for (name, path) in [("knfsd, ext4 sync", disk), ("knfsd, tmpfs", tmpfs)] {
        one_server((name, server, path), peer.as_ref(), rounds, report)?;
    }
    Ok(())
}

fn one_server(
    (name, server, path): (&str, &str, &str),
    peer: Option<&Peer>,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let title = format!("MKDIR/s on {name} (median of {rounds} rounds)");
    let head = [
        "in flight",
        "ours",
        "libnfs",
        "ours to libnfs",
        "CPU µs a call",
        "libnfs's",
    ];
    let mut table = Table::new(title, &head);
    for parents in PARENTS {
        for (depth, count) in DEPTHS {
            let case = Case {
                server,
                path,
                depth,
                parents,
                count,
            };
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                ours.push(case.ours()?);
                if let Some(peer) = peer {
                    theirs.push(peer.mkdir(server, path, depth, parents, count)?);
                }
            }
            let what = format!("MKDIR on {name}, {depth} in flight, parents: {parents}");
            let plural = if parents == 1 { "parent" } else { "parents" };
            let middle = |all: &[Outcome], of: fn(&Outcome) -> f64| {
                median(&all.iter().map(of).collect::<Vec<_>>())
            };
            // The ratio of each round, since what else runs on the machine changes between rounds.
            let ratios: Vec<f64> = ours
                .iter()
                .zip(&theirs)
                .map(|(our, their)| our.rate() / their.rate())
                .collect();
            table.row([
                format!("{depth}, {parents} {plural}"),
                number(middle(&ours, Outcome::rate)),
                number(middle(&theirs, Outcome::rate)),
                if ratios.is_empty() {
                    String::new()
                } else {
                    report.at_least(&what, median(&ratios), AIM)
                },
                number(middle(&ours, Outcome::microseconds)),
                number(middle(&theirs, Outcome::microseconds)),
            ]);
        }
    }
    table.print();
    Ok(())
}

// === impl Case ===

impl Case<'_> {
    fn ours(&self) -> anyhow::Result<Outcome> {
        let [depth, parents, count] =
            [self.depth, self.parents, self.count].map(|number| number.to_string());
        own_worker(&words(&[
            "mkdir",
            self.server,
            self.path,
            &depth,
            &parents,
            &count,
        ]))
    }
}

//! MKDIR at several depths, beside libnfs at the same depth.

use super::apart::Apart;
use super::peer::{Peer, Sending};
use super::{Outcome, own_worker, words};
use crate::series::median;
use crate::table::{Report, Table, number};
use crate::world::World;

/// Calls in flight, and how many are made.
const DEPTHS: [(usize, usize); 4] = [(1, 2_000), (8, 6_000), (32, 10_000), (128, 10_000)];
const PARENTS: [usize; 2] = [1, 16];
/// Of libnfs's rate.
const AIM: f64 = 1.0;

/// What one worker does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) server: &'a str,
    pub(super) path: &'a str,
    /// Calls in flight.
    pub(super) depth: usize,
    pub(super) parents: usize,
    pub(super) count: usize,
}

pub(crate) fn run(world: &World, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    let peer = Peer::build()?;
    let _apart = Apart::new(world)?;
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
        "to it with NODELAY",
        "CPU µs a call",
        "libnfs's",
        "with NODELAY",
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
            let (mut ours, mut theirs, mut at_once) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                ours.push(case.ours()?);
                if let Some(peer) = peer {
                    theirs.push(peer.mkdir(&case, Sending::AsItDoes)?);
                    at_once.push(peer.mkdir(&case, Sending::AtOnce)?);
                }
            }
            let what = format!("MKDIR on {name}, {depth} in flight, parents: {parents}");
            let plural = if parents == 1 { "parent" } else { "parents" };
            let to_libnfs = ratio(&ours, &theirs);
            table.row([
                format!("{depth}, {parents} {plural}"),
                number(middle(&ours, Outcome::rate)),
                number(middle(&theirs, Outcome::rate)),
                to_libnfs.map_or_else(String::new, |ratio| report.at_least(&what, ratio, AIM)),
                ratio(&ours, &at_once).map_or_else(String::new, number),
                number(middle(&ours, Outcome::microseconds)),
                number(middle(&theirs, Outcome::microseconds)),
                number(middle(&at_once, Outcome::microseconds)),
            ]);
        }
    }
    table.print();
    Ok(())
}

fn middle(all: &[Outcome], of: fn(&Outcome) -> f64) -> f64 {
    median(&all.iter().map(of).collect::<Vec<_>>())
}

/// Of the rates in each round, since what else runs on the machine changes between rounds.
fn ratio(ours: &[Outcome], theirs: &[Outcome]) -> Option<f64> {
    let both = ours.iter().zip(theirs);
    let ratios: Vec<f64> = both.map(|(our, their)| our.rate() / their.rate()).collect();
    (!ratios.is_empty()).then(|| median(&ratios))
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

//! MKDIR at several depths, beside libnfs at the same depth.

use super::apart::Apart;
use super::peer::{Peer, Sending};
use super::slices::Slices;
use super::{Outcome, own_command, words};
use crate::series::{between, median};
use crate::table::{Report, Table, number};
use crate::world::World;

/// Calls in flight, and how many are made at a time: some hundredths of a second.
const DEPTHS: [(usize, usize); 4] = [(1, 100), (8, 500), (32, 800), (128, 800)];
/// Turns of each client in a round.
const TURNS: usize = 10;
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
    /// Calls in a turn.
    pub(super) count: usize,
}

/// The clients of a round, which take turns.
struct Clients {
    ours: Slices,
    /// As it is, and with TCP_NODELAY.
    libnfs: Option<(Slices, Slices)>,
}

/// What was measured one after the other.
struct Turn {
    ours: Outcome,
    libnfs: Option<(Outcome, Outcome)>,
}

/// An export of the world.
#[derive(Debug, Clone, Copy)]
struct Server<'a> {
    name: &'a str,
    address: &'a str,
    path: &'a str,
}

pub(crate) fn run(world: &World, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    let peer = Peer::build()?;
    let _apart = Apart::new(world)?;
    let ganesha = Server {
        name: "nfs-ganesha",
        address: world.get("NFS_SERVER")?,
        path: world.get("NFS_PATH")?,
    };
    ganesha.table(peer.as_ref(), rounds, report)?;
    let knfsd = (
        world.find("KNFSD_SERVER"),
        world.find("KNFSD_PATH"),
        world.find("KNFSD_PATH_TMPFS"),
    );
    let (Some(address), Some(disk), Some(tmpfs)) = knfsd else {
        println!("this world has no knfsd: `world.sh knfsd up`");
        return Ok(());
    };
    for (name, path) in [("knfsd, ext4 sync", disk), ("knfsd, tmpfs", tmpfs)] {
        let server = Server {
            name,
            address,
            path,
        };
        server.table(peer.as_ref(), rounds, report)?;
    }
    Ok(())
}

fn middle(values: impl Iterator<Item = f64>) -> String {
    number(median(&values.collect::<Vec<_>>()))
}

// === impl Server ===

impl Server<'_> {
    fn table(&self, peer: Option<&Peer>, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
        let name = self.name;
        let title = format!("MKDIR/s on {name} (median of {} turns)", rounds * TURNS);
        let head = [
            "in flight",
            "ours",
            "CPU µs a call",
            "libnfs",
            "CPU µs",
            "ours to libnfs",
            "between",
            "to it with NODELAY",
            "CPU µs",
        ];
        let mut table = Table::new(title, &head);
        for parents in PARENTS {
            for (depth, count) in DEPTHS {
                let case = Case {
                    server: self.address,
                    path: self.path,
                    depth,
                    parents,
                    count,
                };
                let mut measured = Vec::new();
                for _ in 0..rounds {
                    measured.extend(case.round(peer)?);
                }
                table.row(case.row(name, &measured, report));
            }
        }
        table.print();
        Ok(())
    }
}

// === impl Case ===

impl Case<'_> {
    fn round(&self, peer: Option<&Peer>) -> anyhow::Result<Vec<Turn>> {
        let libnfs = |sending| peer.map(|peer| peer.mkdir(self, sending)).transpose();
        let (libnfs, at_once) = (libnfs(Sending::AsItDoes)?, libnfs(Sending::AtOnce)?);
        let mut clients = Clients {
            ours: self.ours()?,
            libnfs: libnfs.zip(at_once),
        };
        let turns = (0..TURNS)
            .map(|turn| clients.turn(self.count, turn % 2 == 0))
            .collect();
        clients.finish()?;
        turns
    }

    fn row(&self, server: &str, turns: &[Turn], report: &mut Report) -> Vec<String> {
        let parents = self.parents;
        let plural = if parents == 1 { "parent" } else { "parents" };
        let ours = || turns.iter().map(|turn| &turn.ours);
        let mut row = vec![
            format!("{}, {parents} {plural}", self.depth),
            middle(ours().map(Outcome::rate)),
            middle(ours().map(Outcome::microseconds)),
        ];
        let libnfs: Vec<&(Outcome, Outcome)> = turns
            .iter()
            .filter_map(|turn| turn.libnfs.as_ref())
            .collect();
        if libnfs.is_empty() {
            return row;
        }
        let to = |other: fn(&(Outcome, Outcome)) -> &Outcome| {
            let ratios = ours().zip(&libnfs);
            let ratios = ratios.map(|(ours, libnfs)| ours.rate() / other(libnfs).rate());
            ratios.collect::<Vec<_>>()
        };
        let ratios = to(|libnfs| &libnfs.0);
        let ((low, high), ratio) = (between(&ratios), (median(&ratios) * 100.0).round() / 100.0);
        let what = format!(
            "MKDIR on {server}, {} in flight, parents: {parents}",
            self.depth
        );
        row.extend([
            middle(libnfs.iter().map(|libnfs| libnfs.0.rate())),
            middle(libnfs.iter().map(|libnfs| libnfs.0.microseconds())),
            report.at_least_about(&what, ratio, high, AIM),
            format!("{low:.2} to {high:.2}"),
            number(median(&to(|libnfs| &libnfs.1))),
            middle(libnfs.iter().map(|libnfs| libnfs.1.microseconds())),
        ]);
        row
    }

    fn ours(&self) -> anyhow::Result<Slices> {
        let [depth, parents] = [self.depth, self.parents].map(|number| number.to_string());
        let words = words(&["mkdir", self.server, self.path, &depth, &parents]);
        Slices::start(own_command(&words)?, self.count)
    }
}

// === impl Clients ===

impl Clients {
    /// One slice of each, ours first or libnfs: what slows down as it goes, or comes after the other's work, is so for both.
    fn turn(&mut self, count: usize, ours_first: bool) -> anyhow::Result<Turn> {
        let ours = ours_first.then(|| self.ours.next(count)).transpose()?;
        let libnfs = match &mut self.libnfs {
            Some((libnfs, at_once)) => Some((libnfs.next(count)?, at_once.next(count)?)),
            None => None,
        };
        let ours = ours.map_or_else(|| self.ours.next(count), Ok)?;
        Ok(Turn { ours, libnfs })
    }

    fn finish(self) -> anyhow::Result<()> {
        self.ours.finish()?;
        if let Some((libnfs, at_once)) = self.libnfs {
            libnfs.finish()?;
            at_once.finish()?;
        }
        Ok(())
    }
}

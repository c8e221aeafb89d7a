//! MKDIR at several depths, beside libnfs at the same depth.

use super::apart::Apart;
use super::peer::{Peer, Sending};
use super::{Outcome, own_worker, words};
use crate::series::{median, percentile};
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

/// What was measured in turn.
struct Round {
    ours: Outcome,
    libnfs: Option<Libnfs>,
}

/// libnfs, as it is and with TCP_NODELAY.
struct Libnfs {
    before: Outcome,
    after: Outcome,
    at_once: Outcome,
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
        let title = format!("MKDIR/s on {name} (median of {rounds} rounds)");
        let head = [
            "in flight",
            "ours",
            "CPU µs a call",
            "libnfs",
            "CPU µs",
            "ours to libnfs",
            "libnfs to itself",
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
                let measured = (0..rounds)
                    .map(|_| case.round(peer))
                    .collect::<anyhow::Result<Vec<_>>>()?;
                table.row(case.row(name, &measured, report));
            }
        }
        table.print();
        Ok(())
    }
}

// === impl Case ===

impl Case<'_> {
    /// Ours between two of libnfs, so that a machine that slows down as it goes slows them alike.
    fn round(&self, peer: Option<&Peer>) -> anyhow::Result<Round> {
        let libnfs = |sending| peer.map(|peer| peer.mkdir(self, sending)).transpose();
        let before = libnfs(Sending::AsItDoes)?;
        let ours = self.ours()?;
        let (after, at_once) = (libnfs(Sending::AsItDoes)?, libnfs(Sending::AtOnce)?);
        let libnfs = before.zip(after).zip(at_once);
        Ok(Round {
            ours,
            libnfs: libnfs.map(|((before, after), at_once)| Libnfs {
                before,
                after,
                at_once,
            }),
        })
    }

    fn row(&self, server: &str, rounds: &[Round], report: &mut Report) -> Vec<String> {
        let parents = self.parents;
        let plural = if parents == 1 { "parent" } else { "parents" };
        let ours = || rounds.iter().map(|round| &round.ours);
        let mut row = vec![
            format!("{}, {parents} {plural}", self.depth),
            middle(ours().map(Outcome::rate)),
            middle(ours().map(Outcome::microseconds)),
        ];
        let beside: Vec<(&Outcome, &Libnfs)> = rounds
            .iter()
            .filter_map(|round| Some((&round.ours, round.libnfs.as_ref()?)))
            .collect();
        if beside.is_empty() {
            return row;
        }
        let libnfs = || beside.iter().map(|(_, libnfs)| libnfs);
        let ours_to = |rate: fn(&Libnfs) -> f64| {
            let ratios = beside
                .iter()
                .map(|(ours, libnfs)| ours.rate() / rate(libnfs));
            (median(&ratios.collect::<Vec<_>>()) * 100.0).round() / 100.0
        };
        let itself: Vec<f64> = libnfs().map(|libnfs| libnfs.to_itself()).collect();
        let what = format!(
            "MKDIR on {server}, {} in flight, parents: {parents}",
            self.depth
        );
        row.extend([
            middle(libnfs().map(|libnfs| libnfs.rate())),
            middle(libnfs().map(|libnfs| libnfs.microseconds())),
            report.at_least(&what, ours_to(Libnfs::rate), AIM),
            format!(
                "{:.2} to {:.2}",
                percentile(&itself, 0.0),
                percentile(&itself, 1.0)
            ),
            number(ours_to(|libnfs| libnfs.at_once.rate())),
            middle(libnfs().map(|libnfs| libnfs.at_once.microseconds())),
        ]);
        row
    }

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

// === impl Libnfs ===

impl Libnfs {
    fn rate(&self) -> f64 {
        f64::midpoint(self.before.rate(), self.after.rate())
    }

    fn microseconds(&self) -> f64 {
        f64::midpoint(self.before.microseconds(), self.after.microseconds())
    }

    fn to_itself(&self) -> f64 {
        self.after.rate() / self.before.rate()
    }
}

//! MKDIR at several depths, beside libnfs at the same depth.

use anyhow::ensure;

use super::apart::Apart;
use super::peer::{Peer, Sending};
use super::slices::Slices;
use super::{Outcome, own_command, words};
use crate::series::{between, median};
use crate::table::{Report, Table, number};
use crate::world::World;

/// Calls in flight, and how many are made at a time: some hundredths of a second.
const DEPTHS: [(usize, usize); 4] = [(1, 100), (8, 500), (32, 800), (128, 800)];
/// Turns of each client in a round; each of the three is as often first, second and third.
const TURNS: usize = 12;
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

/// The clients of a round, which take turns: ours, and where there is libnfs that as it is and with TCP_NODELAY.
struct Clients(Vec<Slices>);

/// What they measured one after the other.
struct Turn(Vec<Outcome>);

/// Their places in both.
const OURS: usize = 0;
const LIBNFS: usize = 1;
const AT_ONCE: usize = 2;

/// An export of the world.
#[derive(Debug, Clone, Copy)]
struct Server<'a> {
    name: &'a str,
    address: &'a str,
    path: &'a str,
}

/// At all depths, or at those that are named in `only`.
pub(crate) fn run(
    world: &World,
    rounds: usize,
    only: &[usize],
    report: &mut Report,
) -> anyhow::Result<()> {
    let peer = Peer::build()?;
    let all = DEPTHS.map(|(depth, _)| depth);
    for depth in only {
        ensure!(
            all.contains(depth),
            "{depth} calls in flight are not measured, but {all:?}"
        );
    }
    let depths: Vec<(usize, usize)> = DEPTHS
        .into_iter()
        .filter(|(depth, _)| only.is_empty() || only.contains(depth))
        .collect();
    let _apart = Apart::new(world)?;
    let ganesha = Server {
        name: "nfs-ganesha",
        address: world.get("NFS_SERVER")?,
        path: world.get("NFS_PATH")?,
    };
    ganesha.table(peer.as_ref(), rounds, &depths, report)?;
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
        server.table(peer.as_ref(), rounds, &depths, report)?;
    }
    Ok(())
}

/// All of `count`, beginning at another one each time.
fn rotated(count: usize, by: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |at| (at + by) % count)
}

/// The median of a measure over all turns.
fn middle(rounds: &[Vec<Turn>], whose: usize, measure: fn(&Outcome) -> f64) -> String {
    let outcomes = rounds.iter().flatten().map(|turn| measure(&turn.0[whose]));
    number(median(&outcomes.collect::<Vec<_>>()))
}

/// One client's rate to another's beside it: the median of each round.
fn ratios(rounds: &[Vec<Turn>], whose: usize, to: usize) -> Vec<f64> {
    let ratio = |Turn(turn): &Turn| turn[whose].rate() / turn[to].rate();
    let medians = rounds
        .iter()
        .map(|turns| median(&turns.iter().map(ratio).collect::<Vec<_>>()));
    medians.collect()
}

// === impl Server ===

impl Server<'_> {
    fn table(
        &self,
        peer: Option<&Peer>,
        rounds: usize,
        depths: &[(usize, usize)],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let name = self.name;
        let title = format!("MKDIR/s on {name} (median of {rounds} rounds)");
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
            "it to itself",
        ];
        let mut table = Table::new(title, &head);
        for parents in PARENTS {
            for &(depth, count) in depths {
                let case = Case {
                    server: self.address,
                    path: self.path,
                    depth,
                    parents,
                    count,
                };
                let measured: Vec<Vec<Turn>> = (0..rounds)
                    .map(|round| case.round(peer, round))
                    .collect::<anyhow::Result<_>>()?;
                table.row(case.row(name, &measured, report));
            }
        }
        table.print();
        Ok(())
    }
}

// === impl Case ===

impl Case<'_> {
    fn round(&self, peer: Option<&Peer>, round: usize) -> anyhow::Result<Vec<Turn>> {
        let mut clients = self.start(peer, round)?;
        let turns = (0..TURNS)
            .map(|turn| clients.turn(self.count, turn))
            .collect();
        clients.finish()?;
        turns
    }

    /// Who is started first has its directories elsewhere on the disk: another one in each round.
    fn start(&self, peer: Option<&Peer>, round: usize) -> anyhow::Result<Clients> {
        let count = if peer.is_some() { AT_ONCE + 1 } else { 1 };
        let mut started: Vec<(usize, Slices)> = rotated(count, round)
            .map(|whose| {
                let slices = match peer {
                    Some(peer) if whose == LIBNFS => peer.mkdir(self, Sending::AsItDoes),
                    Some(peer) if whose == AT_ONCE => peer.mkdir(self, Sending::AtOnce),
                    _ => self.ours(),
                };
                Ok((whose, slices?))
            })
            .collect::<anyhow::Result<_>>()?;
        started.sort_by_key(|(whose, _)| *whose);
        Ok(Clients(
            started.into_iter().map(|(_, slices)| slices).collect(),
        ))
    }

    fn row(&self, server: &str, rounds: &[Vec<Turn>], report: &mut Report) -> Vec<String> {
        let parents = self.parents;
        let plural = if parents == 1 { "parent" } else { "parents" };
        let mut row = vec![
            format!("{}, {parents} {plural}", self.depth),
            middle(rounds, OURS, Outcome::rate),
            middle(rounds, OURS, Outcome::microseconds),
        ];
        let alone = rounds
            .iter()
            .flatten()
            .all(|Turn(outcomes)| outcomes.len() == 1);
        if alone {
            return row;
        }
        let to_it = ratios(rounds, OURS, LIBNFS);
        let ((low, high), ratio) = (between(&to_it), (median(&to_it) * 100.0).round() / 100.0);
        // With one call in flight NODELAY changes nothing: by so much a client seems to differ from itself.
        let itself = ratios(rounds, AT_ONCE, LIBNFS);
        let (least, most) = between(&itself);
        let what = format!(
            "MKDIR on {server}, {} in flight, parents: {parents}",
            self.depth
        );
        row.extend([
            middle(rounds, LIBNFS, Outcome::rate),
            middle(rounds, LIBNFS, Outcome::microseconds),
            report.at_least_about(&what, ratio, high, AIM),
            format!("{low:.2} to {high:.2}"),
            number(median(&ratios(rounds, OURS, AT_ONCE))),
            middle(rounds, AT_ONCE, Outcome::microseconds),
            format!("{:.2} ({least:.2} to {most:.2})", median(&itself)),
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
    /// One slice of each, by turns another one first: what slows down as it goes, or comes after the other's work, is so for all.
    fn turn(&mut self, count: usize, turn: usize) -> anyhow::Result<Turn> {
        let mut outcomes: Vec<(usize, Outcome)> = rotated(self.0.len(), turn)
            .map(|whose| Ok((whose, self.0[whose].next(count)?)))
            .collect::<anyhow::Result<_>>()?;
        outcomes.sort_by_key(|(whose, _)| *whose);
        Ok(Turn(
            outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
        ))
    }

    fn finish(self) -> anyhow::Result<()> {
        self.0.into_iter().try_for_each(Slices::finish)
    }
}

//! Claims made at once and deleted at once: how many a second, how long each waits, and what it costs the API server.

use super::audit::{Audit, Requests};
use super::backlog::{self, Backlog};
use super::claims::{Claims, Pace};
use super::raw::Bare;
use super::watch::Watch;
use super::{CONNECTIONS, Cluster};
use crate::provisioner::Provisioner;
use crate::series::{median, millis, percentile};
use crate::table::{Report, Table, number};
use crate::usage::Usage;
use crate::world::World;

/// Claims at once.
const SIZES: [usize; 3] = [1, 100, 1_000];
/// The largest of them, of which requests and CPU are counted.
const LARGE: usize = 1_000;
/// Claims that wait when the provisioner goes to work. So many take seconds, and what they take is no accident.
const WAITING: usize = 3_000;
/// Bursts of one claim in a round, so that there is something to take a percentile of.
const SINGLES: usize = 20;
/// Of the raw rate.
const AIM: f64 = 0.5;
/// API requests a claim.
const REQUESTS: f64 = 3.0;

/// All rounds of one size.
#[derive(Debug, Default)]
struct Size {
    marked: Vec<f64>,
    made: Vec<f64>,
    bound: Vec<f64>,
    waited: Vec<f64>,
    deleted: Vec<f64>,
    went: Vec<f64>,
}

/// All rounds.
#[derive(Debug, Default)]
struct Rounds {
    bare: Vec<f64>,
    bare_deleted: Vec<f64>,
    sizes: [Size; SIZES.len()],
    backlogs: Vec<Backlog>,
    requests: Vec<(Requests, Requests)>,
    cpu: Vec<Vec<(&'static str, f64)>>,
}

pub(crate) async fn run(
    world: &World,
    cluster: &Cluster,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let watch = Watch::start(cluster).await?;
    let mut all = Rounds::default();
    let mut provisioner = Provisioner::start(world)?;
    // Connections, leadership and the mount are there once a first claim is served.
    let warm = Claims::make(cluster, "warm", CONNECTIONS).await?;
    warm.bound(&watch).await?;
    warm.removed(cluster, &watch).await?;
    for round in 0..rounds {
        let bare = Bare::make(cluster, &format!("bare-{round}"), LARGE).await?;
        all.bare.push(bare.rate);
        all.bare_deleted.push(bare.delete(cluster, &watch).await?);
        for (size, count) in SIZES.into_iter().enumerate() {
            let repeats = if count == 1 { SINGLES } else { 1 };
            for repeat in 0..repeats {
                let label = format!("{round}-{count}-{repeat}");
                let burst = Burst {
                    world,
                    cluster,
                    watch: &watch,
                    provisioner: &provisioner,
                };
                burst.run(&label, count, size, &mut all).await?;
            }
        }
        let label = format!("{round}-wait");
        let (backlog, next) =
            backlog::round(world, cluster, &watch, &label, WAITING, provisioner).await?;
        all.backlogs.push(backlog);
        provisioner = next;
    }
    provisioner.stop().await?;
    all.print(report);
    Ok(())
}

struct Burst<'a> {
    world: &'a World,
    cluster: &'a Cluster,
    watch: &'a Watch,
    provisioner: &'a Provisioner,
}

// === impl Burst ===

impl Burst<'_> {
    async fn run(
        &self,
        label: &str,
        count: usize,
        size: usize,
        all: &mut Rounds,
    ) -> anyhow::Result<()> {
        let (audit, before) = (Audit::mark(self.world)?, self.cpu()?);
        let claims = Claims::make(self.cluster, label, count).await?;
        let Pace { rate, each } = claims.provisioned(self.watch).await?;
        let bound = claims.bound(self.watch).await?;
        let made = if count == LARGE {
            audit.settled().await?
        } else {
            Requests::new()
        };
        let after = self.cpu()?;
        let marked = audit.marked()?;

        let audit = Audit::mark(self.world)?;
        let removed = claims.removed(self.cluster, self.watch).await?;
        let into = &mut all.sizes[size];
        into.marked.push(marked);
        into.made.push(rate);
        into.bound.push(bound);
        into.waited.extend(each);
        into.deleted.push(removed.rate);
        into.went.extend(removed.each);
        if count == LARGE {
            all.requests.push((made, audit.settled().await?));
            let spent = after.into_iter().zip(before);
            let a_claim =
                spent.map(|((name, after), (_, before))| (name, (after - before) / large()));
            all.cpu.push(a_claim.collect());
        }
        Ok(())
    }

    /// Milliseconds of CPU that each process has used.
    fn cpu(&self) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let mut spent = vec![
            ("provisioner", millis(self.provisioner.usage()?.cpu)),
            ("this program", millis(Usage::own()?.cpu)),
        ];
        for (service, name) in [
            ("apiserver", "kube-apiserver"),
            ("kcm", "controller manager"),
            ("etcd", "etcd"),
        ] {
            let pid = self.world.sh(&[service, "pid"])?;
            spent.push((name, millis(Usage::of(&pid)?.cpu)));
        }
        Ok(spent)
    }
}

fn large() -> f64 {
    u32::try_from(LARGE).map_or(f64::NAN, f64::from)
}

// === impl Rounds ===

impl Rounds {
    fn print(&self, report: &mut Report) {
        self.print_made(report);
        self.print_deleted(report);
        self.print_requests(report);
        self.print_cpu();
    }

    fn of_backlogs(&self, what: impl Fn(&Backlog) -> f64) -> f64 {
        median(&self.backlogs.iter().map(what).collect::<Vec<_>>())
    }

    fn print_made(&self, report: &mut Report) {
        let title = format!(
            "Claims to PersistentVolumes ({CONNECTIONS} connections, median of {} rounds)",
            self.bare.len()
        );
        let head = [
            "claims at once",
            "PVs/s",
            "to bare PVs",
            "marked/s",
            "to marked",
            "p50 ms",
            "p99 ms",
            "bound/s",
            "Go, known",
        ];
        let mut table = Table::new(title, &head);
        let bare = median(&self.bare);
        table.row(["bare PVs".to_owned(), number(bare), number(1.0)]);
        for (count, size) in SIZES.into_iter().zip(&self.sizes) {
            let known = match count {
                1 => "8 to 12 ms",
                100 => "1.9 PVs/s, p50 26 s",
                _ => "",
            };
            table.row([
                count.to_string(),
                number(median(&size.made)),
                number(median(&size.made) / bare),
                number(median(&size.marked)),
                number(median(&size.made) / median(&size.marked)),
                number(percentile(&size.waited, 0.5)),
                number(percentile(&size.waited, 0.99)),
                number(median(&size.bound)),
                known.to_owned(),
            ]);
        }
        let (still, made) = (
            self.of_backlogs(|one| one.bare),
            self.of_backlogs(|one| one.made),
        );
        table.row([
            "bare PVs, binder standing still".to_owned(),
            number(still),
            number(1.0),
        ]);
        table.row([
            format!("{WAITING} waiting, binder standing still"),
            number(made),
            report.at_least("PVs/s to bare PVs/s", made / still, AIM),
        ]);
        table.print();
    }

    fn print_deleted(&self, report: &mut Report) {
        let mut table = Table::new(
            "Deleted claims to deleted PersistentVolumes",
            &[
                "claims at once",
                "PVs/s",
                "to bare PVs",
                "p50 ms",
                "p99 ms",
                "Go, known",
            ],
        );
        let bare = median(&self.bare_deleted);
        table.row(["bare PVs".to_owned(), number(bare), number(1.0)]);
        for (count, size) in SIZES.into_iter().zip(&self.sizes) {
            let known = if count == 100 { "1.8 PVs/s" } else { "" };
            table.row([
                count.to_string(),
                number(median(&size.deleted)),
                number(median(&size.deleted) / bare),
                number(percentile(&size.went, 0.5)),
                number(percentile(&size.went, 0.99)),
                known.to_owned(),
            ]);
        }
        let deleted = self.of_backlogs(|one| one.deleted);
        table.row([
            format!("{WAITING} waiting"),
            number(deleted),
            report.at_least("deletions/s to bare deletions/s", deleted / bare, AIM),
        ]);
        table.print();
    }

    fn print_requests(&self, report: &mut Report) {
        let mut table = Table::new(
            format!("API requests a claim, from the audit log of a burst of {LARGE}"),
            &["request", "creation", "deletion"],
        );
        let counts = |one: &Requests, request: &str| {
            let count = one.get(request).copied().unwrap_or_default();
            u32::try_from(count).map_or(f64::NAN, f64::from) / large()
        };
        let all = |one: &Requests| one.keys().map(|request| counts(one, request)).sum::<f64>();
        let middle = |of: &dyn Fn(&(Requests, Requests)) -> f64| {
            median(&self.requests.iter().map(of).collect::<Vec<_>>())
        };
        let mut names: Vec<&String> = self
            .requests
            .iter()
            .flat_map(|(made, deleted)| made.keys().chain(deleted.keys()))
            .collect();
        names.sort();
        names.dedup();
        for name in names {
            table.row([
                name.clone(),
                number(middle(&|(made, _)| counts(made, name))),
                number(middle(&|(_, deleted)| counts(deleted, name))),
            ]);
        }
        let (made, deleted) = (
            middle(&|(made, _)| all(made)),
            middle(&|(_, deleted)| all(deleted)),
        );
        table.row([
            "all".to_owned(),
            report.at_most("API requests a claim", made, REQUESTS),
            report.at_most("API requests a deletion", deleted, REQUESTS),
        ]);
        table.print();
    }

    fn print_cpu(&self) {
        let mut table = Table::new(
            format!("CPU of a claim in a burst of {LARGE}, from its creation until it is bound"),
            &["process", "ms"],
        );
        for (index, (name, _)) in self.cpu.first().into_iter().flatten().enumerate() {
            let each = self.cpu.iter().filter_map(|round| round.get(index));
            table.row([
                (*name).to_owned(),
                number(median(&each.map(|(_, spent)| *spent).collect::<Vec<_>>())),
            ]);
        }
        table.row([
            format!("provisioner, {WAITING} waiting"),
            number(self.of_backlogs(|one| one.cpu)),
        ]);
        table.print();
    }
}

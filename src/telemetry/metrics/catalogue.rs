//! Every family in one list, for what must agree with them all: docs/metrics.md, the dashboard, the alerts.

use super::{
    families as f,
    family::{Family, Kind},
};

/// One line of the [`CATALOGUE`]: name, kind, labels, help.
pub type Row = (&'static str, Kind, &'static [&'static str], &'static str);

/// Every family that there can be.
pub const CATALOGUE: &[Row] = &[
    row(&f::PROVISION_TOTAL),
    row(&f::PROVISION_FAILED),
    row(&f::PROVISION_DURATION),
    row(&f::DELETE_TOTAL),
    row(&f::DELETE_FAILED),
    row(&f::DELETE_DURATION),
    row(&f::QUEUE_DEPTH),
    row(&f::OLDEST_WAITING),
    row(&f::RETRIES),
    row(&f::CLAIMS),
    row(&f::VOLUMES),
    row(&f::PROVISIONED_BYTES),
    row(&f::REMOVALS),
    row(&f::ENTRIES_REMOVED),
    row(&f::LEADER),
    row(&f::SHARE_UP),
    row(&f::SHARE_ROUND_TRIP),
    row(&f::SHARE_SIZE),
    row(&f::SHARE_AVAILABLE),
    row(&f::SHARE_INODES),
    row(&f::SHARE_INODES_AVAILABLE),
    row(&f::ARCHIVES),
    row(&f::NFS_CALLS),
    row(&f::NFS_DURATION),
    row(&f::NFS_IN_FLIGHT),
    row(&f::NFS_RETRANSMITS),
    row(&f::NFS_RECONNECTS),
    row(&f::API_REQUESTS),
    row(&f::API_DURATION),
    row(&f::EVENTS),
    row(&f::EVENTS_PENDING),
    row(&f::BUILD_INFO),
    row(&f::PROCESS_CPU),
    row(&f::PROCESS_RSS),
    row(&f::PROCESS_VSZ),
    row(&f::PROCESS_THREADS),
    row(&f::PROCESS_FDS),
    row(&f::PROCESS_MAX_FDS),
    row(&f::PROCESS_START),
];

const fn row<const N: usize>(family: &'static Family<N>) -> Row {
    (family.name, family.kind, &family.labels, family.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_names_every_family_once() {
        let declared = include_str!("families.rs")
            .lines()
            .filter(|line| line.contains(": Family<") && line.starts_with("pub"))
            .count();
        let mut names: Vec<_> = CATALOGUE.iter().map(|row| row.0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), CATALOGUE.len()), (declared, declared));
    }

    #[test]
    fn names_follow_the_rules_of_promtool() {
        for (name, kind, labels, help) in CATALOGUE {
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(help.ends_with('.'), "{name}");
            assert!(
                !labels
                    .iter()
                    .any(|label| matches!(*label, "le" | "quantile" | "job" | "instance")),
                "{name}"
            );
        }
    }

    /// The table of docs/metrics.md, a line for each family.
    fn table() -> String {
        let lines = CATALOGUE.iter().map(|(name, kind, labels, help)| {
            format!(
                "| `{name}` | {} | {} | {help} |\n",
                kind.name(),
                labels.join(", ")
            )
        });
        lines.collect()
    }

    #[test]
    fn docs_metrics_md_has_exactly_these_families() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows: String = text
            .lines()
            .filter(|line| line.starts_with("| `"))
            .flat_map(|line| [line, "\n"])
            .collect();
        assert_eq!(
            rows,
            table(),
            "the table of docs/metrics.md should be:\n{}",
            table()
        );
    }
}

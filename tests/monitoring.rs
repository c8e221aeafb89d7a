//! The alerts, the dashboard and the runbook name only what there is. What Prometheus itself makes of them: e2e/monitoring.sh.

use std::collections::BTreeSet;

use nfs_subdir_external_provisioner::telemetry::metrics::{CATALOGUE, Kind};

const RULES: &str = include_str!("../manifests/monitoring/rules.yaml");
const DASHBOARD: &str = include_str!("../manifests/monitoring/dashboard.json");
const RULE_TESTS: &str = include_str!("../e2e/monitoring/rules.test.yaml");
const OPERATIONS: &str = include_str!("../docs/operations.md");

/// Words that look like a metric of ours.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| {
            [
                "nfs_provisioner_",
                "controller_persistentvolume",
                "process_",
            ]
            .iter()
            .any(|ours| word.starts_with(ours))
        })
        .collect()
}

fn is_served(name: &str) -> bool {
    CATALOGUE.iter().any(|(family, kind, ..)| match kind {
        Kind::Histogram(_) => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|suffix| name.strip_suffix(suffix) == Some(family)),
        Kind::Counter | Kind::Gauge => name == *family,
    })
}

fn after<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix(key))
        .collect()
}

fn alerts() -> Vec<&'static str> {
    after(RULES, "- alert: ")
}

/// As GitHub makes them of headings.
fn anchors(markdown: &str) -> BTreeSet<String> {
    markdown
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .replace(' ', "-")
                .replace(|c: char| !c.is_alphanumeric() && c != '-' && c != '_', "")
        })
        .collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_are_served() {
    for (where_, text) in [
        ("rules.yaml", RULES),
        ("dashboard.json", DASHBOARD),
        ("rules.test.yaml", RULE_TESTS),
    ] {
        let named = metrics_in(text);
        assert!(named.len() > 7, "{where_} names only {named:?}");
        let unknown: Vec<_> = named.into_iter().filter(|name| !is_served(name)).collect();
        assert!(unknown.is_empty(), "{where_} names {unknown:?}");
    }
}

#[test]
fn the_dashboard_shows_every_family() {
    let named = metrics_in(DASHBOARD);
    let missing: Vec<_> = CATALOGUE
        .iter()
        .map(|row| row.0)
        .filter(|family| !named.iter().any(|name| name.starts_with(family)))
        // Bounds, which say nothing by themselves.
        .filter(|family| !matches!(*family, "process_max_fds" | "process_virtual_memory_bytes"))
        .collect();
    assert!(missing.is_empty(), "not on the dashboard: {missing:?}");
}

#[test]
fn every_alert_has_a_runbook_and_a_test_in_which_it_fires() {
    let (anchors, urls) = (anchors(OPERATIONS), after(RULES, "runbook_url: "));
    assert_eq!(alerts().len(), urls.len());
    for (alert, url) in alerts().into_iter().zip(urls) {
        assert_eq!(url, format!("docs/operations.md#{}", alert.to_lowercase()));
        assert!(
            anchors.contains(&alert.to_lowercase()),
            "no runbook for {alert}"
        );
        let fires = format!("alertname: {alert}\n        exp_alerts:");
        assert!(
            RULE_TESTS.contains(&fires),
            "no test in which {alert} fires"
        );
        let silent = format!("alertname: {alert}}}");
        assert!(
            RULE_TESTS.contains(&silent),
            "no test in which {alert} is silent"
        );
    }
}

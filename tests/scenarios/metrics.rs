//! What is served to Prometheus, under the library's names.

use serde_json::json;

use crate::expect::eventually;
use crate::pages::Pages;
use crate::scenario::Scenario;
use crate::stage::Stage;

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario::of(the_librarys_metrics_are_served)]
}

/// The value of the sample of this name and class.
fn sample(text: &str, name: &str, class: &str) -> Option<f64> {
    let start = format!("{name}{{");
    let label = format!("class=\"{class}\"");
    let line = text
        .lines()
        .find(|line| line.starts_with(&start) && line.contains(&label))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

async fn the_librarys_metrics_are_served(stage: Stage) {
    let pages = Pages::new();
    let settings = pages.served_by(stage.settings());
    let class = stage
        .class("plain", json!({"archiveOnDelete": "false"}))
        .await;
    let selector = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}});
    let bad = stage
        .class("nope", json!({"archiveOnDelete": "nope"}))
        .await;
    let _provisioner = stage.start_with(&settings);
    let volume = stage.provision("data", &class).await;
    stage.provision("bad", &bad).await;
    stage
        .create(crate::fixtures::mk_claim_from("refused", &class, selector))
        .await;
    stage.event("refused", "ProvisioningFailed", &[]).await;
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    stage.delete_claim("bad").await;
    let wanted = [
        ("controller_persistentvolumeclaim_provision_total", &class),
        (
            "controller_persistentvolumeclaim_provision_failed_total",
            &class,
        ),
        (
            "controller_persistentvolumeclaim_provision_duration_seconds_count",
            &class,
        ),
        ("controller_persistentvolume_delete_total", &class),
        ("controller_persistentvolume_delete_failed_total", &bad),
        (
            "controller_persistentvolume_delete_duration_seconds_count",
            &class,
        ),
    ];
    for (name, class) in wanted {
        eventually(format!("{name} of {class} counts"), async || {
            let (_, text) = pages.get("/metrics")?;
            sample(&text, name, class).filter(|value| *value >= 1.0)
        })
        .await;
    }
}

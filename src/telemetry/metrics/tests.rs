use std::time::Duration;

use prometheus::TextEncoder;

use super::*;

fn text(metrics: &Metrics) -> String {
    TextEncoder::new()
        .encode_to_string(&metrics.gather())
        .unwrap()
}

fn value(metrics: &Metrics, sample: &str) -> Option<f64> {
    let text = text(metrics);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_succeeds_counts_once_and_its_time_is_observed() {
    let metrics = Metrics::new().unwrap();
    let attempt = metrics.provision().begin("nfs-client");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(attempt.succeeded(), Duration::from_millis(20));
    let name = "controller_persistentvolumeclaim_provision";
    assert_eq!(
        value(&metrics, &format!("{name}_total{{class=\"nfs-client\"}}")),
        Some(1.0)
    );
    let bucket = |le| format!("{name}_duration_seconds_bucket{{class=\"nfs-client\",le=\"{le}\"}}");
    assert_eq!(value(&metrics, &bucket("0.01")), Some(0.0));
    assert_eq!(value(&metrics, &bucket("0.025")), Some(1.0));
}

#[test]
fn a_known_class_has_zeros_before_anything_happens() {
    let metrics = Metrics::new().unwrap();
    metrics.delete().know("c");
    let name = "controller_persistentvolume_delete";
    for sample in ["_total", "_failed_total", "_duration_seconds_count"] {
        assert_eq!(
            value(&metrics, &format!("{name}{sample}{{class=\"c\"}}")),
            Some(0.0),
            "{sample}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_has_no_duration_and_a_cancelled_one_is_not_counted() {
    let metrics = Metrics::new().unwrap();
    metrics.delete().begin("c").failed();
    drop(metrics.delete().begin("c"));
    assert_eq!(
        value(
            &metrics,
            "controller_persistentvolume_delete_failed_total{class=\"c\"}"
        ),
        Some(1.0)
    );
    assert!(!text(&metrics).contains("controller_persistentvolume_delete_total"));
    assert!(!text(&metrics).contains("controller_persistentvolume_delete_duration"));
}

#[test]
fn classes_and_shares_beyond_the_bound_are_summed_up() {
    let metrics = Metrics::new().unwrap();
    metrics.at_scrape(|out| {
        for number in 0..VALUES + 5 {
            let class = format!("class-{number}");
            out.add(&families::CLAIMS, ["Pending", &class], 2.0);
            out.add(&families::SHARE_UP, [&class], 1.0);
        }
    });
    for _scrape in 0..2 {
        assert_eq!(
            value(
                &metrics,
                "nfs_provisioner_claims{class=\"class-7\",phase=\"Pending\"}"
            ),
            None,
            "labels in declared order"
        );
        assert_eq!(
            value(
                &metrics,
                "nfs_provisioner_claims{phase=\"Pending\",class=\"class-7\"}"
            ),
            Some(2.0)
        );
        assert_eq!(
            value(
                &metrics,
                "nfs_provisioner_claims{phase=\"Pending\",class=\"other\"}"
            ),
            Some(10.0)
        );
        assert_eq!(
            value(&metrics, "nfs_provisioner_share_up{share=\"other\"}"),
            Some(5.0)
        );
    }
}

#[test]
fn a_histogram_kept_elsewhere_is_as_it_was() {
    let metrics = Metrics::new().unwrap();
    metrics.at_scrape(|out| {
        let mut buckets = [3; nfs_export::DURATION_BUCKETS.len()];
        (buckets[0], buckets[1]) = (1, 1);
        out.add_histogram(
            &families::NFS_DURATION,
            ["s:/e", "mkdir"],
            &buckets,
            (7, 300.5),
        );
    });
    let sample = |suffix: &str, le: &str| {
        format!(
            "nfs_provisioner_nfs_call_duration_seconds{suffix}{{share=\"s:/e\",procedure=\"mkdir\"{le}}}"
        )
    };
    assert_eq!(
        value(&metrics, &sample("_bucket", ",le=\"0.0005\"")),
        Some(1.0)
    );
    assert_eq!(
        value(&metrics, &sample("_bucket", ",le=\"0.001\"")),
        Some(3.0)
    );
    assert_eq!(value(&metrics, &sample("_bucket", ",le=\"30\"")), Some(3.0));
    assert_eq!(
        value(&metrics, &sample("_bucket", ",le=\"+Inf\"")),
        Some(7.0)
    );
    assert_eq!(value(&metrics, &sample("_sum", "")), Some(300.5));
    assert_eq!(value(&metrics, &sample("_count", "")), Some(7.0));
}

#[tokio::test]
async fn requests_of_a_client_are_counted_by_verb_and_code() {
    use http::{Request, Response, StatusCode};
    use tower::{Layer, Service, ServiceExt};

    let metrics = Metrics::new().unwrap();
    let answers = tower::service_fn(|request: Request<()>| async move {
        match request.uri().path() {
            "/api/v1/persistentvolumes" => Ok(Response::builder()
                .status(StatusCode::CONFLICT)
                .body(())
                .unwrap()),
            "/hang" => std::future::pending().await,
            _ => Err("cut"),
        }
    });
    let mut service = metrics.api_layer().layer(answers);
    let request = |method: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap()
    };
    let _ = service
        .ready()
        .await
        .unwrap()
        .call(request("POST", "/api/v1/persistentvolumes"))
        .await;
    let _ = service
        .call(request("DELETE", "/api/v1/persistentvolumes/pv"))
        .await;
    drop(service.call(request("GET", "/hang")));
    for sample in [
        "verb=\"create\",code=\"409\"",
        "verb=\"delete\",code=\"error\"",
        "verb=\"get\",code=\"dropped\"",
    ] {
        let mut labels: Vec<_> = sample.split(',').collect();
        labels.sort_unstable();
        let sample = format!("nfs_provisioner_api_requests_total{{{}}}", labels.join(","));
        assert_eq!(
            value(&metrics, &sample),
            Some(1.0),
            "{sample}\n{}",
            text(&metrics)
        );
    }
    assert!(
        !text(&metrics).contains("api_request_duration_seconds_count{verb=\"get\"}"),
        "a cancelled request has no duration"
    );
}

#[test]
fn this_process_and_its_version_are_there_from_the_start() {
    let metrics = Metrics::new().unwrap();
    assert_eq!(
        value(
            &metrics,
            &format!(
                "nfs_provisioner_build_info{{version=\"{}\"}}",
                crate::telemetry::VERSION
            )
        ),
        Some(1.0)
    );
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_threads",
        "process_start_time_seconds",
    ] {
        assert!(value(&metrics, name).unwrap() > 0.0, "{name}");
    }
}

#[test]
fn families_are_sorted_and_none_appears_twice() {
    let metrics = Metrics::new().unwrap();
    metrics.at_scrape(|out| out.add(&families::RETRIES, ["claim"], 1.0));
    metrics.provision().begin("c").failed();
    let names: Vec<_> = metrics
        .gather()
        .iter()
        .map(|family| family.name().to_owned())
        .collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| CATALOGUE.iter().any(|row| row.0 == name)),
        "{names:?}"
    );
}

//! What each path answers.

use http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use prometheus::{TEXT_FORMAT, TextEncoder};
use serde_json::json;

use super::Pages;
use crate::telemetry::{VERSION, health::Report, openmetrics};

const TEXT: &str = "text/plain; charset=utf-8";

type Answer = (StatusCode, &'static str, String);

/// The answer to one request; its body is never read.
pub(super) fn answer(
    pages: &Pages,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response<Full<Bytes>> {
    let (status, kind, body) = match *method {
        Method::GET | Method::HEAD => page(pages, uri, headers),
        _ => (
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "only GET and HEAD\n".to_owned(),
        ),
    };
    // hyper leaves the body of an answer to HEAD away by itself.
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn page(pages: &Pages, uri: &Uri, headers: &HeaderMap) -> Answer {
    match uri.path() {
        "/metrics" => metrics(pages, headers),
        "/healthz" => health(&pages.health.alive(), uri),
        "/readyz" => health(&pages.health.ready(), uri),
        "/version" => (
            StatusCode::OK,
            "application/json",
            format!("{}\n", json!({ "version": VERSION })),
        ),
        "/" => (
            StatusCode::OK,
            TEXT,
            "/metrics\n/healthz\n/readyz\n/version\n".to_owned(),
        ),
        _ => (StatusCode::NOT_FOUND, TEXT, "no such page\n".to_owned()),
    }
}

fn metrics(pages: &Pages, headers: &HeaderMap) -> Answer {
    let families = pages.metrics.gather();
    if wants_openmetrics(headers) {
        return (
            StatusCode::OK,
            openmetrics::CONTENT_TYPE,
            openmetrics::encode(&families),
        );
    }
    match TextEncoder::new().encode_to_string(&families) {
        Ok(text) => (StatusCode::OK, TEXT_FORMAT, text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            TEXT,
            format!("{error}\n"),
        ),
    }
}

/// Whether some `Accept` prefers OpenMetrics over plain text (RFC 9110 section 12.5.1). `*/*` is a person or curl: text.
fn wants_openmetrics(headers: &HeaderMap) -> bool {
    let accepted: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let weight = |kind: &str| {
        accepted
            .iter()
            .filter_map(|range| weight_of(range, kind))
            .fold(0.0, f32::max)
    };
    let openmetrics = weight("application/openmetrics-text");
    openmetrics > 0.0 && openmetrics >= weight("text/plain")
}

/// The `q` that one media range gives `kind`; `None` when it is about another one, or about a version of OpenMetrics that is not
/// the one written here.
fn weight_of(range: &str, kind: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(kind) {
        return None;
    }
    let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let named = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    };
    if kind.starts_with("application/")
        && named("version").is_some_and(|version| version != "1.0.0")
    {
        return None;
    }
    named("q").map_or(Some(1.0), |weight| weight.parse().ok())
}

/// As Kubernetes' own components answer: `ok`, or each part with its trouble; parts that are well only with `?verbose`.
fn health(report: &Report, uri: &Uri) -> Answer {
    let is_verbose = uri.query().is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some("verbose"))
    });
    let well = report.is_well();
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if well && !is_verbose {
        return (status, TEXT, "ok".to_owned());
    }
    let mut body: String = report
        .0
        .iter()
        .map(|(name, trouble)| match trouble {
            None => format!("[+]{name} ok\n"),
            Some(trouble) => format!("[-]{name}: {trouble}\n"),
        })
        .collect();
    body.push_str(if well { "ok\n" } else { "failed\n" });
    (status, TEXT, body)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::telemetry::{health::Health, metrics::Metrics};

    fn mk_pages() -> Pages {
        Pages {
            metrics: Metrics::new().unwrap(),
            health: Health::default(),
        }
    }

    async fn ask(
        pages: &Pages,
        method: &str,
        uri: &str,
        accept: Option<&str>,
    ) -> (u16, String, String) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, accept.parse().unwrap());
        }
        let response = answer(
            pages,
            &method.parse().unwrap(),
            &uri.parse().unwrap(),
            &headers,
        );
        let status = response.status().as_u16();
        let kind = response.headers()[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_format_of_metrics_is_the_one_asked_for() {
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let rows = [
            ("no header", None, false),
            ("curl", Some("*/*"), false),
            (
                "a browser",
                Some("text/html,application/xhtml+xml,*/*;q=0.8"),
                false,
            ),
            ("Prometheus", Some(prometheus_3), true),
            ("only it", Some("application/openmetrics-text"), true),
            (
                "text preferred",
                Some("application/openmetrics-text;q=0.3, text/plain;q=0.7"),
                false,
            ),
            ("refused", Some("application/openmetrics-text;q=0"), false),
            (
                "another version",
                Some("application/openmetrics-text; version=2.0.0, text/plain;q=0.1"),
                false,
            ),
            (
                "nonsense",
                Some("application/openmetrics-text;q=many"),
                false,
            ),
        ];
        for (name, accept, expected) in rows {
            let (status, kind, body) = ask(&mk_pages(), "GET", "/metrics", accept).await;
            assert_eq!(status, 200, "{name}");
            assert_eq!(
                kind == openmetrics::CONTENT_TYPE,
                expected,
                "{name}: {kind}"
            );
            assert_eq!(body.ends_with("# EOF\n"), expected, "{name}");
            assert!(
                body.contains("nfs_provisioner_build_info{version="),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn ready_only_when_every_condition_is_met_and_verbose_names_them() {
        let pages = mk_pages();
        let stores = pages.health.condition("stores");
        let share = pages.health.condition("default-share");
        stores.met();
        share.unmet("connection refused");
        let (status, _, body) = ask(&pages, "GET", "/readyz", None).await;
        assert_eq!(
            (status, body.as_str()),
            (
                503,
                "[+]stores ok\n[-]default-share: connection refused\nfailed\n"
            )
        );
        share.met();
        assert_eq!(ask(&pages, "GET", "/readyz", None).await.2, "ok");
        let (status, _, body) = ask(&pages, "GET", "/readyz?verbose", None).await;
        assert_eq!(
            (status, body.as_str()),
            (200, "[+]stores ok\n[+]default-share ok\nok\n")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_that_is_down_does_not_make_the_process_unhealthy_but_a_stuck_loop_does() {
        let pages = mk_pages();
        let share = pages.health.condition("default-share");
        let heart = pages.health.heart("claims", Duration::from_secs(30));
        share.unmet("connection refused");
        assert_eq!(ask(&pages, "GET", "/healthz", None).await.0, 200);
        tokio::time::sleep(Duration::from_secs(31)).await;
        let (status, _, body) = ask(&pages, "GET", "/healthz", None).await;
        assert_eq!(
            (status, body.as_str()),
            (503, "[-]claims: no turn for 31 s\nfailed\n")
        );
        heart.beat();
        assert_eq!(
            ask(&pages, "GET", "/healthz?verbose=1", None).await.2,
            "[+]claims ok\nok\n"
        );
    }

    #[tokio::test]
    async fn version_is_json_and_other_paths_and_methods_are_refused() {
        let pages = mk_pages();
        assert_eq!(
            ask(&pages, "GET", "/version", None).await.2,
            format!("{{\"version\":\"{VERSION}\"}}\n")
        );
        assert_eq!(ask(&pages, "GET", "/metrics/../secret", None).await.0, 404);
        assert_eq!(ask(&pages, "POST", "/metrics", None).await.0, 405);
    }
}

//! A layer around the API client that counts and times requests.
//!
//! Verbs are those of RBAC, from method and path as the API server derives them; names of objects never become labels.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Uri};
use prometheus::{HistogramVec, IntCounterVec};
use tokio::time::Instant;
use tower::{Layer, Service};

/// For `ClientBuilder::with_layer`.
#[derive(Debug, Clone)]
pub struct ApiLayer {
    requests: IntCounterVec,
    duration: HistogramVec,
}

/// A client's service with every request counted.
#[derive(Debug, Clone)]
pub struct ApiService<S> {
    inner: S,
    layer: ApiLayer,
}

/// A request under way: counted when it ends, however it ends.
struct Measured {
    layer: ApiLayer,
    verb: &'static str,
    begun: Instant,
    code: Option<u16>,
    ended: bool,
}

// === impl ApiLayer ===

impl ApiLayer {
    pub(super) fn new(requests: IntCounterVec, duration: HistogramVec) -> Self {
        Self { requests, duration }
    }
}

impl<S> Layer<S> for ApiLayer {
    type Service = ApiService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ApiService {
            inner,
            layer: self.clone(),
        }
    }
}

// === impl ApiService ===

impl<S, B, R> Service<Request<B>> for ApiService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut measured = Measured {
            layer: self.layer.clone(),
            verb: verb(request.method(), request.uri()),
            begun: Instant::now(),
            code: None,
            ended: false,
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            measured.end(answer.as_ref().ok().map(Response::status));
            answer
        })
    }
}

// === impl Measured ===

impl Measured {
    /// A method, so that the future above holds the whole of it and not copies of two fields.
    fn end(&mut self, status: Option<StatusCode>) {
        self.code = status.map(|status| status.as_u16());
        self.ended = true;
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let number;
        let code = match self.code {
            Some(code) => {
                number = code.to_string();
                &number
            }
            None if self.ended => "error",
            None => "dropped",
        };
        self.layer
            .requests
            .with_label_values(&[self.verb, code])
            .inc();
        if self.ended {
            let took = self.begun.elapsed().as_secs_f64();
            self.layer
                .duration
                .with_label_values(&[self.verb])
                .observe(took);
        }
    }
}

/// The RBAC verb of a request.
fn verb(method: &Method, uri: &Uri) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => {
            let is_watch = |pair: &str| matches!(pair, "watch=true" | "watch=1");
            match uri.query() {
                Some(query) if query.split('&').any(is_watch) => "watch",
                _ if is_collection(uri.path()) => "list",
                _ => "get",
            }
        }
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

/// `/api/v1[/namespaces/NS]/RESOURCE` or `/apis/GROUP/VERSION[/namespaces/NS]/RESOURCE`, with nothing after it.
fn is_collection(path: &str) -> bool {
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let (["api", _version, rest @ ..] | ["apis", _, _version, rest @ ..]) = segments.as_slice()
    else {
        return false;
    };
    matches!(rest, [_resource] | ["namespaces", _, _resource])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_those_that_rbac_knows() {
        let rows = [
            ("GET", "/api/v1/persistentvolumes", "list"),
            ("GET", "/api/v1/persistentvolumes?limit=500", "list"),
            (
                "GET",
                "/api/v1/persistentvolumeclaims?watch=true&resourceVersion=5",
                "watch",
            ),
            ("GET", "/api/v1/persistentvolumeclaims?&watch=1", "watch"),
            ("GET", "/api/v1/persistentvolumes/watch=true", "get"),
            ("GET", "/api/v1/namespaces/ns/endpoints", "list"),
            ("GET", "/api/v1/namespaces/ns", "get"),
            ("GET", "/api/v1/namespaces/ns/endpoints/lock", "get"),
            ("GET", "/apis/storage.k8s.io/v1/storageclasses", "list"),
            (
                "GET",
                "/apis/coordination.k8s.io/v1/namespaces/ns/leases/lock",
                "get",
            ),
            ("GET", "/version", "get"),
            ("POST", "/api/v1/persistentvolumes", "create"),
            ("PUT", "/api/v1/namespaces/ns/endpoints/lock", "update"),
            ("PATCH", "/api/v1/namespaces/ns/events/e", "patch"),
            ("DELETE", "/api/v1/persistentvolumes/pv", "delete"),
            ("OPTIONS", "/", "other"),
        ];
        for (method, uri, expected) in rows {
            assert_eq!(
                verb(&method.parse().unwrap(), &uri.parse().unwrap()),
                expected,
                "{method} {uri}"
            );
        }
    }
}

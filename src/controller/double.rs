//! A client whose API server is one function: for tests of a room that makes a handful of requests.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Path without the query.
    pub(crate) path: String,
    /// `Null` when there was none.
    pub(crate) body: Value,
}

/// A client that asks `answer`; every request is kept in the log once it has been read.
pub(crate) fn mk_client<F, A>(answer: F) -> (kube::Client, Log)
where
    F: Fn(Asked) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = (StatusCode, Value)> + Send + 'static,
{
    let log = Log::default();
    let kept = log.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, kept) = (answer.clone(), kept.clone());
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect_bytes().await.unwrap();
            let body = if bytes.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&bytes).unwrap()
            };
            let asked = Asked {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                body,
            };
            kept.0.lock().unwrap().push(asked.clone());
            let (status, reply) = answer(asked).await;
            let reply = Body::from(reply.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(status).body(reply).unwrap())
        }
    });
    (kube::Client::new(service, "default"), log)
}

/// What has been asked so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }
}

/// A failure as the API server words it.
pub(crate) fn status(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code.as_u16()});
    (code, body)
}

//! A client whose API server is one function, and what attempts need over it: for tests of a room that makes a handful of requests.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use nfs_export::{Options, Target};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::access::Access;
use super::events::{self, Events};
use super::hindsight::Hindsight;
use super::leader::Leadership;
use super::made::Made;
use super::missing::Missing;
use super::paths::Paths;
use super::pulse::Pulse;
use super::queue::Queue;
use super::stores::{Queues, Stores};
use super::volumes_api::VolumesApi;
use super::waits::Waits;
use super::{Context, Limits};
use crate::plan::place::Place;
use crate::plan::shares::Share;
use crate::shares::Shares;
use crate::telemetry::health::Health;
use crate::telemetry::log::Repeats;
use crate::telemetry::metrics::Metrics;

/// `PROVISIONER_NAME` in a [`mk_context`].
pub(crate) const OURS: &str = "example.org/nfs";

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

/// What attempts need. Its stores are empty, and stay so unless somebody runs them.
pub(crate) fn mk_context(client: kube::Client, share: &Share, leadership: Leadership) -> Context {
    let backoff = |_| Duration::from_secs(1);
    let queues = Arc::new(Queues {
        claims: Queue::new(backoff),
        volumes: Queue::new(backoff),
    });
    let paths = Paths::default();
    let stores = Stores::new(OURS, share.clone(), queues.clone(), paths.clone());
    let options = Options {
        deadline: Duration::from_millis(300),
        reserved_port: false,
        ..Options::default()
    };
    Context {
        provisioner: OURS.into(),
        stores: Arc::new(stores),
        queues,
        shares: Arc::new(Shares::new(Target::from(share), options).0),
        volumes: VolumesApi::new(client.clone()),
        events: Events::new(client, OURS, events::Options::default()).0,
        paths,
        pulse: Arc::new(Pulse::default()),
        access: watch::channel(Access::of_go()).1,
        leadership,
        metrics: Metrics::new().unwrap(),
        health: Health::default(),
        forbidden: Notify::new(),
        share_came_up: Notify::new(),
        hindsight: Hindsight::cleared(),
        repeats: Repeats::default(),
        classless: Missing::default(),
        claims_waiting: Waits::default(),
        volumes_waiting: Waits::default(),
        made: Made::default(),
        limits: Limits {
            claims: 4,
            volumes: 4,
        },
    }
}

/// What has been asked so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }
}

/// The share that a file server serves.
pub(crate) fn mk_share(server: &testkit::nfs::Server) -> Share {
    let port = Some(server.addr().port());
    Share {
        root: Place::new("127.0.0.1", server.export()).unwrap(),
        nfs_port: port,
        mount_port: port,
    }
}

/// A failure as the API server words it.
pub(crate) fn status(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code.as_u16()});
    (code, body)
}

//! One watch, for ever: lists, watches, and tries again within two seconds when the API server does not answer.
//!
//! Hands objects on one by one and keeps none; what is kept of them is the store's business.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use crate::telemetry::log::chain;

/// What a watch tells its store.
pub(super) trait Sink<K> {
    /// A list of all objects begins.
    fn begin(&mut self);
    /// An object of that list.
    fn listed(&mut self, object: K);
    /// The list is whole.
    fn complete(&mut self);
    /// An object is new or changed.
    fn apply(&mut self, object: K);
    /// An object is gone.
    fn delete(&mut self, object: K);
}

/// Pauses between attempts: short, because waiting claims count the seconds.
#[derive(Debug, Clone)]
struct Pauses(Duration);

/// Follows all objects of one kind in all namespaces.
pub(super) async fn follow<K>(client: Client, mut sink: impl Sink<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let kind = K::kind(&());
    let events =
        watch(Api::<K>::all(client), watcher::Config::default()).backoff(Pauses::default());
    let mut events = std::pin::pin!(events);
    let mut broken = false;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            // The resourceVersion is too old: the watcher lists again by itself.
            Err(watcher::Error::WatchError(status)) if status.code == 410 => continue,
            Err(error) => {
                if !std::mem::replace(&mut broken, true) {
                    warn!(kind = %kind, reason = chain(&error), "API server refuses or drops a watch; trying on");
                }
                continue;
            }
        };
        if std::mem::take(&mut broken) {
            info!(kind = %kind, "watch goes on");
        }
        match event {
            Event::Init => sink.begin(),
            Event::InitApply(object) => sink.listed(object),
            Event::InitDone => sink.complete(),
            Event::Apply(object) => sink.apply(object),
            Event::Delete(object) => sink.delete(object),
        }
    }
}

// === impl Pauses ===

impl Default for Pauses {
    fn default() -> Self {
        Self(Duration::from_millis(100))
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0.mul_f64(0.5 + fastrand::f64());
        self.0 = (self.0 * 2).min(Duration::from_millis(1_300));
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

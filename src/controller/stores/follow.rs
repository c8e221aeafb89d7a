//! One watch, for ever: lists, watches, and tries again within two seconds when the API server does not answer.
//!
//! Hands objects on one by one and keeps none; what is kept of them is the store's business.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher as watch;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::controller::retry_after;
use crate::telemetry::health::Heart;
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

/// Objects a page of a list. Whole objects are large, and only a few words of each are kept: a page of 500, as usual, held 15 MiB for a moment.
const PAGE: u32 = 100;

/// Follows all objects of one kind in all namespaces.
pub(super) async fn follow<K>(client: Client, mut sink: impl Sink<K>, heart: &Heart)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let kind = K::kind(&());
    let config = watcher::Config::default().page_size(PAGE);
    let events = watch(Api::<K>::all(client), config);
    let mut events = std::pin::pin!(events);
    let (mut broken, mut pauses) = (false, Pauses::default());
    let mut beats = heart.beats();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = beats.next() => continue,
        };
        let Some(event) = event else { return };
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                // The resourceVersion is too old: the watcher lists again by itself.
                let is_old =
                    matches!(&error, watcher::Error::WatchError(status) if status.code == 410);
                if !is_old && !std::mem::replace(&mut broken, true) {
                    warn!(kind = %kind, reason = chain(&error), "API server refuses or drops a watch; trying on");
                }
                let pause = pauses.longer().max(asked_for(&error));
                heart.while_waiting(sleep(pause)).await;
                continue;
            }
        };
        // The beginning of a list is said before it is even asked for, and its objects come page by page: neither shows that the next step will do better
        // than the last time. kube's own backoff would start anew at each of them.
        if !matches!(event, Event::Init | Event::InitApply(_)) {
            pauses = Pauses::default();
            if std::mem::take(&mut broken) {
                info!(kind = %kind, "watch goes on");
            }
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

/// How long the API server asked to be left in peace.
fn asked_for(error: &watcher::Error) -> Duration {
    let asked = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => retry_after::of(error),
        _ => None,
    };
    asked.unwrap_or_default()
}

// === impl Pauses ===

impl Default for Pauses {
    fn default() -> Self {
        Self(Duration::from_millis(100))
    }
}

impl Pauses {
    /// The next pause; twice the last one or so.
    fn longer(&mut self) -> Duration {
        let pause = self.0.mul_f64(0.5 + fastrand::f64());
        self.0 = (self.0 * 2).min(Duration::from_millis(1_300));
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::StatusCode;
    use k8s_openapi::api::storage::v1::StorageClass;
    use serde_json::json;
    use tokio::time::timeout;

    use super::*;
    use crate::controller::double::{self, mk_client};
    use crate::telemetry::health::{Health, PATIENCE};

    struct Nowhere;

    impl Sink<StorageClass> for Nowhere {
        fn begin(&mut self) {}
        fn listed(&mut self, _: StorageClass) {}
        fn complete(&mut self) {}
        fn apply(&mut self, _: StorageClass) {}
        fn delete(&mut self, _: StorageClass) {}
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_in_trouble_is_asked_about_once_a_second_and_no_more() {
        let refused =
            |_| async { double::status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError") };
        let (client, log) = mk_client(refused);
        let heart = Health::default().heart("watch", PATIENCE);
        let _ = timeout(Duration::from_mins(1), follow(client, Nowhere, &heart)).await;
        let asked = log.all().len();
        assert!((30..=100).contains(&asked), "{asked} requests in a minute");
    }

    /// Every second answer is the first page of a list, and the one after it never comes.
    #[tokio::test(start_paused = true)]
    async fn a_list_that_always_breaks_off_halfway_is_begun_once_a_second_and_no_more() {
        let page = json!({"kind": "StorageClassList", "apiVersion": "storage.k8s.io/v1",
            "metadata": {"resourceVersion": "7", "continue": "more"},
            "items": [{"metadata": {"name": "plain"}, "provisioner": "example.org/nfs"}]});
        let answers = Arc::new(AtomicUsize::new(0));
        let (client, log) = mk_client(move |_| {
            let (page, number) = (page.clone(), answers.fetch_add(1, Ordering::Relaxed));
            async move {
                match number % 2 {
                    0 => (StatusCode::OK, page),
                    _ => double::status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
                }
            }
        });
        let heart = Health::default().heart("watch", PATIENCE);
        let _ = timeout(Duration::from_mins(1), follow(client, Nowhere, &heart)).await;
        let lists = log.all().len() / 2;
        assert!((30..=100).contains(&lists), "{lists} lists in a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_asks_for_patience_is_left_in_peace_and_the_watch_is_alive() {
        let (client, log) = mk_client(|_| async {
            let (code, mut body) = double::status(StatusCode::TOO_MANY_REQUESTS, "Slowly");
            body["details"] = json!({"retryAfterSeconds": 120});
            (code, body)
        });
        let health = Health::default();
        let heart = health.heart("watch", PATIENCE);
        let mut watching = std::pin::pin!(follow(client, Nowhere, &heart));
        let _ = timeout(Duration::from_secs(119), &mut watching).await;
        assert_eq!(log.all().len(), 1);
        assert!(health.alive().is_well());
        let _ = timeout(Duration::from_secs(2), &mut watching).await;
        assert_eq!(log.all().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_of_an_api_server_that_hangs_is_alive() {
        let (client, log) = mk_client(|_| std::future::pending());
        let health = Health::default();
        let heart = health.heart("watch", PATIENCE);
        let mut watching = std::pin::pin!(follow(client, Nowhere, &heart));
        let _ = timeout(PATIENCE * 20, &mut watching).await;
        assert_eq!(log.all().len(), 1, "it still waits for its first answer");
        assert!(health.alive().is_well());
        // From here on nobody polls it.
        tokio::time::sleep(PATIENCE * 2).await;
        assert!(!health.alive().is_well());
    }
}

//! When each PersistentVolume came, changed its phase and went, as the watch said it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::TryStreamExt;
use http::Request;
use kube::core::WatchEvent;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{Cluster, List, Object, VOLUMES};

/// Longest wait for anything.
const CAP: Duration = Duration::from_mins(5);

/// Follows all volumes from when it was made.
pub(super) struct Watch {
    seen: watch::Receiver<Seen>,
    _task: AbortOnDropHandle<()>,
}

/// What was seen, by name.
pub(super) type Seen = HashMap<String, Times>;

/// The life of one volume.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    pub(super) came: Option<Instant>,
    pub(super) bound: Option<Instant>,
    pub(super) released: Option<Instant>,
    pub(super) gone: Option<Instant>,
}

// === impl Watch ===

impl Watch {
    pub(super) async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let list: List = cluster.get(&format!("{VOLUMES}?limit=1")).await?;
        let (sender, seen) = watch::channel(Seen::new());
        let task = follow(cluster.clone(), list.metadata.resource_version, sender);
        Ok(Self {
            seen,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        })
    }

    /// When `what` had become of all of `names`, in their order.
    pub(super) async fn all(
        &self,
        names: &[String],
        what: impl Fn(&Times) -> Option<Instant>,
    ) -> anyhow::Result<Vec<Instant>> {
        let mut seen = self.seen.clone();
        let mut met = 0;
        let whole = seen.wait_for(|seen| {
            // Those that are met stay met, so each is asked until it is and no more.
            while let Some(name) = names.get(met)
                && seen.get(name).and_then(&what).is_some()
            {
                met += 1;
            }
            met == names.len()
        });
        let seen = match tokio::time::timeout(CAP, whole).await {
            Ok(seen) => seen.context("the watch has ended")?,
            Err(_) => bail!("{met} of {} volumes after {CAP:?}", names.len()),
        };
        Ok(names
            .iter()
            .filter_map(|name| seen.get(name).and_then(&what))
            .collect())
    }
}

/// Goes on where it was when the API server ends a watch; ends, which whoever waits sees, when that is refused.
async fn follow(cluster: Cluster, mut from: String, seen: watch::Sender<Seen>) {
    loop {
        match watch_once(&cluster, &mut from, &seen).await {
            Ok(()) => {}
            Err(error) => {
                eprintln!("watch of volumes: {error:#}");
                return;
            }
        }
    }
}

async fn watch_once(
    cluster: &Cluster,
    from: &mut String,
    seen: &watch::Sender<Seen>,
) -> anyhow::Result<()> {
    let path = format!("{VOLUMES}?watch=1&timeoutSeconds=3600&resourceVersion={from}");
    let request = Request::get(path).body(Vec::new())?;
    let mut events = Box::pin(cluster.client.request_events::<Object>(request).await?);
    while let Some(event) = events.try_next().await? {
        let now = Instant::now();
        if let WatchEvent::Error(status) = &event {
            bail!("{status:?}");
        }
        if let WatchEvent::Added(volume)
        | WatchEvent::Modified(volume)
        | WatchEvent::Deleted(volume) = &event
        {
            from.clone_from(&volume.metadata.resource_version);
        }
        seen.send_modify(|seen| note(seen, event, now));
    }
    Ok(())
}

fn note(seen: &mut Seen, event: WatchEvent<Object>, now: Instant) {
    match event {
        WatchEvent::Added(volume) | WatchEvent::Modified(volume) => {
            let times = seen.entry(volume.metadata.name).or_default();
            times.came.get_or_insert(now);
            match volume.status.phase.as_str() {
                "Bound" => times.bound.get_or_insert(now),
                "Released" => times.released.get_or_insert(now),
                _ => return,
            };
        }
        WatchEvent::Deleted(volume) => {
            seen.entry(volume.metadata.name).or_default().gone = Some(now);
        }
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
    }
}

//! When each object of a kind came, changed and went, as the watch said it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::TryStreamExt;
use http::Request;
use kube::core::WatchEvent;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{CLAIMS, Cluster, List, Object, VOLUMES};

/// Longest wait for anything.
const CAP: Duration = Duration::from_mins(5);

/// As the volume binder marks a claim that a provisioner is to serve.
const ASKED: &str = "volume.kubernetes.io/storage-provisioner";

/// Follows all objects of a kind from when it was made.
pub(super) struct Watch {
    seen: watch::Receiver<Seen>,
    _task: AbortOnDropHandle<()>,
}

/// Claims and volumes.
pub(super) struct Watches {
    pub(super) claims: Watch,
    pub(super) volumes: Watch,
}

/// What was seen, by name.
pub(super) type Seen = HashMap<String, Times>;

/// The life of one claim or volume.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    pub(super) came: Option<Instant>,
    /// The binder has marked it: from here on it is the provisioner's turn.
    pub(super) asked: Option<Instant>,
    pub(super) bound: Option<Instant>,
    pub(super) released: Option<Instant>,
    pub(super) gone: Option<Instant>,
}

// === impl Watches ===

impl Watches {
    pub(super) async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        Ok(Self {
            claims: Watch::start(cluster, CLAIMS).await?,
            volumes: Watch::start(cluster, VOLUMES).await?,
        })
    }
}

// === impl Watch ===

impl Watch {
    async fn start(cluster: &Cluster, kind: &'static str) -> anyhow::Result<Self> {
        let list: List = cluster.get(&format!("{kind}?limit=1")).await?;
        let (sender, seen) = watch::channel(Seen::new());
        let task = follow(
            cluster.clone(),
            kind,
            list.metadata.resource_version,
            sender,
        );
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
            Err(_) => bail!("{met} of {} after {CAP:?}", names.len()),
        };
        Ok(names
            .iter()
            .filter_map(|name| seen.get(name).and_then(&what))
            .collect())
    }
}

/// Goes on where it was when the API server ends a watch; ends, which whoever waits sees, when that is refused.
async fn follow(cluster: Cluster, kind: &str, mut from: String, seen: watch::Sender<Seen>) {
    loop {
        match watch_once(&cluster, kind, &mut from, &seen).await {
            Ok(()) => {}
            Err(error) => {
                eprintln!("watch of {kind}: {error:#}");
                return;
            }
        }
    }
}

async fn watch_once(
    cluster: &Cluster,
    kind: &str,
    from: &mut String,
    seen: &watch::Sender<Seen>,
) -> anyhow::Result<()> {
    let path = format!("{kind}?watch=1&timeoutSeconds=3600&resourceVersion={from}");
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
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            let times = seen.entry(object.metadata.name).or_default();
            times.came.get_or_insert(now);
            if object.metadata.annotations.contains_key(ASKED) {
                times.asked.get_or_insert(now);
            }
            match object.status.phase.as_str() {
                "Bound" => times.bound.get_or_insert(now),
                "Released" => times.released.get_or_insert(now),
                _ => return,
            };
        }
        WatchEvent::Deleted(object) => {
            seen.entry(object.metadata.name).or_default().gone = Some(now);
        }
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
    }
}

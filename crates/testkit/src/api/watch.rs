//! Watches: a cursor into the history, sent as one line of JSON for each change.
//!
//! Ends at its timeout, when the server cuts it, or with an ERROR event (410) when its past is compacted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};

use super::{
    list,
    render::Render,
    request::{Query, Target},
    resources::Resource,
    select::Selector,
    shared::Shared,
    status::{Cause, Failure},
    store::{Change, Object},
};

/// An open watch.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    resource: &'static Resource,
    selector: Selector,
    render: Render,
    cursor: u64,
    /// What is due before any change: the objects that are there already.
    initial: Vec<Object>,
    /// A bookmark with this annotation follows the initial objects.
    mark_initial_end: bool,
    bookmarks: Option<Instant>,
    ends: Instant,
    wakes: Receiver<u64>,
    cut: Receiver<u64>,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The first lines are due.
    Starting,
    Running,
    /// The refusal that ends it was sent, or the timeout passed.
    Ended,
}

/// The connection is to be cut in the middle of the stream.
#[derive(Debug, thiserror::Error)]
#[error("the watch was cut")]
pub(crate) struct WatchCut;

// === impl Watch ===

impl Watch {
    /// Opens a watch.
    ///
    /// # Errors
    /// 400 and 422 for parameters that do not parse or do not go together. A compacted start is no refusal here: the
    /// stream says it.
    pub(crate) fn open(
        shared: &Arc<Shared>,
        resource: &'static Resource,
        target: &Target,
        query: &Query,
        render: Render,
    ) -> Result<Self, Failure> {
        let selector = Selector::parse(resource, &target.namespace, query)?;
        let from = list::version(query)?;
        let send_initial = check_initial(query)?;
        let wakes = shared.store.subscribe();
        let with_state = send_initial || from.is_none_or(|from| from == 0);
        let (cursor, initial) = if with_state && query.get("sendInitialEvents") != "false" {
            shared.store.list(resource, None, None)?
        } else {
            (
                from.filter(|from| *from > 0)
                    .unwrap_or(shared.store.version()),
                Vec::new(),
            )
        };
        let timeout = list::number(query, "timeoutSeconds")?.filter(|seconds| *seconds > 0);
        let now = Instant::now();
        let every = shared.bookmark_every;
        Ok(Self {
            cut: shared.faults.watches_cut(),
            shared: shared.clone(),
            resource,
            selector,
            render,
            cursor,
            initial,
            mark_initial_end: send_initial && query.is_true("allowWatchBookmarks"),
            bookmarks: query.is_true("allowWatchBookmarks").then(|| now + every),
            ends: now + Duration::from_secs(timeout.unwrap_or(1800)),
            wakes,
            state: State::Starting,
        })
    }

    /// The lines, as they come.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, WatchCut>> + Send {
        futures::stream::unfold(Some(self), |watch| async move {
            let mut watch = watch?;
            match watch.next().await {
                Ok(Some(lines)) => Some((Ok(lines), Some(watch))),
                Ok(None) => None,
                Err(cut) => Some((Err(cut), None)),
            }
        })
    }

    /// The next lines; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, WatchCut> {
        if self.state == State::Starting {
            self.state = State::Running;
            let lines = self.first_lines();
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
        while self.state == State::Running {
            self.shared.faults.watches_tell().await;
            let lines = self.changes();
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            let bookmark = self
                .bookmarks
                .unwrap_or(self.ends + Duration::from_hours(1));
            tokio::select! {
                // A closed channel means the server is gone; its connections are cut anyway.
                woken = self.wakes.changed() => if woken.is_err() { return Err(WatchCut) },
                _ = self.cut.changed() => return Err(WatchCut),
                () = sleep_until(self.ends) => {
                    self.shared.faults.watches_tell().await;
                    self.state = State::Ended;
                }
                () = sleep_until(bookmark) => {
                    self.shared.faults.watches_tell().await;
                    self.bookmarks = Some(Instant::now() + self.shared.bookmark_every);
                    return Ok(Some(self.bookmark(false)));
                }
            }
        }
        Ok(None)
    }

    fn first_lines(&mut self) -> Bytes {
        if let Err(too_old) = self.shared.store.check_start(self.resource, self.cursor) {
            self.state = State::Ended;
            return line("ERROR", &too_old.body());
        }
        let mut lines = Vec::new();
        for object in std::mem::take(&mut self.initial) {
            if self.selector.matches(&object) {
                lines.extend(line("ADDED", &self.render.one(self.resource, &object)));
            }
        }
        if self.mark_initial_end {
            lines.extend(self.bookmark(true));
        }
        lines.into()
    }

    /// What changed since the cursor, which moves on.
    fn changes(&mut self) -> Bytes {
        self.wakes.mark_unchanged();
        match self.shared.store.changes_after(self.resource, self.cursor) {
            Ok((cursor, changes)) => {
                self.cursor = cursor;
                let lines = changes.iter().filter_map(|change| self.line_of(change));
                lines.flatten().collect()
            }
            Err(too_old) => {
                self.state = State::Ended;
                line("ERROR", &too_old.body())
            }
        }
    }

    /// An object that comes into the selection is ADDED, one that leaves it DELETED, whatever became of it in the store.
    fn line_of(&self, change: &Change) -> Option<Bytes> {
        let before = change.before.as_ref();
        let was = before.is_some_and(|before| self.selector.matches(before));
        let is = !change.deleted && self.selector.matches(&change.now);
        let word = match (was, is) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return None,
        };
        Some(line(word, &self.render.one(self.resource, &change.now)))
    }

    fn bookmark(&self, initial_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string()});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata,
        });
        line("BOOKMARK", &self.render.one(self.resource, &object))
    }
}

/// Whether the watch is to begin with the objects that are there.
fn check_initial(query: &Query) -> Result<bool, Failure> {
    let asked = !query.get("sendInitialEvents").is_empty();
    if asked && query.get("resourceVersionMatch") != "NotOlderThan" {
        let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        let cause = Cause::forbidden("resourceVersionMatch", detail);
        return Err(Failure::invalid_options("ListOptions", &[cause]));
    }
    Ok(query.is_true("sendInitialEvents"))
}

fn line(word: &str, object: &Value) -> Bytes {
    let mut line = json!({"type": word, "object": object}).to_string();
    line.push('\n');
    line.into()
}

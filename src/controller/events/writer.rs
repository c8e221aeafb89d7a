//! The one who makes the requests that the book asks for.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::Event as CoreEvent;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::DropGuard;
use tracing::debug;

use super::{
    Options, Shared,
    job::{Job, Outcome, Step},
    object,
};
use crate::controller::retry_after;
use crate::telemetry::health::Heart;

/// Writes the events of one [`Events`](super::Events).
#[derive(Debug)]
#[must_use = "events are written only while `run` is polled"]
pub struct Writer {
    shared: Arc<Shared>,
    sender: Sender,
    /// Tells a draining shutdown that nobody writes any more, also when this future is dropped.
    _finished: DropGuard,
}

struct Sender {
    client: Client,
    component: String,
    deadline: Duration,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        client: Client,
        component: String,
        options: Options,
        shared: Arc<Shared>,
    ) -> Self {
        let finished = shared.finished.clone().drop_guard();
        Self {
            shared,
            sender: Sender {
                client,
                component,
                deadline: options.deadline,
            },
            _finished: finished,
        }
    }

    /// Writes events until [`Events::drain`](super::Events::drain) has been asked for and is done; `heart` beats meanwhile.
    pub async fn run(self, heart: Heart) {
        let mut in_flight = FuturesUnordered::new();
        let mut beats = heart.beats();
        loop {
            let step = self.shared.book().next(Instant::now());
            let until = match step {
                Step::Write(job) => {
                    in_flight.push(self.sender.send(job));
                    continue;
                }
                Step::Wait(until) => until,
                Step::Done => return,
            };
            tokio::select! {
                Some((job, outcome)) = in_flight.next() => self.shared.book().done(&job, outcome, Instant::now()),
                () = self.shared.changed.notified() => {}
                () = beats.next() => {}
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            }
        }
    }
}

// === impl Sender ===

impl Sender {
    async fn send(&self, job: Job) -> (Job, Outcome) {
        let outcome = match timeout(self.deadline, self.request(&job)).await {
            Ok(Ok(())) => Outcome::Written,
            Ok(Err(error)) => {
                let outcome = outcome_of(&error, job.create);
                let (reason, object) = (job.body.event.reason, &job.body.event.regarding.name);
                debug!(
                    error = &error as &dyn std::error::Error,
                    ?outcome,
                    reason,
                    object,
                    "event not written"
                );
                outcome
            }
            Err(_deadline) => Outcome::Later(None),
        };
        (job, outcome)
    }

    async fn request(&self, job: &Job) -> Result<(), kube::Error> {
        let body = &job.body;
        let namespace = object::namespace(&body.event.regarding.namespace);
        let api: Api<CoreEvent> = Api::namespaced(self.client.clone(), namespace);
        if job.create {
            let event = object::core_event(
                &body.event,
                &body.name,
                &self.component,
                job.count,
                body.first,
                job.last,
            );
            api.create(&PostParams::default(), &event).await.map(drop)
        } else {
            let patch = Patch::Merge(object::recount(job.count, job.last));
            api.patch(&body.name, &PatchParams::default(), &patch)
                .await
                .map(drop)
        }
    }
}

fn outcome_of(error: &kube::Error, create: bool) -> Outcome {
    match error {
        kube::Error::Api(status) => match status.code {
            409 if create => Outcome::Exists,
            404 if !create => Outcome::Missing,
            401 | 429 | 500.. => Outcome::Later(retry_after::of_status(status)),
            // 404 on create, 403, 410: the namespace is going or gone, or the rules say no.
            _ => Outcome::Refused,
        },
        kube::Error::BuildRequest(_) | kube::Error::SerdeError(_) | kube::Error::HttpError(_) => {
            Outcome::Refused
        }
        _ => Outcome::Later(None),
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("component", &self.component)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

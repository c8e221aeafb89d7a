//! The loops of the election: stand by, take the lock, renew it, lose it.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tracing::{info, warn};

use super::{
    term::{Reign, Term},
    view::View,
};
use crate::{
    controller::{
        events::{Event, Events, Kind},
        retry_after,
    },
    plan::lock::{Role, Step, Why},
    telemetry::{health::Heart, log::Repeats},
};

/// The election, once it is known which objects may be touched.
pub(super) struct Candidate {
    view: View,
    events: Events,
    heart: Heart,
    repeats: Repeats<&'static str>,
    holders: String,
}

// === impl Candidate ===

impl Candidate {
    pub(super) fn new(view: View, events: Events, heart: Heart) -> Self {
        Self {
            view,
            events,
            heart,
            repeats: Repeats::default(),
            holders: String::new(),
        }
    }

    /// Gives the lock back if it is ours.
    pub(super) async fn release(&mut self) {
        self.view.release().await;
    }

    /// Never ends by itself.
    pub(super) async fn elect(&mut self, current: &watch::Sender<Option<Term>>) {
        loop {
            let renewed = self.acquire().await;
            let reign = Reign::begin(renewed + self.view.setup().terms.renew);
            current.send_replace(Some(reign.term()));
            self.tell("became leader");
            info!(
                identity = self.view.setup().identity,
                lock = self.view.lock().regarding().kind,
                "leading"
            );
            let why = self.reign(&reign, renewed).await;
            drop(reign);
            current.send_replace(None);
            let (why, holder) = match &why {
                Why::NotRenewed => ("not renewed in time", ""),
                Why::HeldBy(holder) => ("held by another", holder.as_str()),
                Why::Gone => ("the lock was taken away", ""),
            };
            warn!(why, holder, "standing by, all work stopped");
            self.tell("stopped leading");
        }
    }

    /// Stands by until the lock is ours; when the request that took it was sent.
    async fn acquire(&mut self) -> Instant {
        loop {
            self.heart.beat();
            let pause = match self.try_acquire().await {
                Ok(Ok(sent)) => return sent,
                Ok(Err(wait)) => wait,
                Err(error) if is_conflict(&error) => Duration::ZERO,
                Err(error) => {
                    self.trouble(&error, "lock not seen or not written");
                    let asked = retry_after::of(&error).unwrap_or_default();
                    asked.max(self.view.setup().terms.retry)
                }
            };
            sleep(self.jitter(pause)).await;
        }
    }

    /// One look, and one write if the lock is free: when it was sent, or how long to wait.
    async fn try_acquire(&mut self) -> Result<Result<Instant, Duration>, kube::Error> {
        self.view.look().await?;
        match self.view.decide(Role::StandingBy) {
            Step::Acquire(record) => {
                let sent = Instant::now();
                self.view.write(&record).await?;
                Ok(Ok(sent))
            }
            Step::Wait(wait) => {
                self.note_holders();
                Ok(Err(wait))
            }
            Step::Renew(_) | Step::Lost(_) => Ok(Err(self.view.setup().terms.retry)),
        }
    }

    /// Renews until that is over, and says why. Whatever is in flight at the deadline is dropped.
    async fn reign(&mut self, reign: &Reign, mut renewed: Instant) -> Why {
        loop {
            let deadline = renewed + self.view.setup().terms.renew;
            match timeout_at(deadline, self.renew(renewed)).await {
                Ok(Ok(sent)) => renewed = sent,
                Ok(Err(why)) => return why,
                Err(_elapsed) => return Why::NotRenewed,
            }
            reign.extend(renewed + self.view.setup().terms.renew);
        }
    }

    /// Waits until it is time, then writes until that succeeds: when that was sent, or why there is no more to renew.
    async fn renew(&mut self, renewed: Instant) -> Result<Instant, Why> {
        loop {
            self.heart.beat();
            let role = Role::Leading {
                renewed: self.view.count(renewed),
            };
            match self.view.decide(role) {
                Step::Renew(_) => {}
                Step::Lost(why) => return Err(why),
                Step::Wait(wait) => {
                    sleep(wait).await;
                    continue;
                }
                Step::Acquire(_) => return Err(Why::Gone),
            }
            if let Err(error) = self.view.look_beside(self.view.setup().terms.retry).await {
                self.trouble(&error, "old lock not seen");
            }
            // What was seen there may have ended the term: then the lock is not prolonged.
            let Step::Renew(record) = self.view.decide(role) else {
                continue;
            };
            let sent = Instant::now();
            let mut pause = self.view.setup().terms.retry / 4;
            match self.view.write(&record).await {
                Ok(()) => return Ok(sent),
                Err(error) if is_conflict(&error) || is_gone(&error) => self.look_again().await,
                Err(error) => {
                    self.trouble(&error, "lock not renewed");
                    pause = pause.max(retry_after::of(&error).unwrap_or_default());
                }
            }
            sleep(self.jitter(pause)).await;
        }
    }

    /// After a write that met another version: the next decision is made on what is there now.
    async fn look_again(&mut self) {
        if let Err(error) = self.view.look().await {
            self.trouble(&error, "lock not seen");
        }
    }

    fn tell(&self, what: &str) {
        self.events.publish(Event {
            regarding: self.view.lock().regarding(),
            kind: Kind::Normal,
            reason: "LeaderElection",
            message: format!("{} {what}", self.view.setup().identity),
        });
    }

    fn note_holders(&mut self) {
        let holders = self.view.holders();
        if holders != self.holders {
            let identity = &self.view.setup().identity;
            info!(identity, holder = holders, "standing by");
            self.holders = holders;
        }
    }

    fn trouble(&self, error: &kube::Error, what: &'static str) {
        if let Some(kept_back) = self.repeats.say(&what) {
            warn!(error = error as &dyn std::error::Error, kept_back, "{what}");
        }
    }

    /// Up to a fifth longer, so that candidates do not ask in step.
    fn jitter(&self, pause: Duration) -> Duration {
        let least = Duration::from_millis(50);
        let fifth = pause.max(least).min(self.view.setup().terms.retry) / 5;
        pause + fifth.mul_f64(fastrand::f64())
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

//! A time of leading, as those see it who may only work while it lasts.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Whether this process leads; cheap to clone.
#[derive(Debug, Clone)]
pub struct Leadership {
    current: watch::Receiver<Option<Term>>,
}

/// One time of leading: from taking the lock to giving it up or losing it.
#[derive(Debug, Clone)]
pub struct Term {
    ended: CancellationToken,
    /// The renewal deadline; `None`: there is no lock, and no end.
    until: Arc<Mutex<Option<Instant>>>,
}

/// The end of a term is in this hand; dropping it ends the term.
#[derive(Debug)]
pub(super) struct Reign {
    term: Term,
    _ends: DropGuard,
}

// === impl Leadership ===

impl Leadership {
    pub(super) fn new() -> (watch::Sender<Option<Term>>, Self) {
        let (terms, current) = watch::channel(None);
        (terms, Self { current })
    }

    /// Leading without a lock, for ever (`ENABLE_LEADER_ELECTION=false`).
    pub fn always() -> Self {
        let term = Term {
            ended: CancellationToken::new(),
            until: Arc::default(),
        };
        // The value stays readable after its sender is gone.
        Self {
            current: watch::channel(Some(term)).1,
        }
    }

    /// Not leading, now and for ever.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        Self::new().1
    }

    /// Whether this process leads at this moment.
    pub fn is_leading(&self) -> bool {
        self.current.borrow().as_ref().is_some_and(Term::holds)
    }

    /// Waits until this process leads. `None`: it never will, the [`Leader`](super::Leader) has ended.
    pub async fn term(&mut self) -> Option<Term> {
        let lasting = |term: &Option<Term>| term.as_ref().is_some_and(Term::holds);
        let found = self.current.wait_for(lasting).await.ok()?;
        found.clone()
    }
}

// === impl Term ===

impl Term {
    /// Waits for the end. Whoever works in this term stops then, calls in flight included.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Does work in this term; `None`: it has ended before, and what was under way is dropped.
    ///
    /// No step is taken once the term may be over: a process that was stopped and goes on finds the answers to its last calls first, and would send the
    /// next ones before it finds out that another one leads.
    pub async fn spend<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let steps = poll_fn(|cx| {
            if self.holds() {
                work.as_mut().poll(cx).map(Some)
            } else {
                Poll::Ready(None)
            }
        });
        tokio::select! {
            done = steps => done,
            () = self.ended() => None,
        }
    }

    /// A token that is cancelled at the end, for those who want to hand it on.
    pub fn token(&self) -> &CancellationToken {
        &self.ended
    }

    /// Whether the lock is surely held now. Also says no when the deadline has passed and nobody had the time to notice: the
    /// process was stopped, or starved.
    pub fn holds(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        !self.ended.is_cancelled() && until.is_none_or(|until| Instant::now() < until)
    }
}

// === impl Reign ===

impl Reign {
    pub(super) fn begin(until: Instant) -> Self {
        let ended = CancellationToken::new();
        let term = Term {
            ended: ended.clone(),
            until: Arc::new(Mutex::new(Some(until))),
        };
        Self {
            term,
            _ends: ended.drop_guard(),
        }
    }

    pub(super) fn term(&self) -> Term {
        self.term.clone()
    }

    pub(super) fn extend(&self, until: Instant) {
        *self
            .term
            .until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{sync::oneshot, task::yield_now, time::advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_step_is_taken_after_the_deadline_though_nobody_has_ended_the_term() {
        let reign = Reign::begin(Instant::now() + Duration::from_secs(10));
        for (late, wanted) in [(false, Some(())), (true, None)] {
            let term = reign.term();
            let (answer, answered) = oneshot::channel();
            let work =
                tokio::spawn(async move { term.spend(async { answered.await.unwrap() }).await });
            yield_now().await;
            if late {
                advance(Duration::from_secs(11)).await;
            }
            answer.send(()).unwrap();
            assert_eq!(work.await.unwrap(), wanted);
        }
    }
}

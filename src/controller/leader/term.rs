//! A time of leading, as those see it who may only work while it lasts.

use std::sync::{Arc, Mutex, PoisonError};

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

//! Whether the process is alive (its loops turn) and ready (it could do its work).
//!
//! Alive is about this process only: a share or an API server that is down is never a reason to restart it. Ready is earned: every
//! named condition starts unmet.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// How long a loop may go without a turn. Nothing in a turn takes that long, be it on a node without a processor to spare; and a
/// restart is no better off there.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// All loops and conditions of the process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<Parts>>,
}

#[derive(Debug, Default)]
struct Parts {
    loops: Vec<Loop>,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Loop {
    name: &'static str,
    patience: Duration,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Condition {
    name: &'static str,
    /// `None`: met.
    wanting: Option<String>,
}

/// One loop's proof of life. A loop that is dropped has ended in order and is no longer watched.
#[derive(Debug)]
pub struct Heart {
    health: Health,
    index: usize,
}

/// The pulse of one loop, beside its work.
#[derive(Debug)]
pub struct Beats<'a> {
    heart: &'a Heart,
    interval: Interval,
}

/// The hand on one condition; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ready {
    health: Health,
    index: usize,
}

/// What one probe answers: each part by name, `None` when it is well, else what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(pub Vec<(&'static str, Option<String>)>);

// === impl Health ===

impl Health {
    /// Watches a loop that beats at least every `patience`, from now on. A loop of this name that has ended begins anew: those of a
    /// leader come and go with its terms.
    pub fn heart(&self, name: &'static str, patience: Duration) -> Heart {
        let watched = Loop {
            name,
            patience,
            last: Some(Instant::now()),
        };
        let index = self.with(|parts| {
            let ended = |one: &Loop| one.name == name && one.last.is_none();
            if let Some(index) = parts.loops.iter().position(ended) {
                parts.loops[index] = watched;
                return index;
            }
            parts.loops.push(watched);
            parts.loops.len() - 1
        });
        Heart {
            health: self.clone(),
            index,
        }
    }

    /// A condition of readiness, unmet until [`Ready::met`].
    pub fn condition(&self, name: &'static str) -> Ready {
        let index = self.with(|parts| {
            parts.conditions.push(Condition {
                name,
                wanting: Some("not yet".to_owned()),
            });
            parts.conditions.len() - 1
        });
        Ready {
            health: self.clone(),
            index,
        }
    }

    /// Every loop: does it turn?
    pub fn alive(&self) -> Report {
        let now = Instant::now();
        self.with(|parts| {
            let loops = parts.loops.iter();
            Report(
                loops
                    .filter_map(|one| Some((one.name, one.stuck(one.last?, now))))
                    .collect(),
            )
        })
    }

    /// Every condition: is it met?
    pub fn ready(&self) -> Report {
        self.with(|parts| {
            Report(
                parts
                    .conditions
                    .iter()
                    .map(|one| (one.name, one.wanting.clone()))
                    .collect(),
            )
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Parts) -> T) -> T {
        look(&mut self.parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Loop ===

impl Loop {
    fn stuck(&self, last: Instant, now: Instant) -> Option<String> {
        let silent = now.saturating_duration_since(last);
        (silent > self.patience).then(|| format!("no turn for {} s", silent.as_secs()))
    }
}

// === impl Heart ===

impl Heart {
    /// The loop has turned.
    pub fn beat(&self) {
        self.set(Some(Instant::now()));
    }

    /// Beats that a loop takes in beside its work, in the same `select!`: one that is not polled has none.
    pub fn beats(&self) -> Beats<'_> {
        let patience = self.health.with(|parts| parts.loops[self.index].patience);
        let mut interval = interval(patience / 6);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Beats {
            heart: self,
            interval,
        }
    }

    /// Waits for `what` and beats meanwhile: for what may have nothing to do for hours, but must be polled.
    pub async fn while_waiting<F: Future>(&self, what: F) -> F::Output {
        let (mut beats, mut what) = (self.beats(), std::pin::pin!(what));
        loop {
            tokio::select! {
                done = &mut what => {
                    self.beat();
                    return done;
                }
                () = beats.next() => {}
            }
        }
    }

    fn set(&self, last: Option<Instant>) {
        self.health
            .with(|parts| parts.loops[self.index].last = last);
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.set(None);
    }
}

// === impl Beats ===

impl Beats<'_> {
    /// The next beat, the first at once. Dropping the future misses none.
    pub async fn next(&mut self) {
        self.interval.tick().await;
        self.heart.beat();
    }
}

// === impl Ready ===

impl Ready {
    /// The condition is met.
    pub fn met(&self) {
        self.set(None);
    }

    /// Why the condition is not met yet; one that is met stays so.
    pub fn not_yet(&self, why: impl Into<String>) {
        self.health.with(|parts| {
            if let Some(wanting) = &mut parts.conditions[self.index].wanting {
                *wanting = why.into();
            }
        });
    }

    /// The condition is not, or no longer, met.
    pub fn unmet(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, wanting: Option<String>) {
        self.health
            .with(|parts| parts.conditions[self.index].wanting = wanting);
    }
}

// === impl Report ===

impl Report {
    /// Whether all parts are well.
    pub fn is_well(&self) -> bool {
        self.0.iter().all(|(_, trouble)| trouble.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(report: &Report) -> Vec<(&'static str, Option<&str>)> {
        report
            .0
            .iter()
            .map(|(name, trouble)| (*name, trouble.as_deref()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stops_turning_is_dead_and_one_that_turns_again_alive() {
        let health = Health::default();
        let (claims, volumes) = (
            health.heart("claims", PATIENCE),
            health.heart("volumes", PATIENCE),
        );
        tokio::time::sleep(PATIENCE).await;
        claims.beat();
        assert!(health.alive().is_well());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            said(&health.alive()),
            [("claims", None), ("volumes", Some("no turn for 31 s"))]
        );
        volumes.beat();
        assert!(health.alive().is_well());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_waits_for_work_is_alive_as_long_as_it_is_polled() {
        let health = Health::default();
        let heart = health.heart("claims", PATIENCE);
        let work = tokio::time::sleep(PATIENCE * 100);
        let mut waiting = std::pin::pin!(heart.while_waiting(work));
        let hour = tokio::time::sleep(PATIENCE * 10);
        tokio::select! {
            () = &mut waiting => panic!("the work came too early"),
            () = hour => assert!(health.alive().is_well()),
        }
        // From here on it is not polled.
        tokio::time::sleep(PATIENCE * 2).await;
        assert!(!health.alive().is_well());
        waiting.await;
        assert!(health.alive().is_well());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_has_ended_is_not_watched() {
        let health = Health::default();
        drop(health.heart("claims", PATIENCE));
        tokio::time::sleep(PATIENCE * 2).await;
        assert_eq!(health.alive(), Report(vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_begins_anew_takes_its_old_place() {
        let health = Health::default();
        for _ in 0..3 {
            drop(health.heart("claims", PATIENCE));
        }
        let (_one, _other) = (
            health.heart("claims", PATIENCE),
            health.heart("claims", PATIENCE),
        );
        assert_eq!(said(&health.alive()), [("claims", None), ("claims", None)]);
    }

    #[test]
    fn readiness_is_earned_and_can_be_lost() {
        let health = Health::default();
        let (stores, share) = (
            health.condition("stores"),
            health.condition("default-share"),
        );
        stores.met();
        assert_eq!(
            said(&health.ready()),
            [("stores", None), ("default-share", Some("not yet"))]
        );
        share.not_yet("connection refused");
        assert_eq!(said(&health.ready())[1].1, Some("connection refused"));
        share.met();
        share.not_yet("connection refused");
        assert!(health.ready().is_well());
        share.unmet("shutting down");
        assert!(!health.ready().is_well());
    }
}

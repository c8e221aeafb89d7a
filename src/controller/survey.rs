//! How full the shares are: asked now and then, so that a scrape waits for no server.
//!
//! Only shares that answer are asked; of one that does not, the last figures stay. Refused here: dialling a share, and deciding anything.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use nfs_export::{Export, FsStat, State, Target};
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::{plan::names, shares::Shares, telemetry::health::Heart};

/// Between two looks at a share; FSSTAT is one small call.
const EVERY: Duration = Duration::from_secs(30);
/// Between two looks for shares that are new, which is a look into memory.
const NEW_SHARES: Duration = Duration::from_secs(1);
/// Between two counts of the archives of one share at least: each reads the names of its whole root.
const COUNTING: Duration = Duration::from_mins(10);
/// A root that takes long to read is read less often: so many times as long is the pause.
const SPARING: u32 = 200;
/// Names of a root that are looked at at most.
const NAMES: u64 = 1_000_000;

/// What was found last.
#[derive(Debug, Default)]
pub struct Survey {
    found: Mutex<HashMap<Target, Found>>,
}

/// One share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Room on the share.
    pub room: Option<FsStat>,
    /// Archives at its root.
    pub archives: Option<u64>,
    /// When they are to be counted again.
    pub due: Option<Instant>,
}

// === impl Survey ===

impl Survey {
    /// Looks at `shares` for ever; one that hangs holds no other up.
    pub async fn run(&self, shares: &Shares, heart: &Heart) {
        let (mut known, mut following) = (HashSet::new(), FuturesUnordered::new());
        loop {
            heart.beat();
            for target in shares.targets() {
                if known.insert(target.clone()) {
                    following.push(self.follow(shares, target));
                }
            }
            tokio::select! {
                Some(closed) = following.next() => {
                    self.with(|found| found.remove(&closed));
                    known.remove(&closed);
                }
                () = sleep(NEW_SHARES) => {}
            }
        }
    }

    /// Looks at one share as soon as it is up, and now and then from there on, until it is closed. Only a look holds the export.
    async fn follow(&self, shares: &Shares, target: Target) -> Target {
        while let Some(mut state) = shares.get(&target).map(|export| export.state()) {
            let is_up = state
                .wait_for(|state| matches!(state, State::Up))
                .await
                .is_ok();
            if is_up && let Some(export) = shares.get(&target) {
                self.look(&export).await;
            }
            sleep(EVERY).await;
        }
        target
    }

    /// What was found on `target`; nothing before it was looked at.
    pub fn of(&self, target: &Target) -> Found {
        self.with(|found| found.get(target).copied().unwrap_or_default())
    }

    async fn look(&self, export: &Export) {
        match export.fsstat().await {
            Ok(room) => self.keep(export, |found| found.room = Some(room)),
            Err(error) => debug!(
                error = &error as &dyn std::error::Error,
                "room on the share not known"
            ),
        }
        let begin = Instant::now();
        if self.of(export.target()).due.is_some_and(|due| begin < due) {
            return;
        }
        match export.count(None, NAMES, names::is_archive).await {
            Ok(archives) => self.keep(export, |found| {
                found.archives = Some(archives);
                found.due = Some(Instant::now() + pause(begin.elapsed()));
            }),
            Err(error) => debug!(
                error = &error as &dyn std::error::Error,
                "archives not counted"
            ),
        }
    }

    fn keep(&self, export: &Export, change: impl FnOnce(&mut Found)) {
        self.with(|found| change(found.entry(export.target().clone()).or_default()));
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<Target, Found>) -> T) -> T {
        look(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Until the next count, after one that took so long.
fn pause(took: Duration) -> Duration {
    COUNTING.max(took * SPARING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_is_slow_to_read_costs_no_more_than_half_a_percent_of_the_time() {
        let seconds = Duration::from_secs;
        assert_eq!(pause(seconds(0)), COUNTING);
        assert_eq!(pause(seconds(3)), COUNTING);
        assert_eq!(pause(seconds(30)), seconds(6000));
    }
}

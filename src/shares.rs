//! Which exports are in use: one [`Export`] for each target, dialled when first needed, and a wake-up when one comes back.
//!
//! A share that is down holds up only its own volumes: each export has its own connection, and nothing here waits for one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures::stream::SelectAll;
use futures::{Stream, StreamExt};
use nfs_export::{Export, Options, State, Target};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::telemetry::log::chain;

/// The exports in use.
#[derive(Debug)]
pub struct Shares {
    default: Target,
    options: Options,
    exports: Mutex<HashMap<Target, Export>>,
    opened: mpsc::UnboundedSender<Opened>,
}

/// Follows the state of every export that [`Shares`] opens.
#[derive(Debug)]
pub struct Changes {
    opened: mpsc::UnboundedReceiver<Opened>,
}

/// What [`Changes::run`] tells its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The share answers (again).
    Up(Target),
    /// The share stopped answering, never did, or fails to for another reason than before.
    Down(Target, String),
}

type Opened = (Target, watch::Receiver<State>);

// === impl Shares ===

impl Shares {
    /// No export is dialled yet; `default` is what NFS_SERVER and NFS_PATH name.
    pub fn new(default: Target, options: Options) -> (Self, Changes) {
        let (opened, rx) = mpsc::unbounded_channel();
        let shares = Self {
            default,
            options,
            exports: Mutex::default(),
            opened,
        };
        (shares, Changes { opened: rx })
    }

    /// What NFS_SERVER and NFS_PATH name.
    pub fn default_target(&self) -> &Target {
        &self.default
    }

    /// The export of `target`, made (not dialled) if it is new.
    pub fn export(&self, target: &Target) -> Export {
        let mut exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(export) = exports.get(target) {
            return export.clone();
        }
        let export = Export::new(target.clone(), self.options.clone());
        exports.insert(target.clone(), export.clone());
        // The receiver is gone only when the process is shutting down.
        let _ = self.opened.send((target.clone(), export.state()));
        export
    }

    /// Forgets an export that nobody needs any more; its connection ends with the last attempt that is at work on it. It is opened anew if it is asked for.
    pub fn close(&self, target: &Target) {
        let mut exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        if target != &self.default && exports.remove(target).is_some() {
            let share = format!("{}:{}", target.server, target.path);
            info!(share, "no class and no volume needs the share any more");
        }
    }

    /// The export of `target`, if it is open.
    pub fn get(&self, target: &Target) -> Option<Export> {
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        exports.get(target).cloned()
    }

    /// What each open export is of.
    pub fn targets(&self) -> Vec<Target> {
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        exports.keys().cloned().collect()
    }

    /// Every open export, for metrics and readiness.
    pub fn all(&self) -> Vec<Export> {
        self.exports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}

// === impl Changes ===

impl Changes {
    /// Calls `on` for each change, for ever; logs each once.
    pub async fn run(mut self, on: impl Fn(Change)) {
        let mut states = SelectAll::new();
        loop {
            tokio::select! {
                Some((target, state)) = self.opened.recv() => states.push(Box::pin(follow(target, state))),
                Some(change) = states.next() => on(change),
                else => return,
            }
        }
    }
}

fn follow(target: Target, state: watch::Receiver<State>) -> impl Stream<Item = Change> {
    let start = (target, state, None::<bool>, String::new());
    futures::stream::unfold(
        start,
        |(target, mut state, mut was_up, mut told)| async move {
            loop {
                let now = state.borrow_and_update().clone();
                let change = match now {
                    State::Up if was_up != Some(true) => {
                        let share = format!("{}:{}", target.server, target.path);
                        info!(share, "share answers");
                        (was_up, told) = (Some(true), String::new());
                        Some(Change::Up(target.clone()))
                    }
                    // An administrator acts on what changed, not on each attempt.
                    State::Down(why) if was_up != Some(false) || chain(why.as_ref()) != told => {
                        let share = format!("{}:{}", target.server, target.path);
                        let (reason, advice) = (chain(why.as_ref()), why.advice());
                        warn!(
                            share,
                            reason, advice, "share does not answer; it is tried until it does"
                        );
                        (was_up, told) = (Some(false), reason.clone());
                        Some(Change::Down(target.clone(), reason))
                    }
                    State::Idle | State::Up | State::Down(_) => None,
                };
                if let Some(change) = change {
                    return Some((change, (target, state, was_up, told)));
                }
                state.changed().await.ok()?;
            }
        },
    )
}

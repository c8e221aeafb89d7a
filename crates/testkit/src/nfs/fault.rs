//! What goes wrong on purpose: rules that say which call meets which fate.
//!
//! The oldest rule that fits a call decides. A rule applies for ever, or to so many calls, or from a later call on, until it is
//! cleared.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nfs3_types::mount::mountstat3;
use nfs3_types::nfs3::nfsstat3;
use nfs3_types::rpc::auth_stat;

use super::call::{Call, Procedure};
use super::edit::Edit;

/// A server's rules; clones see the same ones. They live on over restarts of the server.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Shared>);

/// Names an injected rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

/// Which calls, and what becomes of them.
#[derive(Debug, Clone)]
pub struct Rule {
    scope: Scope,
    name: Option<Vec<u8>>,
    effect: Effect,
    skip: u64,
    times: Option<u64>,
}

/// What becomes of a call. "Executed" says whether the directory changes.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Answers with this NFS status. Not executed. For procedures of NFS but NULL; others are served as if there were no rule.
    Status(nfsstat3),
    /// Answers MNT with this status. For MNT; others are served as if there were no rule.
    MountStatus(mountstat3),
    /// Accepts the call and answers that it cannot be carried out (RFC 5531, `accept_stat`). Not executed.
    Accept(AcceptError),
    /// Denies the call for its credentials (RFC 5531, `auth_stat`). Not executed.
    Auth(auth_stat),
    /// Denies the call for its RPC version, offering those from `low` to `high`. Not executed.
    RpcMismatch {
        /// Lowest version offered.
        low: u32,
        /// Highest version offered.
        high: u32,
    },
    /// Never answers. Not executed.
    Ignore,
    /// Closes the connection without an answer. Not executed.
    Disconnect,
    /// Executes, and never answers.
    LoseReply,
    /// Executes, and closes the connection without an answer.
    DisconnectAfter,
    /// Executes, and answers so much later.
    AnswerLate(Duration),
    /// Executes and answers so much later.
    ExecuteLate(Duration),
    /// Executes, and sends the answer in fragments of at most so many bytes.
    Fragments(usize),
    /// Executes, and sends the answer twice.
    Twice,
    /// Executes, and sends the answer under an xid that nobody used.
    WrongXid,
    /// Executes, and sends only so many bytes of the answer, as a record of that length.
    Truncated(usize),
    /// Executes, and sends this record in the answer's place.
    Garbage(Vec<u8>),
    /// Executes, and sends the answer changed.
    Edit(Edit),
}

/// Why a call that was understood as RPC cannot be carried out (RFC 5531, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptError {
    /// The program is not here.
    ProgUnavail,
    /// The program is here in other versions only.
    ProgMismatch {
        /// Lowest version here.
        low: u32,
        /// Highest version here.
        high: u32,
    },
    /// The program has no such procedure.
    ProcUnavail,
    /// The arguments cannot be decoded.
    GarbageArgs,
    /// The server is out of memory or the like.
    SystemErr,
}

#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<Vec<Active>>,
    next: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
enum Scope {
    Anything,
    AnyFileOperation,
    Only(Procedure),
}

#[derive(Debug)]
struct Active {
    id: FaultId,
    rule: Rule,
    seen: u64,
    hits: u64,
}

// === impl Faults ===

impl Faults {
    /// Puts a rule in force behind those already there.
    pub fn inject(&self, rule: Rule) -> FaultId {
        let id = FaultId(self.0.next.fetch_add(1, Ordering::Relaxed));
        self.rules().push(Active {
            id,
            rule,
            seen: 0,
            hits: 0,
        });
        id
    }

    /// Answers a procedure with a status until cleared.
    pub fn fail(&self, procedure: Procedure, status: nfsstat3) -> FaultId {
        self.inject(Rule::on(procedure, Effect::Status(status)))
    }

    /// How many calls met a rule; nothing when it was cleared.
    pub fn hits(&self, id: FaultId) -> Option<u64> {
        let rules = self.rules();
        rules
            .iter()
            .find(|active| active.id == id)
            .map(|active| active.hits)
    }

    /// Takes one rule out of force.
    pub fn clear(&self, id: FaultId) {
        self.rules().retain(|active| active.id != id);
    }

    /// Takes all rules out of force.
    pub fn clear_all(&self) {
        self.rules().clear();
    }

    /// The fate of a call, if a rule has one for it.
    pub(super) fn pick(&self, call: &Call) -> Option<Effect> {
        let mut rules = self.rules();
        if rules.is_empty() {
            return None;
        }
        let names = call.names();
        rules
            .iter_mut()
            .find_map(|active| active.strike(call.procedure, &names))
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Active>> {
        self.0.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Rule ===

impl Rule {
    /// Calls of one procedure.
    pub fn on(procedure: Procedure, effect: Effect) -> Self {
        Self::new(Scope::Only(procedure), effect)
    }

    /// Calls of NFS, but its NULL: port mapper and MOUNT go on working.
    pub fn on_file_operations(effect: Effect) -> Self {
        Self::new(Scope::AnyFileOperation, effect)
    }

    /// Calls of whatever kind.
    pub fn on_anything(effect: Effect) -> Self {
        Self::new(Scope::Anything, effect)
    }

    /// Only calls that carry this directory entry name (or, for MNT, path); for RENAME either of the two.
    #[must_use]
    pub fn named(mut self, name: impl AsRef<[u8]>) -> Self {
        self.name = Some(name.as_ref().to_vec());
        self
    }

    /// Only so many calls; without this, all until cleared.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets so many fitting calls pass first.
    #[must_use]
    pub fn after(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    fn new(scope: Scope, effect: Effect) -> Self {
        Self {
            scope,
            name: None,
            effect,
            skip: 0,
            times: None,
        }
    }

    fn fits(&self, procedure: Procedure, names: &[Vec<u8>]) -> bool {
        let in_scope = match self.scope {
            Scope::Anything => true,
            Scope::AnyFileOperation => procedure.is_file_operation(),
            Scope::Only(only) => procedure == only,
        };
        let has_effect = match self.effect {
            Effect::Status(_) => procedure.is_file_operation(),
            Effect::MountStatus(_) => procedure == Procedure::MNT,
            _ => true,
        };
        in_scope && has_effect && self.name.as_ref().is_none_or(|name| names.contains(name))
    }
}

// === impl Active ===

impl Active {
    fn strike(&mut self, procedure: Procedure, names: &[Vec<u8>]) -> Option<Effect> {
        let is_spent = self.rule.times.is_some_and(|times| self.hits >= times);
        if is_spent || !self.rule.fits(procedure, names) {
            return None;
        }
        self.seen += 1;
        if self.seen <= self.rule.skip {
            return None;
        }
        self.hits += 1;
        Some(self.rule.effect.clone())
    }
}

//! The audit log read as a ledger: whose term it was when somebody had an effect on the cluster.

use std::time::Duration;

use jiff::Timestamp;

use super::lock_name;
use crate::stage::Stage;
use crate::world::Request;

/// How long a real API server may take to read what waited in its sockets.
const READS_WITHIN: Duration = Duration::from_secs(1);

/// The provisioners' requests.
#[derive(Debug)]
pub(super) struct Ledger {
    requests: Vec<Request>,
    /// Namespace and name.
    lock: (String, String),
}

/// A time in which the API server read nothing. A real one logs what was sent meanwhile as if it had come in afterwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standstill {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn since(stage: &Stage, mark: u64) -> Self {
        let mut requests = stage.world().requests_since(mark);
        // 504: done or not, for a client that had gone meanwhile.
        requests.retain(|request| is_done(request) || request.code == 504);
        Self {
            requests,
            lock: (stage.account().namespace, lock_name(stage)),
        }
    }

    /// Effects of a process later than its own last renewal and a lease, or after another one had taken the lock. What waited out a standstill counts
    /// as sent when that began, since that can be: whoever led then has it no more in hand.
    pub(super) fn effects_out_of_turn(
        &self,
        lease: Duration,
        standstill: Option<Standstill>,
    ) -> Vec<Request> {
        let effects = self.requests.iter().filter(|request| is_effect(request));
        let out_of_turn = effects.filter(|effect| {
            let in_turn = |at| self.is_term_of(&effect.agent, at, lease, standstill);
            let waited = standstill.filter(|still| still.let_in(effect.at));
            !in_turn(effect.at) && !waited.is_some_and(|still| in_turn(still.from))
        });
        out_of_turn.cloned().collect()
    }

    /// Whether a process held the lock at this time, for all that it could know.
    fn is_term_of(
        &self,
        agent: &str,
        at: Timestamp,
        lease: Duration,
        standstill: Option<Standstill>,
    ) -> bool {
        let writes = || {
            let writes = self.requests.iter().filter(|r| self.writes_lock(r));
            writes.filter(|r| is_done(r) && r.at <= at)
        };
        // The answer to a renewal that came in during a standstill reached nobody in time.
        let unanswered = |r: &&Request| standstill.is_some_and(|still| still.contains(r.at));
        let own = writes().filter(|r| r.agent == agent && !unanswered(r));
        let others = writes().filter(|r| r.agent != agent);
        let (own, others) = (own.map(|r| r.at).max(), others.map(|r| r.at).max());
        own.is_some_and(|own| at <= own + lease && others.is_none_or(|other| other < own))
    }

    /// The volumes that were created, one for each answer that said so.
    pub(super) fn volumes_created(&self) -> Vec<&str> {
        let created = |request: &&Request| {
            request.verb == "create" && request.resource == "persistentvolumes" && is_done(request)
        };
        let created = self.requests.iter().filter(created);
        created.map(|request| request.name.as_str()).collect()
    }

    /// How many processes held the lock.
    pub(super) fn holders(&self) -> usize {
        let mut agents: Vec<_> = self
            .requests
            .iter()
            .filter(|request| self.writes_lock(request))
            .map(|request| &request.agent)
            .collect();
        agents.sort();
        agents.dedup();
        agents.len()
    }

    fn writes_lock(&self, request: &Request) -> bool {
        (&request.namespace, &request.name) == (&self.lock.0, &self.lock.1)
            && matches!(request.resource.as_str(), "leases" | "endpoints")
            && matches!(request.verb.as_str(), "create" | "update")
    }
}

// === impl Standstill ===

impl Standstill {
    fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }

    /// Whether a request logged at this time can have waited.
    fn let_in(self, at: Timestamp) -> bool {
        self.to <= at && at <= self.to + READS_WITHIN
    }
}

fn is_done(request: &Request) -> bool {
    (200..300).contains(&request.code)
}

fn is_effect(request: &Request) -> bool {
    request.resource == "persistentvolumes"
        && matches!(
            request.verb.as_str(),
            "create" | "delete" | "patch" | "update"
        )
}

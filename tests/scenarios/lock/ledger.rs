//! The audit log read as a ledger: who held the lock when somebody had an effect on the cluster.

use std::time::Duration;

use crate::stage::Stage;
use crate::world::Request;

/// Requests in the order in which the API server finished them.
#[derive(Debug)]
pub(super) struct Ledger {
    requests: Vec<Request>,
    namespace: String,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn since(stage: &Stage, mark: u64) -> Self {
        let mut requests = stage.world().requests_since(mark);
        // 504: done or not, for a client that had gone meanwhile.
        requests.retain(|request| is_done(request) || request.code == 504);
        Self {
            requests,
            namespace: stage.account().namespace,
        }
    }

    /// Effects of a process other than the one that wrote the lock last; those that the API server received within `queued` after that write do not
    /// count, since they may have waited in its sockets for longer than any term.
    pub(super) fn effects_out_of_turn(&self, queued: Duration) -> Vec<Request> {
        let mut holder: Option<&Request> = None;
        let mut found = Vec::new();
        for request in &self.requests {
            if self.writes_lock(request) && is_done(request) {
                if holder.is_none_or(|before| before.agent != request.agent) {
                    holder = Some(request);
                }
            } else if is_effect(request) {
                let in_turn = holder.is_some_and(|now| {
                    now.agent == request.agent
                        || request.at.duration_since(now.at).unsigned_abs() <= queued
                });
                if !in_turn {
                    found.push(request.clone());
                }
            }
        }
        found
    }

    /// The volumes that were created, one for each answer that said so; on the double without their names.
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
        request.namespace == self.namespace
            && matches!(request.resource.as_str(), "leases" | "endpoints")
            && matches!(request.verb.as_str(), "create" | "update")
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

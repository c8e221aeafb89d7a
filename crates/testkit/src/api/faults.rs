//! What can be made to go wrong: refusals, cut connections, lost answers, a frozen server, held requests.

mod gate;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{request::Target, status::Failure};

pub(crate) use gate::{Entry, NoAnswer};
pub use gate::{Fate, Hold};

/// What becomes of a matching request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `Retry-After: SECONDS`, as from priority and fairness.
    TooManyRequests(u32),
    /// 500.
    Internal,
    /// 503.
    Unavailable,
    /// 409 on a write, as if somebody else had been quicker.
    Conflict,
    /// The connection is cut before anything is done.
    Cut,
    /// The request takes effect, and the connection is cut instead of the answer.
    CutAfter,
}

/// Requests by verb and resource; an empty word matches all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Requests {
    /// Kubernetes' verb (`create`, `watch`, ...).
    pub verb: &'static str,
    /// Plural, with `/SUBRESOURCE` if there is one.
    pub resource: &'static str,
}

/// The faults that are switched on.
#[derive(Debug)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    gates: Mutex<Vec<Arc<gate::Gate>>>,
    frozen: watch::Sender<bool>,
    watches_still: watch::Sender<bool>,
    watches_cut: watch::Sender<u64>,
}

#[derive(Debug)]
struct Rule {
    requests: Requests,
    left: usize,
    fault: Fault,
}

// === impl Requests ===

impl Requests {
    /// Requests with this verb on this resource.
    pub fn of(verb: &'static str, resource: &'static str) -> Self {
        Self { verb, resource }
    }

    /// All requests for resources.
    pub fn all() -> Self {
        Self::default()
    }

    fn matches(&self, target: &Target) -> bool {
        let fits = |want: &str, have: &str| want.is_empty() || want == have;
        !target.resource.is_empty()
            && fits(self.verb, target.verb)
            && fits(self.resource, &target.rule_resource())
    }
}

// === impl Faults ===

impl Default for Faults {
    fn default() -> Self {
        Self {
            rules: Mutex::default(),
            gates: Mutex::default(),
            frozen: watch::Sender::new(false),
            watches_still: watch::Sender::new(false),
            watches_cut: watch::Sender::new(0),
        }
    }
}

impl Faults {
    /// The next `count` matching requests meet this fault. Older rules come first.
    pub fn fail(&self, count: usize, requests: Requests, fault: Fault) {
        self.rules().push(Rule {
            requests,
            left: count,
            fault,
        });
    }

    /// Takes all rules of [`Faults::fail`] back.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Holds matching requests, for a test to look at the moment before an effect.
    pub fn hold(&self, requests: Requests) -> Hold {
        self.stop(requests, 0, Fate::Wait)
    }

    /// Lets `skip` matching requests pass, and gives all later ones this fate until the hold is dropped or released.
    pub fn stop(&self, requests: Requests, skip: usize, fate: Fate) -> Hold {
        let gate = Arc::new(gate::Gate::new(requests, skip, fate));
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|gate| !gate.is_open());
        gates.push(gate.clone());
        Hold::of(gate)
    }

    /// As SIGSTOP: connections are accepted and nothing is answered, watches stand still. What was received meanwhile takes
    /// effect at [`Faults::thaw`], even if its client has given up.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Ends [`Faults::freeze`].
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// Watches tell nothing for now, and do not say so: as from a server that has lost sight of its storage, or on a connection on which nothing
    /// comes through any more. Everything else goes on.
    pub fn still_watches(&self) {
        self.watches_still.send_replace(true);
    }

    /// Ends [`Faults::still_watches`]: what was missed is told.
    pub fn stir_watches(&self) {
        self.watches_still.send_replace(false);
    }

    /// Cuts every watch that is open now.
    pub fn cut_watches(&self) {
        self.watches_cut.send_modify(|times| *times += 1);
    }

    pub(crate) fn watches_cut(&self) -> watch::Receiver<u64> {
        let mut cut = self.watches_cut.subscribe();
        cut.mark_unchanged();
        cut
    }

    /// Returns when the server is not frozen.
    pub(crate) fn thawed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut frozen = self.frozen.subscribe();
        async move {
            let _ = frozen.wait_for(|frozen| !frozen).await;
        }
    }

    /// Returns when watches may tell something.
    pub(crate) async fn watches_tell(&self) {
        self.thawed().await;
        let mut still = self.watches_still.subscribe();
        let _ = still.wait_for(|still| !still).await;
    }

    /// Waits at each gate that holds this request.
    pub(crate) async fn pass_gates(&self, target: &Target) -> Result<Entry, NoAnswer> {
        let gates = self
            .gates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut entry = Entry::default();
        for gate in &gates {
            gate.pass(target, &mut entry).await?;
        }
        Ok(entry)
    }

    /// The fault that this request meets, used up by one.
    pub(crate) fn take(&self, target: &Target) -> Option<Fault> {
        let mut rules = self.rules();
        let rule = rules
            .iter_mut()
            .find(|rule| rule.left > 0 && rule.requests.matches(target))?;
        rule.left -= 1;
        let fault = rule.fault;
        rules.retain(|rule| rule.left > 0);
        Some(fault)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Fault ===

impl Fault {
    /// The refusal that this fault answers with; none if it cuts the connection.
    pub(crate) fn refusal(self, target: &Target) -> Option<Failure> {
        match self {
            Self::TooManyRequests(seconds) => Some(Failure::too_many_requests(seconds)),
            Self::Internal => Some(Failure::internal("injected fault")),
            Self::Unavailable => Some(Failure::unavailable()),
            Self::Conflict => super::resources::find(&target.group, &target.resource)
                .map(|resource| Failure::modified(resource, &target.name)),
            Self::Cut | Self::CutAfter => None,
        }
    }
}

//! The right to bind ports below 1024, for a process that is not root.
//!
//! The image's binary bears `cap_net_bind_service=p`: permitted, not effective. An effective one would keep the program from being started at
//! all where a pod drops every capability (execve(2), EPERM); this way such a pod starts, and one that drops nothing, as the Go
//! provisioner's Deployment, has the right at hand and only needs to take it up.

use rustix::process::DumpableBehavior;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use tracing::debug;

/// Takes it up where it is permitted. For the calling thread and those that it starts later, so: before the runtime is built.
pub(crate) fn take_up() {
    let outcome = capabilities(None).and_then(|held| match raised(held) {
        Some(sets) => {
            set_capabilities(None, sets)?;
            // The kernel gives /proc/self of a program that gains rights to root. Nothing here is secret to the process's own user.
            rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
        }
        None => Ok(()),
    });
    if let Err(error) = outcome {
        debug!(
            error = &error as &dyn std::error::Error,
            "the right to bind ports below 1024 could not be taken up"
        );
    }
}

/// What to set; `None` where it would change nothing.
fn raised(held: CapabilitySets) -> Option<CapabilitySets> {
    let wanted = CapabilitySet::NET_BIND_SERVICE;
    (held.permitted.contains(wanted) && !held.effective.contains(wanted)).then(|| CapabilitySets {
        effective: held.effective | wanted,
        ..held
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

    fn mk_sets(permitted: CapabilitySet, effective: CapabilitySet) -> CapabilitySets {
        CapabilitySets {
            effective,
            permitted,
            inheritable: CapabilitySet::empty(),
        }
    }

    #[test]
    fn what_is_permitted_and_not_effective_is_taken_up_and_nothing_else() {
        let kill = CapabilitySet::KILL;
        for (name, held, effective) in [
            (
                "nothing permitted",
                mk_sets(CapabilitySet::empty(), CapabilitySet::empty()),
                None,
            ),
            (
                "something else permitted",
                mk_sets(kill, CapabilitySet::empty()),
                None,
            ),
            (
                "permitted",
                mk_sets(WANTED | kill, CapabilitySet::empty()),
                Some(WANTED),
            ),
            (
                "permitted beside others in effect",
                mk_sets(WANTED | kill, kill),
                Some(WANTED | kill),
            ),
            ("in effect already", mk_sets(WANTED, WANTED), None),
        ] {
            let sets = raised(held);
            assert_eq!(sets.map(|sets| sets.effective), effective, "{name}");
            if let Some(sets) = sets {
                assert_eq!(sets.permitted, held.permitted, "{name}");
            }
        }
    }
}

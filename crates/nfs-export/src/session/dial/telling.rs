//! Which of the failures at several addresses of one server an administrator is told: the one that got furthest, for the others are most often
//! an address that is not in use (a name with an IPv6 address, a server without IPv6).

use crate::{Cause, error::PORTMAPPER};

/// The one of two failures that says more; the first, where they say as much: its address is the one that the resolver prefers.
pub(super) fn more_telling(first: Cause, second: Cause) -> Cause {
    if way(&second) > way(&first) {
        second
    } else {
        first
    }
}

/// How far on its way an attempt came that ended so.
fn way(cause: &Cause) -> u8 {
    match cause {
        Cause::Unreachable(_)
        | Cause::Resolve { .. }
        | Cause::Connect { .. }
        | Cause::Lost(_)
        | Cause::TimedOut(_) => 0,
        Cause::Mute {
            service: PORTMAPPER,
            ..
        } => 1,
        Cause::NotRegistered { .. } => 2,
        Cause::Mute { .. } => 3,
        Cause::Refused(_) | Cause::Malformed(_) => 4,
        // What the share itself says.
        Cause::Mount(_)
        | Cause::Flavors(_)
        | Cause::Nfs(_)
        | Cause::NotADirectory(_)
        | Cause::OtherFileSystem(_)
        | Cause::Endless(_)
        | Cause::Leftovers(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc, time::Duration};

    use nfs3_types::nfs3::nfsstat3;

    use super::*;
    use crate::{Malformed, MountRefusal, Refusal, mountstat3};

    fn mk_connect() -> Cause {
        Cause::Connect {
            address: ([0xfd00, 0, 0, 0, 0, 0, 0, 1], 111).into(),
            source: Arc::new(io::ErrorKind::TimedOut.into()),
        }
    }

    fn mk_mute(service: &'static str) -> Cause {
        Cause::TimedOut(Duration::from_secs(10)).at(service, ([10, 0, 0, 1], 2049).into())
    }

    fn mk_mount() -> Cause {
        Cause::Mount(Arc::new(MountRefusal {
            status: mountstat3::MNT3ERR_ACCES,
            path: "/x".into(),
            exports: None,
            reserved_port: true,
        }))
    }

    /// Each row got further than the one above it.
    fn mk_ways() -> Vec<Vec<Cause>> {
        let unregistered = Cause::NotRegistered {
            program: "NFS version 3",
            server: [10, 0, 0, 1].into(),
        };
        vec![
            vec![mk_connect(), Cause::TimedOut(Duration::from_secs(10))],
            vec![mk_mute(PORTMAPPER)],
            vec![unregistered],
            vec![mk_mute("MOUNT service"), mk_mute("NFS service")],
            vec![
                Cause::Refused(Refusal::ProgramUnavailable),
                Cause::Malformed(Malformed::Short),
            ],
            vec![
                mk_mount(),
                Cause::Nfs(nfsstat3::NFS3ERR_ACCES),
                Cause::NotADirectory("/x".into()),
                Cause::Flavors(vec![390_003]),
            ],
        ]
    }

    #[test]
    fn the_attempt_that_got_furthest_is_told_and_the_first_of_those() {
        let all: Vec<_> = mk_ways()
            .into_iter()
            .enumerate()
            .flat_map(|(way, causes)| causes.into_iter().map(move |cause| (way, cause)))
            .collect();
        for (first_way, first) in &all {
            for (second_way, second) in &all {
                let told = more_telling(first.clone(), second.clone());
                let wanted = if second_way > first_way {
                    second
                } else {
                    first
                };
                assert_eq!(told.to_string(), wanted.to_string());
            }
        }
    }
}

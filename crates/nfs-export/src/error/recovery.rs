//! From cause to recovery: the one place that knows.
//!
//! No match here has a wildcard, so that a new cause or status does not compile until somebody has decided what it means. The crate's
//! documentation shows the same as a table, and the test below holds the two together.

use std::net::SocketAddr;

use nfs3_types::{mount::mountstat3, nfs3::nfsstat3, rpc::auth_stat};

use super::{Cause, Recovery};
use crate::rpc::{Broken, Refusal};

// === impl Cause ===

impl Cause {
    /// What to do about it.
    pub fn recovery(&self) -> Recovery {
        match self {
            Self::Unreachable(last) => last.recovery(),
            Self::Mute { source, .. } => source.recovery(),
            Self::Resolve { .. } | Self::Connect { .. } => Recovery::Reconnect,
            // The server may be starting: its programs register one after the other.
            Self::NotRegistered { .. }
            | Self::Malformed(_)
            | Self::TimedOut(_)
            | Self::Endless(_) => Recovery::BackOff,
            Self::Mount(refusal) => of_mount(refusal.status),
            Self::Nfs(status) => of_nfs(*status),
            Self::Refused(refusal) => of_refusal(*refusal),
            Self::Lost(why) => of_broken(why),
            Self::Flavors(_)
            | Self::NotADirectory(_)
            | Self::OtherFileSystem(_)
            | Self::Leftovers(_) => Recovery::TellUser,
        }
    }

    /// Whether the whole share is out of reach, and not only one path.
    pub fn is_share_down(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Mute { .. }
            | Self::NotRegistered { .. }
            | Self::Mount(_)
            | Self::Flavors(_)
            | Self::Refused(_)
            | Self::Lost(_) => true,
            Self::Nfs(_)
            | Self::Malformed(_)
            | Self::TimedOut(_)
            | Self::NotADirectory(_)
            | Self::OtherFileSystem(_)
            | Self::Endless(_)
            | Self::Leftovers(_) => false,
        }
    }

    /// What `service` at `address` left a call without is said with its name.
    pub(crate) fn at(self, service: &'static str, address: SocketAddr) -> Self {
        match self {
            Self::TimedOut(_) | Self::Lost(_) => Self::Mute {
                service,
                address,
                source: Box::new(self),
            },
            other => other,
        }
    }

    /// Whether it speaks of a file handle that the server does not know any more.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Nfs(_)) && self.recovery() == Recovery::Remount
    }
}

fn of_nfs(status: nfsstat3) -> Recovery {
    match status {
        nfsstat3::NFS3ERR_STALE | nfsstat3::NFS3ERR_BADHANDLE => Recovery::Remount,
        nfsstat3::NFS3ERR_JUKEBOX | nfsstat3::NFS3ERR_SERVERFAULT | nfsstat3::NFS3ERR_IO => {
            Recovery::BackOff
        }
        // Lost races: what was looked at has changed since.
        nfsstat3::NFS3_OK
        | nfsstat3::NFS3ERR_NOENT
        | nfsstat3::NFS3ERR_EXIST
        | nfsstat3::NFS3ERR_NOT_SYNC
        | nfsstat3::NFS3ERR_BAD_COOKIE
        | nfsstat3::NFS3ERR_NOTEMPTY => Recovery::RetryNow,
        nfsstat3::NFS3ERR_PERM
        | nfsstat3::NFS3ERR_NXIO
        | nfsstat3::NFS3ERR_ACCES
        | nfsstat3::NFS3ERR_XDEV
        | nfsstat3::NFS3ERR_NODEV
        | nfsstat3::NFS3ERR_NOTDIR
        | nfsstat3::NFS3ERR_ISDIR
        | nfsstat3::NFS3ERR_INVAL
        | nfsstat3::NFS3ERR_FBIG
        | nfsstat3::NFS3ERR_NOSPC
        | nfsstat3::NFS3ERR_ROFS
        | nfsstat3::NFS3ERR_MLINK
        | nfsstat3::NFS3ERR_NAMETOOLONG
        | nfsstat3::NFS3ERR_DQUOT
        | nfsstat3::NFS3ERR_REMOTE
        | nfsstat3::NFS3ERR_NOTSUPP
        | nfsstat3::NFS3ERR_TOOSMALL
        | nfsstat3::NFS3ERR_BADTYPE => Recovery::TellUser,
    }
}

fn of_mount(status: mountstat3) -> Recovery {
    match status {
        mountstat3::MNT3_OK => Recovery::RetryNow,
        mountstat3::MNT3ERR_IO | mountstat3::MNT3ERR_SERVERFAULT => Recovery::BackOff,
        mountstat3::MNT3ERR_PERM
        | mountstat3::MNT3ERR_NOENT
        | mountstat3::MNT3ERR_ACCES
        | mountstat3::MNT3ERR_NOTDIR
        | mountstat3::MNT3ERR_INVAL
        | mountstat3::MNT3ERR_NAMETOOLONG
        | mountstat3::MNT3ERR_NOTSUPP => Recovery::TellUser,
    }
}

fn of_refusal(refusal: Refusal) -> Recovery {
    match refusal {
        Refusal::SystemError => Recovery::BackOff,
        Refusal::ProgramUnavailable
        | Refusal::ProgramMismatch { .. }
        | Refusal::ProcedureUnavailable
        | Refusal::GarbageArguments
        | Refusal::RpcMismatch { .. }
        | Refusal::OtherAuth(_) => Recovery::TellUser,
        Refusal::Auth(stat) => match stat {
            auth_stat::AUTH_OK => Recovery::RetryNow,
            auth_stat::AUTH_REJECTEDCRED
            | auth_stat::AUTH_REJECTEDVERF
            | auth_stat::AUTH_INVALIDRESP => Recovery::BackOff,
            auth_stat::AUTH_BADCRED
            | auth_stat::AUTH_BADVERF
            | auth_stat::AUTH_TOOWEAK
            | auth_stat::AUTH_FAILED => Recovery::TellUser,
        },
    }
}

fn of_broken(why: &Broken) -> Recovery {
    match why {
        Broken::Closed
        | Broken::MidRecord
        | Broken::Io(_)
        | Broken::Framing(_)
        | Broken::NotAReply
        | Broken::Stalled(_)
        | Broken::Silent(_)
        | Broken::Unfinished(_)
        | Broken::Dropped => Recovery::Reconnect,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

    use super::*;
    use crate::{Error, Leftovers, Malformed, MountRefusal, Operation, RecordError};

    fn io() -> Arc<io::Error> {
        Arc::new(io::ErrorKind::ConnectionRefused.into())
    }

    fn nfs_causes() -> impl Iterator<Item = (String, Cause)> {
        // By number, as they come over the wire, so that none is forgotten here.
        (0..=10_008_u32).filter_map(|number| {
            let mut bytes = &number.to_be_bytes()[..];
            let (status, _) =
                <nfsstat3 as nfs3_types::xdr_codec::Unpack>::unpack(&mut bytes).ok()?;
            Some((status.to_string(), Cause::Nfs(status)))
        })
    }

    fn mount_causes() -> impl Iterator<Item = (String, Cause)> {
        (0..=10_008_u32).filter_map(|number| {
            let mut bytes = &number.to_be_bytes()[..];
            let (status, _) =
                <mountstat3 as nfs3_types::xdr_codec::Unpack>::unpack(&mut bytes).ok()?;
            let refusal = MountRefusal {
                status,
                path: "/x".into(),
                exports: None,
                reserved_port: true,
            };
            Some((status.to_string(), Cause::Mount(Arc::new(refusal))))
        })
    }

    fn refusals() -> impl Iterator<Item = (String, Cause)> {
        let auth = (0..8_u32).filter_map(|number| {
            let mut bytes = &number.to_be_bytes()[..];
            let (stat, _) =
                <auth_stat as nfs3_types::xdr_codec::Unpack>::unpack(&mut bytes).ok()?;
            Some((stat.to_string(), Refusal::Auth(stat)))
        });
        let rest = [
            ("PROG_UNAVAIL", Refusal::ProgramUnavailable),
            (
                "PROG_MISMATCH",
                Refusal::ProgramMismatch { low: 4, high: 4 },
            ),
            ("PROC_UNAVAIL", Refusal::ProcedureUnavailable),
            ("GARBAGE_ARGS", Refusal::GarbageArguments),
            ("SYSTEM_ERR", Refusal::SystemError),
            ("RPC_MISMATCH", Refusal::RpcMismatch { low: 3, high: 3 }),
            ("any other auth_stat", Refusal::OtherAuth(13)),
        ];
        let rest = rest.map(|(name, refusal)| (name.to_owned(), refusal));
        auth.chain(rest)
            .map(|(name, refusal)| (name, Cause::Refused(refusal)))
    }

    fn broken() -> impl Iterator<Item = (String, Cause)> {
        let rows = [
            ("connection closed", Broken::Closed),
            ("connection closed inside a reply", Broken::MidRecord),
            (
                "I/O error",
                Broken::Io(io::ErrorKind::ConnectionReset.into()),
            ),
            (
                "bad framing",
                Broken::Framing(RecordError::TooManyFragments),
            ),
            ("not a reply", Broken::NotAReply),
            ("nothing taken", Broken::Stalled(Duration::ZERO)),
            ("nothing heard", Broken::Silent(Duration::ZERO)),
            ("half a reply", Broken::Unfinished(Duration::ZERO)),
            ("given up", Broken::Dropped),
        ];
        rows.into_iter()
            .map(|(name, why)| (name.to_owned(), Cause::Lost(Arc::new(why))))
    }

    fn others() -> impl Iterator<Item = (String, Cause)> {
        let address = ([127, 0, 0, 1], 2049).into();
        let server = [127, 0, 0, 1].into();
        let rows = [
            (
                "name not resolved",
                Cause::Resolve {
                    host: "nas".into(),
                    source: io(),
                },
            ),
            (
                "no connection",
                Cause::Connect {
                    address,
                    source: io(),
                },
            ),
            (
                "a service that does not answer in time",
                Cause::TimedOut(Duration::ZERO).at("portmapper", address),
            ),
            (
                "a service that hangs up",
                Cause::Lost(Arc::new(Broken::Closed)).at("portmapper", address),
            ),
            (
                "program not registered",
                Cause::NotRegistered {
                    program: "NFS",
                    server,
                },
            ),
            (
                "no AUTH_SYS among the flavors",
                Cause::Flavors(vec![390_003]),
            ),
            ("reply not decodable", Cause::Malformed(Malformed::Short)),
            ("no answer in time", Cause::TimedOut(Duration::ZERO)),
            ("not a directory", Cause::NotADirectory("a".into())),
            ("another file system", Cause::OtherFileSystem("a".into())),
            ("a directory without end", Cause::Endless("a".into())),
            (
                "leftovers",
                Cause::Leftovers(Arc::new(Leftovers {
                    count: 1,
                    first: vec![],
                })),
            ),
        ];
        rows.into_iter()
            .map(|(name, cause)| (name.to_owned(), cause))
    }

    fn all() -> impl Iterator<Item = (String, Cause)> {
        nfs_causes()
            .chain(mount_causes())
            .chain(refusals())
            .chain(broken())
            .chain(others())
    }

    /// The rows of the table in the crate's documentation.
    fn documented() -> BTreeMap<String, String> {
        let rows = include_str!("../lib.rs")
            .lines()
            .skip_while(|line| !line.contains("| cause | recovery |"));
        let rows = rows.skip(2).take_while(|line| line.starts_with("//! | "));
        let cells = rows.map(|row| {
            row.trim_start_matches("//! | ")
                .trim_end_matches(" |")
                .replace('`', "")
        });
        cells
            .map(|row| {
                row.split_once(" | ")
                    .map(|(cause, what)| (cause.into(), what.into()))
                    .unwrap()
            })
            .collect()
    }

    #[test]
    fn every_cause_has_the_recovery_that_is_documented() {
        let rows: BTreeMap<_, _> = all()
            .map(|(name, cause)| (name, format!("{:?}", cause.recovery())))
            .collect();
        assert_eq!(rows.len(), 29 + 10 + 15 + 9 + 12);
        assert_eq!(rows, documented());
    }

    #[test]
    fn what_cannot_be_reached_is_recovered_from_as_its_cause_says() {
        for (name, cause) in all() {
            let want = cause.recovery();
            let reach = Error::new(Operation::Reach, "nas:/x", cause);
            let error = Error::new(Operation::Create, "a", Cause::Unreachable(Arc::new(reach)));
            assert_eq!(
                (error.recovery(), error.is_share_down()),
                (want, true),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_left_to_the_user_comes_with_advice_or_is_nobodys_fault() {
        let silent = all().filter(|(_, cause)| cause.recovery() == Recovery::TellUser);
        let silent = silent.filter(|(_, cause)| {
            Error::new(Operation::Create, "a", cause.clone())
                .advice()
                .is_none()
        });
        let names: Vec<_> = silent.map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "NFS3ERR_NXIO",
                "NFS3ERR_NODEV",
                "NFS3ERR_NOTDIR",
                "NFS3ERR_ISDIR",
                "NFS3ERR_INVAL",
                "NFS3ERR_FBIG",
                "NFS3ERR_REMOTE",
                "NFS3ERR_NOTSUPP",
                "NFS3ERR_TOOSMALL",
                "NFS3ERR_BADTYPE",
                "PROC_UNAVAIL",
                "GARBAGE_ARGS",
                "RPC_MISMATCH",
                "leftovers"
            ]
        );
    }
}

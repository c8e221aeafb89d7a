//! What went wrong, where, and what to do now.
//!
//! [`Error`] says which operation failed on which path; its [`Cause`] says why and is its `source()`. What follows from a cause is one
//! total match in [`recovery`], shown as a table in the crate's documentation.

mod advice;
mod describe;
mod mount;
mod recovery;

use std::{fmt, io, net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};

use nfs3_types::nfs3::{fattr3, nfsstat3};

use crate::{
    rpc::{Broken, CallError, Malformed, Refusal},
    session::Doubt,
};
pub use mount::MountRefusal;

/// [`Cause::Mute`]'s name for it.
pub(crate) const PORTMAPPER: &str = "portmapper";

/// A verb that failed: which, on what, and why.
///
/// `Display` says the first two; the cause is in `source()`. [`Error::to_line`] joins all of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("could not {operation} {path:?}")]
pub struct Error {
    operation: Operation,
    path: Box<str>,
    in_doubt: bool,
    // Boxed, so that a `Result` of a verb stays small.
    #[source]
    cause: Box<Cause>,
}

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Resolving, connecting and mounting; the path is `server:/export`.
    Reach,
    /// [`probe`](crate::Export::probe).
    Probe,
    /// [`create_dir_all`](crate::Export::create_dir_all).
    Create,
    /// [`rename`](crate::Export::rename).
    Rename,
    /// [`remove_dir_all`](crate::Export::remove_dir_all) and [`remove_empty_dir`](crate::Export::remove_empty_dir).
    Remove,
    /// [`stat`](crate::Export::stat).
    Stat,
    /// [`list`](crate::Export::list).
    List,
    /// [`fsstat`](crate::Export::fsstat).
    FsStat,
}

/// Why it failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The share is down, and nobody waits until it is back. The source is what the last attempt to reach it met. Calls may have been sent
    /// before it went down: [`Error::is_in_doubt`] knows.
    #[error("the share is out of reach")]
    Unreachable(#[source] Arc<Error>),
    /// The server's name has no address.
    #[error("cannot resolve {host:?}")]
    Resolve {
        /// The name.
        host: Box<str>,
        /// What the resolver said.
        source: Arc<io::Error>,
    },
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// A service on the way to NFS takes connections, and gives no answer on them.
    #[error("the {service} at {address} does not answer")]
    Mute {
        /// `portmapper`, `MOUNT service` or `NFS service`.
        service: &'static str,
        /// Where it listens.
        address: SocketAddr,
        /// [`Cause::TimedOut`] or [`Cause::Lost`].
        source: Box<Cause>,
    },
    /// The portmapper does not know a program.
    #[error("the portmapper of {server} has no {program} over TCP")]
    NotRegistered {
        /// `NFS version 3` or `MOUNT version 3`.
        program: &'static str,
        /// The server.
        server: IpAddr,
    },
    /// MOUNT refused.
    #[error("{0}")]
    Mount(Arc<MountRefusal>),
    /// The export takes no AUTH_SYS.
    #[error("the export does not take AUTH_SYS credentials; its flavors are {0:?}")]
    Flavors(Vec<u32>),
    /// NFS answered with an error status.
    #[error("{}", describe::status(*.0))]
    Nfs(nfsstat3),
    /// The server refused the call itself.
    #[error(transparent)]
    Refused(Refusal),
    /// A reply that cannot be decoded.
    #[error("the server's reply cannot be decoded")]
    Malformed(#[source] Malformed),
    /// The connection broke, and was not to be had again at once.
    #[error("the connection broke")]
    Lost(#[source] Arc<Broken>),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Something that is no directory bears a name on the way.
    #[error("{0:?} is there and is not a directory")]
    NotADirectory(Box<str>),
    /// A directory inside a tree is the root of another file system.
    #[error(
        "{0:?} is on another file system; what is mounted inside a volume is not removed with it"
    )]
    OtherFileSystem(Box<str>),
    /// A directory whose pages lead in circles, or go on without an entry: the server's cookies collide.
    #[error("the server does not come to the end of {0:?}")]
    Endless(Box<str>),
    /// A removal that had to leave something behind.
    #[error("{0}")]
    Leftovers(Arc<Leftovers>),
}

/// What a removal could not remove; the rest is gone.
#[derive(Debug, Clone)]
pub struct Leftovers {
    /// How many entries in all.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Leftover>,
}

/// One entry that a removal could not remove.
#[derive(Debug, Clone)]
pub struct Leftover {
    /// Its path in the share; bytes that are not UTF-8 are replaced.
    pub path: Box<str>,
    /// Its owner and permission bits, where known.
    pub owner: Option<Owner>,
    /// Why.
    pub cause: Cause,
}

/// To whom an entry belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits (07777).
    pub mode: u32,
}

/// What a caller does about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Ask again at once.
    RetryNow,
    /// Ask again after a while: the server said so (JUKEBOX, grace period, a deadline passed).
    BackOff,
    /// The connection is gone: a new one is being made.
    Reconnect,
    /// The file handles are stale: MOUNT and walk again.
    Remount,
    /// Only an administrator can mend it (ROFS, NOSPC, DQUOT, ACCES, a wrong path, ...); back off.
    TellUser,
}

// === impl Error ===

impl Error {
    pub(crate) fn new(operation: Operation, path: &str, cause: Cause) -> Self {
        Self {
            operation,
            path: path.into(),
            in_doubt: false,
            cause: Box::new(cause),
        }
    }

    /// With what is known of the changes that were asked for.
    pub(crate) fn doubted(mut self, doubt: &Doubt) -> Self {
        self.in_doubt |= doubt.is_raised();
        self
    }

    /// What was being done.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// What it was done to: a path in the share, or `server:/export`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Why it failed.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// What to do now: the table in the [crate's documentation](crate#errors-and-what-to-do-about-them).
    pub fn recovery(&self) -> Recovery {
        self.cause.recovery()
    }

    /// What an administrator can change so that it works, where that is known.
    pub fn advice(&self) -> Option<String> {
        advice::advice(&self.cause)
    }

    /// Whether a call that changes something was sent and not answered: it may have been done, be done later, or never.
    ///
    /// Says nothing of what to do next: also an error that is left to the user ([`Recovery::TellUser`]) may be what was met only after the
    /// call was sent. `false`: each change that was asked for was answered, or never left this process.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Whether the whole share is out of reach, and not only this path.
    pub fn is_share_down(&self) -> bool {
        self.cause.is_share_down()
    }

    /// The error, its causes and its advice in one line, for an event or a log without structure.
    pub fn to_line(&self) -> String {
        let mut line = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            line.push_str(": ");
            line.push_str(&cause.to_string());
            source = cause.source();
        }
        if let Some(advice) = self.advice() {
            line.push_str("; ");
            line.push_str(&advice);
        }
        line
    }
}

// === impl Operation ===

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reach => "reach",
            Self::Probe => "probe",
            Self::Create => "create directory",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Stat => "look up",
            Self::List => "list",
            Self::FsStat => "ask for the free space of",
        })
    }
}

// === impl Cause ===

impl From<CallError> for Cause {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Lost { why, .. } => Self::Lost(why),
            CallError::TimedOut(after) => Self::TimedOut(after),
            CallError::Malformed(why) => Self::Malformed(why),
            CallError::Refused(why) => Self::Refused(why),
        }
    }
}

// === impl Owner ===

impl From<&fattr3> for Owner {
    fn from(attributes: &fattr3) -> Self {
        Self {
            uid: attributes.uid,
            gid: attributes.gid,
            mode: attributes.mode & 0o7777,
        }
    }
}

#[cfg(test)]
mod tests {
    use nfs3_types::mount::mountstat3;

    use super::*;

    #[test]
    fn a_line_names_what_why_and_what_to_change() {
        let refusal = MountRefusal {
            status: mountstat3::MNT3ERR_NOENT,
            path: "/data/nsf".into(),
            exports: Some(vec!["/srv/nfs".into(), "/data".into()]),
            reserved_port: true,
        };
        let reach = Error::new(
            Operation::Reach,
            "nas:/data/nsf",
            Cause::Mount(Arc::new(refusal)),
        );
        let error = Error::new(
            Operation::Create,
            "a/b",
            Cause::Unreachable(Arc::new(reach)),
        );
        assert_eq!(
            error.to_line(),
            "could not create directory \"a/b\": the share is out of reach: could not reach \"nas:/data/nsf\": the server refused to mount \
             /data/nsf (MNT3ERR_NOENT); it exports /srv/nfs, /data; set NFS_PATH (or the class parameter `share`) to a directory that the \
             server exports"
        );
    }

    #[test]
    fn a_path_that_the_server_does_not_export_is_the_thing_to_change_whatever_the_status() {
        let asked = "/data/nfs";
        let rows: [(&[&str], bool); 6] = [
            (&["/srv"], true),
            (&["/data/nf"], true),
            (&[], true),
            (&["/srv", "/data/nfs"], false),
            (&["/data/"], false),
            (&["/"], false),
        ];
        for (exports, is_wrong_path) in rows {
            let refusal = MountRefusal {
                status: mountstat3::MNT3ERR_ACCES,
                path: asked.into(),
                exports: Some(exports.iter().map(|&name| name.to_owned()).collect()),
                reserved_port: false,
            };
            let error = Error::new(Operation::Reach, asked, Cause::Mount(Arc::new(refusal)));
            let advice = error.advice().unwrap();
            assert_eq!(
                advice.contains("NFS_PATH"),
                is_wrong_path,
                "{exports:?}: {advice}"
            );
            assert_eq!(
                advice.contains("secure"),
                !is_wrong_path,
                "{exports:?}: {advice}"
            );
        }
    }

    #[test]
    fn leftovers_name_path_owner_and_reason() {
        let left = Leftover {
            path: "v/secret".into(),
            owner: Some(Owner {
                uid: 1001,
                gid: 1002,
                mode: 0o700,
            }),
            cause: Cause::Nfs(nfsstat3::NFS3ERR_ACCES),
        };
        let cause = Cause::Leftovers(Arc::new(Leftovers {
            count: 1,
            first: vec![left],
        }));
        assert_eq!(
            cause.to_string(),
            "1 entry could not be removed, the rest is gone: \"v/secret\" (owner 1001:1002, mode 0700): permission denied (NFS3ERR_ACCES)"
        );
    }
}

//! An asynchronous NFSv3 client for the directories of one export: many calls in flight on one connection, and an answer to every fault.
//!
//! It makes, renames, removes and looks at directories, over the network protocol itself: nothing is mounted, no privilege but a low port is
//! wanted, and a server that hangs never hangs the process. It does not read or write files.
//!
//! # In a minute
//!
//! ```no_run
//! use nfs_export::{Created, Export, Options, SubDir, Target};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let target = Target { server: "nas.example".into(), path: "/srv/volumes".into(), nfs_port: None, mount_port: None };
//! let export = Export::new(target, Options::default()); // no I/O yet
//!
//! let dir = SubDir::parse("team-a/data")?;
//! match export.create_dir_all(&dir, 0o777).await {
//!     Ok(Created::New | Created::Existed) => {}
//!     Err(error) => eprintln!("{}", error.to_line()), // what, why, and what to change
//! }
//! let removed = export.remove_dir_all(&dir).await?;
//! println!("{} directories and {} files", removed.directories, removed.files);
//! # Ok(())
//! # }
//! ```
//!
//! An [`Export`] is cheap to clone, and all clones share one TCP connection, on which up to [`Options::in_flight`] calls are under way at
//! once. So the way to be fast is to start many verbs at once.
//!
//! # Paths
//!
//! Every path is a [`SubDir`]: parsed once, it has no `.`, `..` or NUL, and cannot leave the export. No verb follows a symbolic link; one
//! that is met in place of a directory is [`Cause::NotADirectory`].
//!
//! # When the server is not there
//!
//! The first verb dials: the name is resolved, the portmapper asked (version 2, then rpcbind's GETADDR in versions 4 and 3), the export
//! mounted, and the connection made from a reserved port (512 to 1023) where one can be bound. From then on the share is kept up by a task
//! of its own, which [`Export::state`] shows:
//!
//! | state | a verb | meanwhile |
//! |---|---|---|
//! | [`State::Idle`] | dials, and waits for it | nothing |
//! | [`State::Up`] | is carried out | a connection that breaks is made again at once |
//! | [`State::Down`] | fails at once, with the last cause ([`Cause::Unreachable`]) | dialled after 100 ms, then at most 2 s apart |
//!
//! Names are resolved anew each time, so a server that has moved is found. Dropping the last clone ends task and connection.
//!
//! # What a verb takes care of itself
//!
//! - **A lost connection.** Calls without an answer are sent again on the next one, with the same xid and if possible from the same port, so
//!   that the server's duplicate-request cache can know them. Where it does not, EXIST for MKDIR of a directory, NOENT for REMOVE and
//!   RMDIR, and a RENAME whose target is there and whose source is gone count as done. A call survives three losses; at the fourth its caller is told.
//! - **Stale handles.** The path is walked again; then the export is mounted again; then the caller is told.
//! - **JUKEBOX.** Asked again, more and more slowly, for 30 s.
//! - **Deadlines.** A call has [`Options::deadline`] from when its last byte was sent. One that passes it ends; when nothing at all has arrived
//!   since it was sent, the connection is replaced. Late replies are dropped and counted.
//!
//! All verbs can be repeated and may be dropped half-way: a call that is already on the wire keeps its place until it is answered, and the
//! next call on the connection finds it in step.
//!
//! # Errors, and what to do about them
//!
//! An [`Error`] names the operation and the path; its [`Cause`] is its `source()`; [`Error::recovery`] says what to do now,
//! [`Error::advice`] what an administrator can change, and [`Error::to_line`] joins them all. This table is the whole of
//! [`Error::recovery`], and a test holds it to the code:
//!
//! | cause | recovery |
//! |---|---|
//! | `NFS3_OK` | RetryNow |
//! | `NFS3ERR_PERM` | TellUser |
//! | `NFS3ERR_NOENT` | RetryNow |
//! | `NFS3ERR_IO` | BackOff |
//! | `NFS3ERR_NXIO` | TellUser |
//! | `NFS3ERR_ACCES` | TellUser |
//! | `NFS3ERR_EXIST` | RetryNow |
//! | `NFS3ERR_XDEV` | TellUser |
//! | `NFS3ERR_NODEV` | TellUser |
//! | `NFS3ERR_NOTDIR` | TellUser |
//! | `NFS3ERR_ISDIR` | TellUser |
//! | `NFS3ERR_INVAL` | TellUser |
//! | `NFS3ERR_FBIG` | TellUser |
//! | `NFS3ERR_NOSPC` | TellUser |
//! | `NFS3ERR_ROFS` | TellUser |
//! | `NFS3ERR_MLINK` | TellUser |
//! | `NFS3ERR_NAMETOOLONG` | TellUser |
//! | `NFS3ERR_NOTEMPTY` | RetryNow |
//! | `NFS3ERR_DQUOT` | TellUser |
//! | `NFS3ERR_STALE` | Remount |
//! | `NFS3ERR_REMOTE` | TellUser |
//! | `NFS3ERR_BADHANDLE` | Remount |
//! | `NFS3ERR_NOT_SYNC` | RetryNow |
//! | `NFS3ERR_BAD_COOKIE` | RetryNow |
//! | `NFS3ERR_NOTSUPP` | TellUser |
//! | `NFS3ERR_TOOSMALL` | TellUser |
//! | `NFS3ERR_SERVERFAULT` | BackOff |
//! | `NFS3ERR_BADTYPE` | TellUser |
//! | `NFS3ERR_JUKEBOX` | BackOff |
//! | `MNT3_OK` | RetryNow |
//! | `MNT3ERR_PERM` | TellUser |
//! | `MNT3ERR_NOENT` | TellUser |
//! | `MNT3ERR_IO` | BackOff |
//! | `MNT3ERR_ACCES` | TellUser |
//! | `MNT3ERR_NOTDIR` | TellUser |
//! | `MNT3ERR_INVAL` | TellUser |
//! | `MNT3ERR_NAMETOOLONG` | TellUser |
//! | `MNT3ERR_NOTSUPP` | TellUser |
//! | `MNT3ERR_SERVERFAULT` | BackOff |
//! | `PROG_UNAVAIL` | TellUser |
//! | `PROG_MISMATCH` | TellUser |
//! | `PROC_UNAVAIL` | TellUser |
//! | `GARBAGE_ARGS` | TellUser |
//! | `SYSTEM_ERR` | BackOff |
//! | `RPC_MISMATCH` | TellUser |
//! | `AUTH_OK` | RetryNow |
//! | `AUTH_BADCRED` | TellUser |
//! | `AUTH_REJECTEDCRED` | BackOff |
//! | `AUTH_BADVERF` | TellUser |
//! | `AUTH_REJECTEDVERF` | BackOff |
//! | `AUTH_TOOWEAK` | TellUser |
//! | `AUTH_INVALIDRESP` | BackOff |
//! | `AUTH_FAILED` | TellUser |
//! | any other `auth_stat` | TellUser |
//! | name not resolved | Reconnect |
//! | no connection | Reconnect |
//! | a service that does not answer in time | BackOff |
//! | a service that hangs up | Reconnect |
//! | program not registered | BackOff |
//! | no AUTH_SYS among the flavors | TellUser |
//! | connection closed | Reconnect |
//! | connection closed inside a reply | Reconnect |
//! | I/O error | Reconnect |
//! | bad framing | Reconnect |
//! | not a reply | Reconnect |
//! | nothing taken | Reconnect |
//! | nothing heard | Reconnect |
//! | half a reply | Reconnect |
//! | given up | Reconnect |
//! | reply not decodable | BackOff |
//! | no answer in time | BackOff |
//! | not a directory | TellUser |
//! | another file system | TellUser |
//! | a directory without end | BackOff |
//! | leftovers | TellUser |
//!
//! [`Cause::Unreachable`] is what the last dial met, with that one's recovery. Whatever the recovery: [`Error::is_in_doubt`] says whether a
//! change that was asked for may have been done all the same.
//!
//! # Removal
//!
//! [`Export::remove_dir_all`] keeps up to three quarters of the calls in flight busy with REMOVE and RMDIR, and reads at most eight directories
//! at a time, page by page with READDIRPLUS (READDIR where the server has no other, or where a page of it cannot be decoded), each from cookie 0 again after something was removed
//! from it. It holds some pages and the way down to each, whatever the size of the tree. Links are removed, never followed; what another
//! file system is mounted on is left ([`Cause::OtherFileSystem`]); what may not be read or removed is left and reported with path and
//! owner, while the rest goes ([`Cause::Leftovers`]). It says how far it is every 10 s in the log, in [`Progress`] and in [`Stats`].
//!
//! # What it costs
//!
//! A directory whose parent was used in the last 30 s is one MKDIR: the mode is in the call, and SETATTR follows only where the reply's
//! mode differs. [`Export::stats`] counts calls by procedure and outcome, their durations, and what else an operator asks for.
//!
//! # What is bounded
//!
//! Calls in flight; the time of each; a reply (1 MiB over all its fragments, 4,096 fragments); every length inside a reply, checked before
//! anything is allocated; known handles; directories a removal knows, its depth, and the names it reports; pages of a
//! directory that lead nowhere ([`Cause::Endless`]).
//!
//! # Inside
//!
//! `rpc` carries calls and knows no file names: messages, record decoder, in-flight table, mux. `session` keeps the export mounted. `export` has
//! the verbs, and knows no xids. The first error breaks a connection for good and is shared by all that waited; loops that try again are above it.

#![allow(
    clippy::similar_names,
    reason = "made and mode, last and lost: short words that say what they mean"
)]

mod error;
mod export;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod path;
mod rpc;
mod session;
mod stats;

pub use error::{Cause, Error, Leftover, Leftovers, MountRefusal, Operation, Owner, Recovery};
pub use export::{
    Created, Entry, Export, FsStat, Kind, Options, Progress, Removed, Renamed, Stat, State, Target,
};
pub use nfs3_types::{mount::mountstat3, nfs3::nfsstat3, rpc::auth_stat};
pub use path::{PathError, SubDir};
pub use rpc::{Broken, Malformed, RecordError, Refusal};
pub use stats::{DURATION_BUCKETS, Durations, Stats};

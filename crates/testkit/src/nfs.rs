//! An NFSv3 server over a real directory, for tests and the demo.
//!
//! Port mapper, MOUNT and NFS (RFC 1813, RFC 1833) on TCP. `nfs3_server` executes the file operations on the directory; a front of our own
//! stands before it, reads every call, and does what a Linux server does and `nfs3_server` does not: it can demand reserved ports and
//! AUTH_SYS, squashes root, honours MKDIR's mode, tells RMDIR from REMOVE, answers FSSTAT from the disk. It keeps a [`CallLog`], and
//! [`Faults`] make it fail as servers fail. Handles outlive a restart.
//!
//! ```text
//! client ── record ──> front ── record with errand ──> nfs3_server ──> DirFs ──> directory
//!                        └── CallLog, Faults, pause
//! ```
//!
//! Not here: UDP, NFSv4, locks, LINK and MKNOD (answered `PROC_UNAVAIL`), further groups of a caller.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use testkit::nfs::{Effect, Procedure, Rule, Server, nfsstat3};
//!
//! let mut server = Server::builder("/tmp/share").export("/data/nfs").start().await?;
//! let _connect_here = server.addr();
//! server.faults().inject(Rule::on(Procedure::MKDIR, Effect::Status(nfsstat3::NFS3ERR_JUKEBOX)).times(2));
//! // ... have a client make a directory ...
//! server.log().wait_for(Procedure::MKDIR, 3, Duration::from_secs(5)).await?;
//! server.restart().await?;
//! # Ok(())
//! # }
//! ```

mod attr;
mod builder;
mod call;
mod changes;
mod connection;
mod dirfs;
mod edit;
mod fault;
mod handle;
mod known;
mod listing;
mod log;
mod outbox;
mod ports;
mod record;
mod reply;
mod server;
mod service;
mod setattr;
mod tree;

pub use nfs3_types::mount::mountstat3;
pub use nfs3_types::nfs3::nfsstat3;
pub use nfs3_types::rpc::auth_stat;

pub use crate::wait::NotSeen;
pub use builder::Builder;
pub use call::{Credential, Procedure};
pub use edit::Edit;
pub use fault::{AcceptError, Effect, FaultId, Faults, Rule};
pub use log::{CallLog, KEPT, LoggedCall};
pub use ports::Ports;
pub use server::Server;

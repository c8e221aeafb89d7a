//! ONC RPC version 2 (RFC 5531) over one TCP connection that many calls share.
//!
//! ```text
//! call ── arguments ──> message ── one record ──> mux (one task) ──> TCP
//!                        encode                    in-flight table     │
//!      <─── value ─────  decode  <── one record ── record decoder <────┘
//! ```
//! `nfs3_types` knows how arguments and results are written; [`message`] puts calls around the ones and takes replies off the others; the
//! [`mux`] owns the socket. This room knows no file names and never retries: a call is answered, or it gets exactly one error.

pub(crate) mod call;
pub(crate) mod in_flight;
pub(crate) mod message;
pub(crate) mod mux;
pub(crate) mod proc;
pub(crate) mod record;
pub(crate) mod shape;

use std::{sync::Arc, time::Duration};

use nfs3_types::rpc::auth_stat;

pub use record::RecordError;
pub use shape::Malformed;

/// Why a connection was given up. One value, shared by every call that waited on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// End of file between two replies.
    #[error("the server closed the connection")]
    Closed,
    /// End of file inside a reply.
    #[error("the server closed the connection in the middle of a reply")]
    MidRecord,
    /// The socket failed.
    #[error("the connection failed")]
    Io(#[source] std::io::Error),
    /// The record marking (RFC 5531 section 11) makes no sense.
    #[error("a reply is framed wrongly")]
    Framing(#[from] RecordError),
    /// A record that is no RPC reply.
    #[error("the peer sent something that is no reply")]
    NotAReply,
    /// Nothing could be written for this long.
    #[error("the server took no data for {0:?}")]
    Stalled(Duration),
    /// A call waited this long, and nothing at all arrived meanwhile.
    #[error("the server sent nothing for {0:?}")]
    Silent(Duration),
    /// A reply began and had not ended after this long, so whoever it was for had been told that there is none.
    #[error("a reply did not end within {0:?}")]
    Unfinished(Duration),
    /// Nobody needs the connection any more.
    #[error("the connection was given up")]
    Dropped,
}

/// Why one call has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// The connection broke. `sent`: the whole call was handed to the network, so the server may have carried it out.
    #[error("the connection broke")]
    Lost { why: Arc<Broken>, sent: bool },
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the reply cannot be decoded")]
    Malformed(#[source] Malformed),
    #[error("the server refused the call")]
    Refused(#[source] Refusal),
}

/// The server's refusal of a call before its procedure saw it (RFC 5531 section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// PROG_UNAVAIL.
    #[error("the server does not serve this program (PROG_UNAVAIL)")]
    ProgramUnavailable,
    /// PROG_MISMATCH: the versions that it has.
    #[error("the server has versions {low} to {high} of this program only (PROG_MISMATCH)")]
    ProgramMismatch {
        /// Lowest version.
        low: u32,
        /// Highest version.
        high: u32,
    },
    /// PROC_UNAVAIL.
    #[error("the server does not have this procedure (PROC_UNAVAIL)")]
    ProcedureUnavailable,
    /// GARBAGE_ARGS.
    #[error("the server could not decode the call (GARBAGE_ARGS)")]
    GarbageArguments,
    /// SYSTEM_ERR.
    #[error("the server failed (SYSTEM_ERR)")]
    SystemError,
    /// RPC_MISMATCH.
    #[error("the server speaks RPC {low} to {high} only (RPC_MISMATCH)")]
    RpcMismatch {
        /// Lowest version.
        low: u32,
        /// Highest version.
        high: u32,
    },
    /// AUTH_ERROR: the credential was not accepted.
    #[error("the server refused the credential ({0})")]
    Auth(auth_stat),
    /// AUTH_ERROR for a reason that only other flavors of credentials have (8 to 14 speak of Kerberos).
    #[error("the server refused the credential (auth_stat {0})")]
    OtherAuth(u32),
}

//! One call, sent again while connections are lost under it and while the server asks for patience.
//!
//! It keeps its xid then, and its [`Answer`] says so: the verbs know what an EXIST means after that. Where a call that changes something ends
//! without an answer, or with a refusal after a copy of it went unanswered, its [`Doubt`] is raised: nobody knows what became of that copy.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use nfs3_types::nfs3::{Nfs3Result, nfsstat3};

use super::{Backoff, Session};
use crate::{
    Cause,
    rpc::{CallError, proc::NfsCall},
};

/// Connections that a call may lose before it fails.
const LOSSES_MAX: u32 = 3;
/// How long JUKEBOX is obeyed before the caller is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server said to a call.
#[derive(Debug)]
pub(crate) struct Answer<T, E> {
    pub(crate) result: Result<T, (nfsstat3, E)>,
    /// The call was sent more than once, so an earlier copy of it may have been carried out.
    pub(crate) repeated: bool,
}

/// Whether some change that a verb asked for was sent and never answered, and so may be done, still be done, or never be.
#[derive(Debug, Default)]
pub(crate) struct Doubt(AtomicBool);

// === impl Session ===

impl Session {
    /// A call that changes nothing.
    pub(crate) async fn call<C: NfsCall>(&self, args: &C) -> Result<Answer<C::Ok, C::Fail>, Cause> {
        self.ask(args, &mut false).await
    }

    /// A call that changes something; `doubt` learns whether it is known what became of it.
    pub(crate) async fn change<C: NfsCall>(
        &self,
        args: &C,
        doubt: &Doubt,
    ) -> Result<Answer<C::Ok, C::Fail>, Cause> {
        let mut unanswered = false;
        let answer = self.ask(args, &mut unanswered).await;
        let is_done = matches!(&answer, Ok(answer) if answer.result.is_ok());
        if unanswered && !is_done {
            doubt.raise();
        }
        answer
    }

    /// `unanswered` becomes true once a copy of the call was sent that has no answer that can be read.
    async fn ask<C: NfsCall>(
        &self,
        args: &C,
        unanswered: &mut bool,
    ) -> Result<Answer<C::Ok, C::Fail>, Cause> {
        let mut xid = self.shared.xid();
        let (mut repeated, mut losses, mut lost) = (false, 0, None);
        let mut patience = None;
        loop {
            let live = self.live_after(lost).await?;
            // Nothing of the reply outlives this statement: the future of each call would have room for it while it waits below.
            let delay = match live.mux.call(xid, &live.credential, args).await {
                Ok(reply) => match settled(reply, &mut patience) {
                    Ok(result) => return Ok(Answer { result, repeated }),
                    Err(delay) => delay,
                },
                Err(error) => {
                    *unanswered |= error.is_unanswered();
                    match error {
                        CallError::Lost { sent, .. } if losses < LOSSES_MAX => {
                            losses += 1;
                            repeated |= sent;
                            lost = Some(live.connection);
                            let retransmits = &self.shared.stats.retransmits;
                            retransmits.fetch_add(u64::from(sent), Relaxed);
                            continue;
                        }
                        error => return Err(error.into()),
                    }
                }
            };
            // Boxed, as all that is seldom waited for: futures of calls are moved and kept in great numbers.
            Box::pin(tokio::time::sleep(delay)).await;
            // A new call: the duplicate-request cache would answer the old one with JUKEBOX for ever.
            xid = self.shared.xid();
        }
    }
}

/// What the server said, or how long to wait where it asks for that and there is patience left.
fn settled<T, E>(
    reply: Nfs3Result<T, E>,
    patience: &mut Option<Box<Backoff>>,
) -> Result<Result<T, (nfsstat3, E)>, Duration> {
    match reply {
        Nfs3Result::Ok(body) => Ok(Ok(body)),
        Nfs3Result::Err(failure) => match failure.0 {
            nfsstat3::NFS3ERR_JUKEBOX => be_patient(patience).map_or(Ok(Err(failure)), Err),
            _ => Ok(Err(failure)),
        },
    }
}

/// How long to wait at the server's wish; `None`: long enough.
fn be_patient(patience: &mut Option<Box<Backoff>>) -> Option<Duration> {
    patience
        .get_or_insert_with(|| Box::new(Backoff::patient(PATIENCE)))
        .next_in_time()
}

// === impl Answer ===

impl<T, E> Answer<T, E> {
    /// The answer where no error status means anything but failure.
    pub(crate) fn ok(self) -> Result<T, Cause> {
        self.result.map_err(|(status, _)| Cause::Nfs(status))
    }
}

// === impl Doubt ===

impl Doubt {
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Relaxed)
    }

    fn raise(&self) {
        self.0.store(true, Relaxed);
    }
}

// === impl CallError ===

impl CallError {
    /// Whether the call was sent, and no answer to it was read: the server may have carried it out, or may yet.
    fn is_unanswered(&self) -> bool {
        match self {
            Self::Lost { sent, .. } => *sent,
            Self::Refused(_) => false,
            Self::TimedOut(_) | Self::Malformed(_) => true,
        }
    }
}

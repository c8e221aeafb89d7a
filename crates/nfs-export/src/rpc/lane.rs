//! An I/O object that carries exactly one call.
//!
//! `nfs3_client` writes a call into it and reads the reply from it as if it were a connection of its own. On the way out the xid is
//! replaced by one that is unique on the shared connection; on the way in it is put back, and the reply, however many fragments it came
//! in, is shown as one. Refuses a second call, and never answers a read with end of file, at which `nfs3_client` would spin.

use std::{io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use nfs3_client::{
    io::{AsyncRead, AsyncWrite},
    rpc::RpcClient,
};
use nfs3_types::rpc::opaque_auth;
use tokio::{sync::oneshot, time::Instant};

use super::{
    CallError, Malformed,
    mux::{Mux, Submit, Waiter},
    proc::{Call, Proc},
    shape::{self, Head},
};
use crate::stats::Outcome;

/// Length of a fragment's header.
const HEADER: usize = 4;
/// Where the xid is in a record with its header.
const XID: std::ops::Range<usize> = 4..8;

/// One call on its way.
#[derive(Debug)]
pub(crate) struct Lane {
    mux: Mux,
    proc: Proc,
    xid: u32,
    stage: Stage,
    /// When the call was queued; taken when its end has been counted.
    started: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    /// Gathers the call.
    Out(Vec<u8>),
    /// Waits for the reply; the xid to put back.
    Waiting([u8; 4], oneshot::Receiver<Result<BytesMut, CallError>>),
    /// Hands the reply out.
    In(Bytes),
}

// === impl Mux ===

impl Mux {
    /// One call. `xid` must not be in flight on this connection; a call that is repeated on the next connection keeps its own, so that
    /// the server's duplicate-request cache can know it again.
    pub(crate) async fn call<C: Call>(
        &self,
        xid: u32,
        credential: &opaque_auth<'static>,
        args: &C,
    ) -> Result<C::Reply, CallError> {
        let lane = Lane::new(self.clone(), C::PROC, xid);
        let mut client = RpcClient::new_with_auth(lane, credential.clone(), opaque_auth::default());
        let (program, version, procedure) = C::PROC.number();
        Ok(client
            .call::<C, C::Reply>(program, version, procedure, args)
            .await?)
    }
}

// === impl Lane ===

impl Lane {
    fn new(mux: Mux, proc: Proc, xid: u32) -> Self {
        Self {
            mux,
            proc,
            xid,
            stage: Stage::Out(Vec::new()),
            started: None,
        }
    }

    async fn send(&mut self, mut record: Vec<u8>) -> Result<(), CallError> {
        let mut original = [0; 4];
        original.copy_from_slice(&record[XID]);
        record[XID].copy_from_slice(&self.xid.to_be_bytes());
        let slot = self.mux.slot().await?;
        self.started = Some(Instant::now());
        let (reply, waiting) = oneshot::channel();
        self.stage = Stage::Waiting(original, waiting);
        self.mux.submit(Submit {
            xid: self.xid,
            record: record.into(),
            waiter: Waiter { reply, _slot: slot },
        })
    }

    async fn receive(&mut self) -> Result<Bytes, CallError> {
        let Stage::Waiting(original, waiting) = &mut self.stage else {
            return Err(CallError::Malformed(Malformed::Short));
        };
        let mut record = waiting.await.map_err(|_| self.mux.lost())??;
        let head = shape::check(self.proc, &record).map_err(CallError::Malformed)?;
        record[..4].copy_from_slice(original);
        self.finish(match head {
            Head::Success(status) => Outcome::Status(status.unwrap_or(0)),
            Head::Refused => Outcome::Refused,
        });
        let length =
            u32::try_from(record.len()).map_err(|_| CallError::Malformed(Malformed::TooLong))?;
        let mut whole = BytesMut::with_capacity(HEADER + record.len());
        whole.extend_from_slice(&(length | 0x8000_0000).to_be_bytes());
        whole.extend_from_slice(&record);
        Ok(whole.freeze())
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(started) = self.started.take() {
            self.mux
                .stats()
                .record(self.proc, outcome, started.elapsed());
        }
    }

    fn fail(&mut self, error: CallError) -> io::Error {
        let outcome = match &error {
            CallError::Lost { sent: true, .. } => Outcome::Lost,
            CallError::Lost { sent: false, .. } => Outcome::Unsent,
            CallError::TimedOut(_) => Outcome::TimedOut,
            CallError::Malformed(_) => Outcome::Malformed,
            CallError::Refused(_) => Outcome::Refused,
        };
        match self.started {
            Some(_) => self.finish(outcome),
            None => self.mux.stats().record(self.proc, outcome, Duration::ZERO),
        }
        io::Error::other(error)
    }
}

impl Drop for Lane {
    /// A call dropped in mid-flight keeps its slot until the server answers or its deadline passes: the wire cannot take it back.
    fn drop(&mut self) {
        self.finish(Outcome::Cancelled);
    }
}

impl AsyncWrite for Lane {
    async fn async_write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Stage::Out(record) = &mut self.stage else {
            return Err(io::Error::other("a lane carries one call"));
        };
        record.extend_from_slice(buf);
        if let Some((header, _)) = record.split_first_chunk::<HEADER>()
            && record.len()
                >= (HEADER + (u32::from_be_bytes(*header) & 0x7fff_ffff) as usize).max(XID.end)
        {
            let record = std::mem::take(record);
            self.send(record).await.map_err(|error| self.fail(error))?;
        }
        Ok(buf.len())
    }
}

impl AsyncRead for Lane {
    async fn async_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Stage::Waiting(..) = self.stage {
            let reply = self.receive().await.map_err(|error| self.fail(error))?;
            self.stage = Stage::In(reply);
        }
        match &mut self.stage {
            Stage::In(reply) if reply.has_remaining() => {
                let count = buf.len().min(reply.len());
                reply.copy_to_slice(&mut buf[..count]);
                Ok(count)
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

//! The other end of a connection, for tests: it reads calls of GETPORT and answers with what the call carried.

#![allow(
    clippy::unwrap_used,
    reason = "what a test or a fuzz target drives fails by panicking"
)]

use std::{sync::Arc, time::Duration};

use nfs3_types::portmap::mapping;
#[cfg(test)]
use tokio::io::AsyncWriteExt;
use tokio::io::{AsyncReadExt, DuplexStream};

use super::{Limits, Mux};
use crate::{
    rpc::{CallError, message::Credential},
    stats::Stats,
};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Peer {
    pub(crate) stream: DuplexStream,
}

/// A call as it came over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) xid: u32,
    /// The number that the caller expects back.
    pub(crate) number: u32,
}

/// A connection with room for `in_flight` calls, and its other end.
pub(crate) fn mk_connection(in_flight: usize, buffer: usize) -> (Mux, Peer) {
    let (ours, stream) = tokio::io::duplex(buffer);
    let limits = Limits {
        in_flight,
        deadline: DEADLINE,
    };
    let mux = Mux::start(ours, limits, Arc::new(Stats::default()));
    (mux, Peer { stream })
}

/// Asks for `number` with that very xid.
pub(crate) async fn ask(mux: &Mux, number: u32) -> Result<u32, CallError> {
    let args = mapping {
        prog: number,
        vers: 3,
        prot: 6,
        port: 0,
    };
    mux.call(number, &Credential::none(), &args).await
}

/// A reply that carries `number`.
pub(crate) fn reply(xid: u32, number: u32) -> Vec<u8> {
    [xid, 1, 0, 0, 0, 0, number]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect()
}

/// `payload` as one record in fragments of `size` bytes.
pub(crate) fn record(payload: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = payload.chunks(size).count();
    for (at, fragment) in payload.chunks(size).enumerate() {
        let last = if at + 1 == count { 0x8000_0000 } else { 0 };
        let header = u32::try_from(fragment.len()).unwrap() | last;
        bytes.extend_from_slice(&header.to_be_bytes());
        bytes.extend_from_slice(fragment);
    }
    bytes
}

// === impl Peer ===

#[cfg(test)]
impl Peer {
    pub(crate) async fn call(&mut self) -> Seen {
        read_call(&mut self.stream).await.unwrap()
    }

    pub(crate) async fn take_byte(&mut self) {
        self.stream.read_u8().await.unwrap();
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn answer(&mut self, seen: Seen) {
        let bytes = record(&reply(seen.xid, seen.number), usize::MAX);
        self.send(&bytes).await;
    }
}

/// The next call on `stream`.
pub(crate) async fn read_call(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Seen> {
    let header = stream.read_u32().await?;
    assert_ne!(header & 0x8000_0000, 0, "a call in one fragment");
    let mut call = vec![0; (header & 0x7fff_ffff) as usize];
    stream.read_exact(&mut call).await?;
    let word = |at: usize| u32::from_be_bytes(call[4 * at..4 * at + 4].try_into().unwrap());
    assert_eq!(word(1), 0, "a call");
    // Credential and verifier are empty here, so the arguments start at the eleventh word.
    Ok(Seen {
        xid: word(0),
        number: word(10),
    })
}

//! One client's connection: calls in, to `nfs3_server` and back, answers out, and their fates on the way.
//!
//! ```text
//! client -> read_calls -> Runner ------------> nfs3_server
//!                           |  ^ late            |
//!        <- write_answers <-+--+-- take_replies <-
//! ```
//!
//! Calls get xids of our own on the inner hop: `nfs3_server` silently drops a transaction id that it has seen from that address and port in the
//! last minute. That would be every retransmission, and calls of a connection that got the port of an earlier one: so no two calls to a
//! server have the same. All four loops live and die together, in one task.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio_util::time::DelayQueue;

use super::call::Call;
use super::fault::Effect;
use super::log::InFlight;
use super::outbox::{Late, Outbox, Outgoing, Ticket};
use super::record::{MAX_RECORD, frame, read_record};
use super::reply;
use super::service::{Answer, Door, Service};

/// Calls read ahead of their execution; past this TCP holds the client back.
const READ_AHEAD: usize = 1024;

type Pending = Mutex<HashMap<u32, Ticket>>;

struct Runner {
    service: Arc<Service>,
    door: Door,
    inner: OwnedWriteHalf,
    outbox: Outbox,
}

/// Serves a connection until one side closes it, a fault does, or all connections are to go.
pub(super) async fn serve(
    service: Arc<Service>,
    door: Door,
    client: TcpStream,
    inner: TcpStream,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    inner.set_nodelay(true)?;
    service.log.connected();
    let mut kicked = service.kicked.subscribe();
    let (client_in, client_out) = client.into_split();
    let (inner_in, inner_out) = inner.into_split();
    let (calls_in, calls) = mpsc::channel(READ_AHEAD);
    let (out, outgoing) = mpsc::unbounded_channel();
    let (late_in, late) = mpsc::unbounded_channel();
    let outbox = Outbox { out, late: late_in };
    let pending = Pending::default();
    let runner = Runner {
        service: Arc::clone(&service),
        door,
        inner: inner_out,
        outbox: outbox.clone(),
    };
    tokio::select! {
        end = read_calls(&service, door, client_in, calls_in) => end,
        end = runner.run(calls, late, &pending) => end,
        end = take_replies(inner_in, &pending, &outbox) => end,
        end = write_answers(&service, client_out, outgoing) => end,
        _ = kicked.changed() => Ok(()),
    }
}

async fn read_calls(
    service: &Service,
    door: Door,
    mut client: OwnedReadHalf,
    calls: mpsc::Sender<(Call, InFlight)>,
) -> io::Result<()> {
    while let Some(record) = read_record(&mut client).await? {
        let call = Call::parse(record)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let in_flight = service.log.arrived(&call, door.peer);
        if calls.send((call, in_flight)).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn take_replies(
    mut inner: OwnedReadHalf,
    pending: &Pending,
    outbox: &Outbox,
) -> io::Result<()> {
    while let Some(reply) = read_record(&mut inner).await? {
        let Some((xid, body)) = reply.split_first_chunk::<4>() else {
            continue;
        };
        let ticket = lock(pending).remove(&u32::from_be_bytes(*xid));
        if let Some(ticket) = ticket {
            let reply = [&ticket.xid.to_be_bytes(), body].concat();
            outbox.answer(reply, ticket);
        }
    }
    Ok(())
}

async fn write_answers(
    service: &Service,
    mut client: OwnedWriteHalf,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
) -> io::Result<()> {
    let mut is_open = service.is_open.subscribe();
    while let Some(first) = outgoing.recv().await {
        opened(&mut is_open).await;
        let mut batch = Vec::new();
        let mut answered = Vec::new();
        let mut next = Some(first);
        let mut closes = false;
        while let Some(outgoing_now) = next {
            match outgoing_now {
                Outgoing::Send(wire, in_flight) => {
                    batch.extend_from_slice(&wire);
                    answered.push(in_flight);
                }
                Outgoing::Close => {
                    closes = true;
                    break;
                }
            }
            next = outgoing.try_recv().ok();
        }
        drop(answered);
        client.write_all(&batch).await?;
        if closes {
            break;
        }
    }
    Ok(())
}

async fn opened(is_open: &mut watch::Receiver<bool>) {
    // The sender outlives every connection; were it gone there would be nothing to wait for.
    let _ = is_open.wait_for(|is_open| *is_open).await;
}

fn lock(pending: &Pending) -> std::sync::MutexGuard<'_, HashMap<u32, Ticket>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Runner ===

impl Runner {
    async fn run(
        mut self,
        mut calls: mpsc::Receiver<(Call, InFlight)>,
        mut late: mpsc::UnboundedReceiver<(Duration, Late)>,
        pending: &Pending,
    ) -> io::Result<()> {
        let mut is_open = self.service.is_open.subscribe();
        let mut waiting = DelayQueue::new();
        loop {
            tokio::select! {
                call = calls.recv() => {
                    let Some((call, in_flight)) = call else { return Ok(()) };
                    opened(&mut is_open).await;
                    self.meet(call, in_flight, pending).await?;
                }
                Some((delay, item)) = late.recv() => {
                    waiting.insert(item, delay);
                }
                Some(due) = waiting.next(), if !waiting.is_empty() => match due.into_inner() {
                    Late::Call(call, ticket) => self.execute(&call, ticket, pending).await?,
                    Late::Answer(wire, in_flight) => self.outbox.send(wire, in_flight),
                },
            }
        }
    }

    /// Lets a call meet its fate, as far as that comes before its execution.
    async fn meet(&mut self, call: Call, in_flight: InFlight, pending: &Pending) -> io::Result<()> {
        let xid = call.xid;
        let reply = match self.service.faults.pick(&call) {
            Some(Effect::Ignore) => return Ok(()),
            Some(Effect::Disconnect) => {
                self.outbox.close();
                return Ok(());
            }
            Some(Effect::Status(status)) => reply::nfs_status(xid, call.procedure, status),
            Some(Effect::MountStatus(status)) => reply::mount_status(xid, status),
            Some(Effect::Accept(error)) => reply::accept_error(xid, error),
            Some(Effect::Auth(stat)) => reply::auth_error(xid, stat),
            Some(Effect::RpcMismatch { low, high }) => reply::rpc_mismatch(xid, low, high),
            Some(Effect::ExecuteLate(delay)) => {
                let fate = None;
                let ticket = Ticket {
                    xid,
                    procedure: call.procedure,
                    fate,
                    in_flight,
                };
                self.outbox.put_off(delay, Late::Call(call, ticket));
                return Ok(());
            }
            fate => {
                let ticket = Ticket {
                    xid,
                    procedure: call.procedure,
                    fate,
                    in_flight,
                };
                return self.execute(&call, ticket, pending).await;
            }
        };
        self.outbox.send(frame(&reply, MAX_RECORD), in_flight);
        Ok(())
    }

    async fn execute(&mut self, call: &Call, ticket: Ticket, pending: &Pending) -> io::Result<()> {
        match self.service.answer(call, self.door).await {
            Answer::Reply(reply) => {
                self.outbox.answer(reply, ticket);
                Ok(())
            }
            Answer::Forward(mut record) => {
                let xid = self.service.next_xid.fetch_add(1, Relaxed);
                if let Some(head) = record.first_chunk_mut::<4>() {
                    *head = xid.to_be_bytes();
                }
                lock(pending).insert(xid, ticket);
                self.inner.write_all(&frame(&record, MAX_RECORD)).await
            }
        }
    }
}

//! Where an answer meets the rest of its call's fate: it goes out as it is or spoilt, later, or not at all.
//!
//! A connection that is gone needs no answer, so failed sends are of no interest here.

use std::time::Duration;

use tokio::sync::mpsc;

use super::call::{Call, Procedure};
use super::fault::Effect;
use super::log::InFlight;
use super::record::{MAX_RECORD, frame};

/// A call on its way, and what is to become of its answer.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) xid: u32,
    pub(super) procedure: Procedure,
    pub(super) fate: Option<Effect>,
    pub(super) in_flight: InFlight,
}

#[derive(Debug)]
pub(super) enum Outgoing {
    Send(Vec<u8>, InFlight),
    Close,
}

/// What waits for its time.
#[derive(Debug)]
pub(super) enum Late {
    Call(Call, Ticket),
    Answer(Vec<u8>, InFlight),
}

/// Where answers go: out, or aside for later.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    pub(super) out: mpsc::UnboundedSender<Outgoing>,
    pub(super) late: mpsc::UnboundedSender<(Duration, Late)>,
}

// === impl Outbox ===

impl Outbox {
    /// Lets an answer meet its fate.
    pub(super) fn answer(&self, mut reply: Vec<u8>, ticket: Ticket) {
        let wire = match ticket.fate {
            Some(Effect::LoseReply) => return,
            Some(Effect::DisconnectAfter) => return self.close(),
            Some(Effect::AnswerLate(delay)) => {
                let wire = frame(&reply, MAX_RECORD);
                return self.put_off(delay, Late::Answer(wire, ticket.in_flight));
            }
            Some(Effect::Fragments(length)) => frame(&reply, length),
            Some(Effect::Twice) => [frame(&reply, MAX_RECORD), frame(&reply, MAX_RECORD)].concat(),
            Some(Effect::WrongXid) => {
                if let Some(head) = reply.first_chunk_mut::<4>() {
                    *head = (ticket.xid ^ u32::MAX).to_be_bytes();
                }
                frame(&reply, MAX_RECORD)
            }
            Some(Effect::Truncated(length)) => {
                reply.truncate(length);
                frame(&reply, MAX_RECORD)
            }
            Some(Effect::Garbage(record)) => frame(&record, MAX_RECORD),
            Some(Effect::Edit(edit)) => {
                edit.apply(ticket.procedure, &mut reply);
                frame(&reply, MAX_RECORD)
            }
            _ => frame(&reply, MAX_RECORD),
        };
        self.send(wire, ticket.in_flight);
    }

    pub(super) fn send(&self, wire: Vec<u8>, in_flight: InFlight) {
        let _ = self.out.send(Outgoing::Send(wire, in_flight));
    }

    pub(super) fn close(&self) {
        let _ = self.out.send(Outgoing::Close);
    }

    pub(super) fn put_off(&self, delay: Duration, late: Late) {
        let _ = self.late.send((delay, late));
    }
}

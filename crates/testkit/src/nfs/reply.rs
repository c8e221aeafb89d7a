//! Replies that the front makes by itself (RFC 5531, section 9).

use nfs3_types::mount::mountstat3;
use nfs3_types::nfs3::nfsstat3;
use nfs3_types::rpc::auth_stat;
use nfs3_types::xdr_codec::Pack;

use super::call::Procedure;
use super::fault::AcceptError;

const REPLY: u32 = 1;
const ACCEPTED: u32 = 0;
const DENIED: u32 = 1;
const NO_VERIFIER: [u32; 2] = [0, 0];

pub(super) fn success(xid: u32, body: &impl Pack) -> Vec<u8> {
    let mut reply = words(&[xid, REPLY, ACCEPTED, NO_VERIFIER[0], NO_VERIFIER[1], 0]);
    match body.pack(&mut reply) {
        Ok(_) => reply,
        Err(_) => accept_error(xid, AcceptError::SystemErr),
    }
}

pub(super) fn accept_error(xid: u32, error: AcceptError) -> Vec<u8> {
    let (number, range) = match error {
        AcceptError::ProgUnavail => (1, None),
        AcceptError::ProgMismatch { low, high } => (2, Some([low, high])),
        AcceptError::ProcUnavail => (3, None),
        AcceptError::GarbageArgs => (4, None),
        AcceptError::SystemErr => (5, None),
    };
    let [flavour, length] = NO_VERIFIER;
    let mut reply = words(&[xid, REPLY, ACCEPTED, flavour, length, number]);
    reply.extend(words(range.as_ref().map_or(&[], |range| range.as_slice())));
    reply
}

pub(super) fn auth_error(xid: u32, stat: auth_stat) -> Vec<u8> {
    words(&[xid, REPLY, DENIED, 1, stat as u32])
}

pub(super) fn rpc_mismatch(xid: u32, low: u32, high: u32) -> Vec<u8> {
    words(&[xid, REPLY, DENIED, 0, low, high])
}

pub(super) fn mount_status(xid: u32, status: mountstat3) -> Vec<u8> {
    success(xid, &status)
}

/// An NFS failure: the status, and "no attributes" for each place that the procedure's failure result has for them.
pub(super) fn nfs_status(xid: u32, procedure: Procedure, status: nfsstat3) -> Vec<u8> {
    let mut reply = success(xid, &status);
    reply.resize(reply.len() + 4 * optional_attributes(procedure), 0);
    reply
}

/// RFC 1813's `...resfail`: `post_op_attr` is one optional item, `wcc_data` two.
fn optional_attributes(procedure: Procedure) -> usize {
    match procedure {
        Procedure::GETATTR => 0,
        Procedure::LOOKUP
        | Procedure::ACCESS
        | Procedure::READLINK
        | Procedure::READ
        | Procedure::READDIR
        | Procedure::READDIRPLUS
        | Procedure::FSSTAT
        | Procedure::FSINFO
        | Procedure::PATHCONF => 1,
        Procedure::LINK => 3,
        Procedure::RENAME => 4,
        _ => 2,
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

//! Calls as bytes, and values from the bytes of replies (RFC 5531 section 9).
//!
//! ```text
//! | length | xid | CALL | 2 | program | version | procedure | credential | verifier | arguments |        one record, one fragment
//! ```
//! A call is written once, into the buffer that is queued; a reply is decoded where it was received. What a reply may look like is
//! [`shape`]'s affair: nothing is decoded that has not passed there.

use std::sync::Arc;

use nfs3_types::{
    rpc::{auth_unix, opaque_auth},
    xdr_codec::{Pack, Unpack},
};

use super::{
    CallError, Malformed,
    proc::Call,
    shape::{self, Head},
};

/// A record's header, and the six words up to the credential.
const HEAD: usize = 28;
/// The message type of a call.
const CALL: u32 = 0;
/// The version of RPC.
const VERSION: u32 = 2;
/// The bit that marks a record's last fragment.
const LAST: u32 = 0x8000_0000;

/// Who calls: a credential, and the empty verifier that goes with it, encoded once for all calls.
#[derive(Debug, Clone)]
pub(crate) struct Credential(Arc<[u8]>);

/// `call` as one record.
pub(crate) fn encode<C: Call>(
    xid: u32,
    credential: &Credential,
    call: &C,
) -> Result<Vec<u8>, Malformed> {
    let (program, version, procedure) = C::PROC.number();
    let mut record = Vec::with_capacity(HEAD + credential.0.len() + call.packed_size());
    for word in [0, xid, CALL, VERSION, program, version, procedure] {
        record.extend_from_slice(&word.to_be_bytes());
    }
    record.extend_from_slice(&credential.0);
    call.pack(&mut record).map_err(|_| Malformed::Value)?;
    let length = u32::try_from(record.len() - 4).map_err(|_| Malformed::TooLong)?;
    record[..4].copy_from_slice(&(length | LAST).to_be_bytes());
    Ok(record)
}

/// The value in `record`, the reply to a call of `C`, and the status that it begins with, if it has one.
pub(crate) fn decode<C: Call>(record: &[u8]) -> Result<(Option<u32>, C::Reply), CallError> {
    match shape::check(C::PROC, record).map_err(CallError::Malformed)? {
        Head::Refused(why) => Err(CallError::Refused(why)),
        Head::Success { status, results } => {
            let value = value(record.get(results..).unwrap_or_default());
            Ok((status, value.map_err(CallError::Malformed)?))
        }
    }
}

fn value<R: Unpack>(mut bytes: &[u8]) -> Result<R, Malformed> {
    let (value, _) = R::unpack(&mut bytes).map_err(|_| Malformed::Value)?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(Malformed::Trailing)
    }
}

// === impl Credential ===

impl Credential {
    /// AUTH_SYS (RFC 5531 appendix A).
    pub(crate) fn unix(auth: &auth_unix) -> Self {
        let mut bytes = Vec::new();
        // Neither fails: a vector takes whatever is written, and a machine name has 255 bytes at most.
        let _ = opaque_auth::auth_unix(auth).pack(&mut bytes);
        let _ = opaque_auth::default().pack(&mut bytes);
        Self(bytes.into())
    }

    /// AUTH_NONE.
    pub(crate) fn none() -> Self {
        Self([0; 16].into())
    }
}

#[cfg(test)]
mod tests {
    use nfs3_types::{
        nfs3::{GETATTR3args, nfs_fh3},
        rpc::{call_body, fragment_header, msg_body, rpc_msg},
        xdr_codec::Opaque,
    };

    use super::*;
    use crate::rpc::{Refusal, proc::NullArgs};

    #[test]
    fn a_call_is_what_its_parts_are_one_after_the_other() {
        let auth = auth_unix {
            stamp: 7,
            machinename: Opaque::borrowed(b"tester"),
            uid: 1,
            gid: 2,
            gids: vec![3],
        };
        let args = GETATTR3args {
            object: nfs_fh3 {
                data: Opaque::borrowed(b"handle"),
            },
        };
        let rows = [
            (Credential::unix(&auth), opaque_auth::auth_unix(&auth)),
            (Credential::none(), opaque_auth::default()),
        ];
        for (credential, cred) in rows {
            let message = rpc_msg {
                xid: 0x1234_5678,
                body: msg_body::CALL(call_body {
                    rpcvers: VERSION,
                    prog: 100_003,
                    vers: 3,
                    proc: 1,
                    cred,
                    verf: opaque_auth::default(),
                }),
            };
            let mut body = Vec::new();
            message.pack(&mut body).unwrap();
            args.pack(&mut body).unwrap();
            let mut want = Vec::new();
            let length = u32::try_from(body.len()).unwrap();
            fragment_header::new(length, true).pack(&mut want).unwrap();
            want.extend(body);
            let got = encode(0x1234_5678, &credential, &args).unwrap();
            assert_eq!(got, want);
            assert_eq!(got.len(), got.capacity(), "room is made once");
        }
    }

    #[test]
    fn a_refusal_is_no_value() {
        let bytes: Vec<u8> = [1_u32, 1, 0, 0, 0, 5]
            .into_iter()
            .flat_map(u32::to_be_bytes)
            .collect();
        let refused = decode::<NullArgs>(&bytes);
        assert!(
            matches!(refused, Err(CallError::Refused(Refusal::SystemError))),
            "{refused:?}"
        );
    }
}

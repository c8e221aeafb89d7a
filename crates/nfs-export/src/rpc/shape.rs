//! The shape of replies, checked before they are decoded.
//!
//! `nfs3_types` allocates what a length inside a reply says before it reads that much. So each reply is walked once, without allocating:
//! every length must fit what is left of the record, and nothing may be left at its end. A number that no enum has is kept: it tells an
//! administrator more than that something could not be decoded. RFC 1813 (NFS, MOUNT) and RFC 1833 (rpcbind) say
//! which fields follow which.

use nfs3_types::{
    mount::mountstat3,
    nfs3::{ftype3, nfsstat3},
    rpc::auth_stat,
    xdr_codec::Unpack,
};

use super::{Refusal, proc::Proc};

/// Size of a `fattr3`.
pub(super) const ATTRIBUTES: usize = 84;
/// Size of a `wcc_attr`.
pub(super) const WCC_ATTRIBUTES: usize = 24;
/// NFS3_FHSIZE and FHSIZE3.
const HANDLE_MAX: usize = 64;
/// RFC 5531 section 8.2.
const AUTH_MAX: usize = 400;
/// Flavors in a MOUNT reply; there are a dozen in all.
const FLAVORS_MAX: u32 = 64;
/// No bound but the record's.
const ANY: usize = usize::MAX;

/// What is wrong with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It ends before its last field, or a length in it says more than there is.
    #[error("it is cut short")]
    Short,
    /// Bytes are left behind its last field.
    #[error("it has bytes behind its end")]
    Trailing,
    /// A length beyond what the protocol allows.
    #[error("a field is longer than the protocol allows")]
    TooLong,
    /// A value that the protocol does not have.
    #[error("a field has a value that the protocol does not have")]
    Value,
    /// An `nfsstat3` or `mountstat3` that RFC 1813 does not have.
    #[error("it has status {0}, which the protocol does not have")]
    Status(u32),
    /// An `ftype3` that RFC 1813 does not have.
    #[error("it speaks of an object of type {0}, which the protocol does not have")]
    Kind(u32),
    /// It is a call, or the answer to another one.
    #[error("it is no reply to this call")]
    NotAReply,
}

/// What the head of a reply says (RFC 5531 section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// Accepted, and the procedure ran.
    Success {
        /// NFS's or MOUNT's, where the procedure has one.
        status: Option<u32>,
        /// Where in the record the results begin, with the status.
        results: usize,
    },
    /// Refused before the procedure ran.
    Refused(Refusal),
}

/// The rest of a reply that is being walked.
struct Walk<'a>(&'a [u8]);

/// Checks the reply `record` (from its xid on) of `proc`.
pub(crate) fn check(proc: Proc, record: &[u8]) -> Result<Head, Malformed> {
    let mut walk = Walk(record);
    walk.skip(4)?;
    let head = if let Some(refusal) = walk.head()? {
        Head::Refused(refusal)
    } else {
        let results = record.len() - walk.0.len();
        let status = if proc.has_status() {
            Some(walk.status(proc)?)
        } else {
            None
        };
        walk.body(proc, status.unwrap_or(0) == 0)?;
        Head::Success { status, results }
    };
    if walk.0.is_empty() {
        Ok(head)
    } else {
        Err(Malformed::Trailing)
    }
}

// === impl Walk ===

impl Walk<'_> {
    /// Why the call was refused, if it was.
    fn head(&mut self) -> Result<Option<Refusal>, Malformed> {
        if self.word()? != 1 {
            return Err(Malformed::NotAReply);
        }
        match self.word()? {
            0 => self.accepted(),
            1 => self.denied().map(Some),
            _ => Err(Malformed::Value),
        }
    }

    fn accepted(&mut self) -> Result<Option<Refusal>, Malformed> {
        self.word()?;
        self.opaque(AUTH_MAX)?;
        Ok(Some(match self.word()? {
            0 => return Ok(None),
            1 => Refusal::ProgramUnavailable,
            2 => Refusal::ProgramMismatch {
                low: self.word()?,
                high: self.word()?,
            },
            3 => Refusal::ProcedureUnavailable,
            4 => Refusal::GarbageArguments,
            5 => Refusal::SystemError,
            _ => return Err(Malformed::Value),
        }))
    }

    fn denied(&mut self) -> Result<Refusal, Malformed> {
        match self.word()? {
            0 => Ok(Refusal::RpcMismatch {
                low: self.word()?,
                high: self.word()?,
            }),
            1 => {
                let stat = self.word()?;
                Ok(match auth_stat::unpack(&mut &stat.to_be_bytes()[..]) {
                    Ok((stat, _)) => Refusal::Auth(stat),
                    Err(_) => Refusal::OtherAuth(stat),
                })
            }
            _ => Err(Malformed::Value),
        }
    }

    fn status(&mut self, proc: Proc) -> Result<u32, Malformed> {
        match proc {
            Proc::Mnt => self.known::<mountstat3>(Malformed::Status),
            _ => self.known::<nfsstat3>(Malformed::Status),
        }
    }

    /// A word that is one of the values of `T`.
    fn known<T: Unpack>(&mut self, unknown: fn(u32) -> Malformed) -> Result<u32, Malformed> {
        let word = self.word()?;
        match T::unpack(&mut &word.to_be_bytes()[..]) {
            Ok(_) => Ok(word),
            Err(_) => Err(unknown(word)),
        }
    }

    /// What follows the status.
    fn body(&mut self, proc: Proc, ok: bool) -> Result<(), Malformed> {
        match (proc, ok) {
            (Proc::Null, _) | (Proc::GetAttr | Proc::Mnt, false) => Ok(()),
            (Proc::GetAttr, true) => self.object(),
            (Proc::SetAttr | Proc::Remove | Proc::RmDir, _) | (Proc::MkDir, false) => self.wcc(),
            (Proc::Rename, _) => self.wcc().and_then(|()| self.wcc()),
            (Proc::Lookup, true) => {
                self.opaque(HANDLE_MAX)?;
                self.attributes()?;
                self.attributes()
            }
            (Proc::MkDir, true) => {
                self.optional(|walk| walk.opaque(HANDLE_MAX))?;
                self.attributes()?;
                self.wcc()
            }
            (Proc::ReadDir | Proc::ReadDirPlus, true) => self.page(proc == Proc::ReadDirPlus),
            (Proc::FsStat, true) => self.attributes().and_then(|()| self.skip(52)),
            (Proc::FsInfo, true) => self.attributes().and_then(|()| self.skip(48)),
            (
                Proc::Lookup | Proc::ReadDir | Proc::ReadDirPlus | Proc::FsStat | Proc::FsInfo,
                false,
            ) => self.attributes(),
            (Proc::Mnt, true) => {
                self.opaque(HANDLE_MAX)?;
                let flavors = self.word()?;
                if flavors > FLAVORS_MAX {
                    return Err(Malformed::TooLong);
                }
                self.skip(4 * flavors as usize)
            }
            (Proc::Exports, _) => self.list(|walk| {
                walk.opaque(ANY)?;
                walk.list(|walk| walk.opaque(ANY))
            }),
            (Proc::GetPort, _) => self.skip(4),
            (Proc::GetAddr3 | Proc::GetAddr4, _) => self.opaque(ANY),
        }
    }

    fn page(&mut self, plus: bool) -> Result<(), Malformed> {
        self.attributes()?;
        self.skip(8)?;
        self.list(|walk| {
            walk.skip(8)?;
            walk.opaque(ANY)?;
            walk.skip(8)?;
            if plus {
                walk.attributes()?;
                walk.optional(|walk| walk.opaque(HANDLE_MAX))?;
            }
            Ok(())
        })?;
        self.flag().map(|_| ())
    }

    fn wcc(&mut self) -> Result<(), Malformed> {
        self.optional(|walk| walk.skip(WCC_ATTRIBUTES))?;
        self.attributes()
    }

    fn attributes(&mut self) -> Result<(), Malformed> {
        self.optional(Self::object)
    }

    fn object(&mut self) -> Result<(), Malformed> {
        self.known::<ftype3>(Malformed::Kind)?;
        self.skip(ATTRIBUTES - 4)
    }

    fn list(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        while self.flag()? {
            item(self)?;
        }
        Ok(())
    }

    fn optional(
        &mut self,
        item: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.flag()? { item(self) } else { Ok(()) }
    }

    fn opaque(&mut self, max: usize) -> Result<(), Malformed> {
        let length = self.word()? as usize;
        if length > max {
            return Err(Malformed::TooLong);
        }
        self.skip(length.checked_next_multiple_of(4).ok_or(Malformed::Short)?)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.word()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Value),
        }
    }

    fn word(&mut self) -> Result<u32, Malformed> {
        let (word, rest) = self.0.split_first_chunk::<4>().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*word))
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.0 = self.0.get(bytes..).ok_or(Malformed::Short)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

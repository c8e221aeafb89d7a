//! The procedures of NFS (RFC 1813 section 3.3): each has one body for success and one for failure.

use std::io::Read;

use nfs3_types::{
    nfs3,
    xdr_codec::{Error, Result, Unpack, Void},
};

use super::{Call, NfsCall, Proc};
use crate::rpc::shape::{ATTRIBUTES, WCC_ATTRIBUTES};

/// What of a `MKDIR3resok` is of use: all but the attributes of the parent, which would be most of its size and of the work to decode it.
#[derive(Debug)]
pub(crate) struct MkDirOk {
    pub(crate) obj: nfs3::post_op_fh3,
    pub(crate) obj_attributes: nfs3::post_op_attr,
}

impl Call for nfs3::GETATTR3args {
    const PROC: Proc = Proc::GetAttr;
    type Reply = nfs3::GETATTR3res;
}
impl NfsCall for nfs3::GETATTR3args {
    type Ok = nfs3::GETATTR3resok;
    type Fail = Void;
}

impl Call for nfs3::SETATTR3args {
    const PROC: Proc = Proc::SetAttr;
    type Reply = nfs3::SETATTR3res;
}
impl NfsCall for nfs3::SETATTR3args {
    type Ok = nfs3::SETATTR3resok;
    type Fail = nfs3::SETATTR3resfail;
}

impl Call for nfs3::LOOKUP3args<'_> {
    const PROC: Proc = Proc::Lookup;
    type Reply = nfs3::LOOKUP3res;
}
impl NfsCall for nfs3::LOOKUP3args<'_> {
    type Ok = nfs3::LOOKUP3resok;
    type Fail = nfs3::LOOKUP3resfail;
}

impl Call for nfs3::MKDIR3args<'_> {
    const PROC: Proc = Proc::MkDir;
    type Reply = nfs3::Nfs3Result<MkDirOk, nfs3::MKDIR3resfail>;
}
impl NfsCall for nfs3::MKDIR3args<'_> {
    type Ok = MkDirOk;
    type Fail = nfs3::MKDIR3resfail;
}

impl Call for nfs3::REMOVE3args<'_> {
    const PROC: Proc = Proc::Remove;
    type Reply = nfs3::REMOVE3res;
}
impl NfsCall for nfs3::REMOVE3args<'_> {
    type Ok = nfs3::REMOVE3resok;
    type Fail = nfs3::REMOVE3resfail;
}

impl Call for nfs3::RMDIR3args<'_> {
    const PROC: Proc = Proc::RmDir;
    type Reply = nfs3::RMDIR3res;
}
impl NfsCall for nfs3::RMDIR3args<'_> {
    type Ok = nfs3::RMDIR3resok;
    type Fail = nfs3::RMDIR3resfail;
}

impl Call for nfs3::RENAME3args<'_, '_> {
    const PROC: Proc = Proc::Rename;
    type Reply = nfs3::RENAME3res;
}
impl NfsCall for nfs3::RENAME3args<'_, '_> {
    type Ok = nfs3::RENAME3resok;
    type Fail = nfs3::RENAME3resfail;
}

impl Call for nfs3::READDIR3args {
    const PROC: Proc = Proc::ReadDir;
    type Reply = nfs3::READDIR3res<'static>;
}
impl NfsCall for nfs3::READDIR3args {
    type Ok = nfs3::READDIR3resok<'static>;
    type Fail = nfs3::READDIR3resfail;
}

impl Call for nfs3::READDIRPLUS3args {
    const PROC: Proc = Proc::ReadDirPlus;
    type Reply = nfs3::READDIRPLUS3res<'static>;
}
impl NfsCall for nfs3::READDIRPLUS3args {
    type Ok = nfs3::READDIRPLUS3resok<'static>;
    type Fail = nfs3::READDIRPLUS3resfail;
}

impl Call for nfs3::FSSTAT3args {
    const PROC: Proc = Proc::FsStat;
    type Reply = nfs3::FSSTAT3res;
}
impl NfsCall for nfs3::FSSTAT3args {
    type Ok = nfs3::FSSTAT3resok;
    type Fail = nfs3::FSSTAT3resfail;
}

impl Call for nfs3::FSINFO3args {
    const PROC: Proc = Proc::FsInfo;
    type Reply = nfs3::FSINFO3res;
}
impl NfsCall for nfs3::FSINFO3args {
    type Ok = nfs3::FSINFO3resok;
    type Fail = nfs3::FSINFO3resfail;
}

// === impl MkDirOk ===

impl Unpack for MkDirOk {
    fn unpack(input: &mut impl Read) -> Result<(Self, usize)> {
        let (obj, handle) = Unpack::unpack(input)?;
        let (obj_attributes, attributes) = Unpack::unpack(input)?;
        let before = skip_option::<WCC_ATTRIBUTES>(input)?;
        let after = skip_option::<ATTRIBUTES>(input)?;
        let size = handle + attributes + before + after;
        Ok((
            Self {
                obj,
                obj_attributes,
            },
            size,
        ))
    }
}

/// Reads an optional field of `SIZE` bytes and keeps nothing of it.
fn skip_option<const SIZE: usize>(input: &mut impl Read) -> Result<usize> {
    let (is_there, size) = bool::unpack(input)?;
    if !is_there {
        return Ok(size);
    }
    input.read_exact(&mut [0; SIZE]).map_err(Error::Io)?;
    Ok(size + SIZE)
}

#[cfg(test)]
mod tests {
    use nfs3_types::{
        nfs3::{MKDIR3resok, Nfs3Option, wcc_data},
        xdr_codec::Pack,
    };

    use super::*;

    /// What `bytes` say, or nothing.
    fn mk_option<T: Pack + Unpack>(is_there: bool, bytes: &[u8]) -> Nfs3Option<T> {
        if is_there {
            Nfs3Option::Some(T::unpack(&mut &*bytes).unwrap().0)
        } else {
            Nfs3Option::None
        }
    }

    #[test]
    fn what_is_kept_of_a_made_directory_is_what_all_of_it_says() {
        let handle = [&[0, 0, 0, 8][..], &[7; 8]].concat();
        let [own, parents] = [1, 3].map(|byte| [&[0, 0, 0, 2][..], &[byte; 80]].concat());
        for bits in 0..16_u8 {
            let [has_handle, has_attributes, has_before, has_after] =
                [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let made = MKDIR3resok {
                obj: mk_option(has_handle, &handle),
                obj_attributes: mk_option(has_attributes, &own),
                dir_wcc: wcc_data {
                    before: mk_option(has_before, &[5; WCC_ATTRIBUTES]),
                    after: mk_option(has_after, &parents),
                },
            };
            let mut bytes = Vec::new();
            made.pack(&mut bytes).unwrap();
            let mut rest = &bytes[..];
            let (kept, size) = MkDirOk::unpack(&mut rest).unwrap();
            assert_eq!((size, rest.len()), (bytes.len(), 0), "{bits:04b}");
            let want = (made.obj, made.obj_attributes);
            let got = (kept.obj, kept.obj_attributes);
            assert_eq!(format!("{got:?}"), format!("{want:?}"), "{bits:04b}");
        }
    }
}

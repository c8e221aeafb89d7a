//! The procedures of NFS (RFC 1813 section 3.3): each has one body for success and one for failure.

use nfs3_types::{nfs3, xdr_codec::Void};

use super::{Call, NfsCall, Proc};

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
    type Reply = nfs3::MKDIR3res;
}
impl NfsCall for nfs3::MKDIR3args<'_> {
    type Ok = nfs3::MKDIR3resok;
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

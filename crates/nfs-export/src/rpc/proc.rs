//! The procedures that this crate calls, and the arguments and results that go with each.

mod nfs;

use nfs3_types::{
    mount, nfs3,
    nfs3::Nfs3Result,
    portmap,
    xdr_codec::{Pack, Unpack, Void},
};

pub(crate) use nfs::MkDirOk;

/// A remote procedure. A closed set, so that it can be a label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Proc {
    Null,
    GetAttr,
    SetAttr,
    Lookup,
    MkDir,
    Remove,
    RmDir,
    Rename,
    ReadDir,
    ReadDirPlus,
    FsStat,
    FsInfo,
    Mnt,
    Exports,
    GetPort,
    GetAddr3,
    GetAddr4,
}

/// Arguments that know their procedure and what it answers.
pub(crate) trait Call: Pack + Send + Sync {
    const PROC: Proc;
    type Reply: Unpack + Send;
}

/// A [`Call`] of the NFS program: a status, then one of two bodies.
pub(crate) trait NfsCall: Call<Reply = Nfs3Result<Self::Ok, Self::Fail>> {
    type Ok: Send;
    type Fail: Send;
}

/// Arguments of procedure NULL.
#[derive(Debug)]
pub(crate) struct NullArgs;

/// Arguments of MOUNT's EXPORT.
#[derive(Debug)]
pub(crate) struct ExportsArgs;

/// Arguments of rpcbind's GETADDR (RFC 1833 section 2.1), versions 3 and 4.
#[derive(Debug)]
pub(crate) struct GetAddr<const VERSION: u32> {
    pub(crate) program: u32,
    pub(crate) version: u32,
    /// `tcp` or `tcp6`.
    pub(crate) netid: &'static str,
}

// === impl Proc ===

impl Proc {
    pub(crate) const ALL: [Self; 17] = [
        Self::Null,
        Self::GetAttr,
        Self::SetAttr,
        Self::Lookup,
        Self::MkDir,
        Self::Remove,
        Self::RmDir,
        Self::Rename,
        Self::ReadDir,
        Self::ReadDirPlus,
        Self::FsStat,
        Self::FsInfo,
        Self::Mnt,
        Self::Exports,
        Self::GetPort,
        Self::GetAddr3,
        Self::GetAddr4,
    ];

    /// Its name in metrics and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::GetAttr => "getattr",
            Self::SetAttr => "setattr",
            Self::Lookup => "lookup",
            Self::MkDir => "mkdir",
            Self::Remove => "remove",
            Self::RmDir => "rmdir",
            Self::Rename => "rename",
            Self::ReadDir => "readdir",
            Self::ReadDirPlus => "readdirplus",
            Self::FsStat => "fsstat",
            Self::FsInfo => "fsinfo",
            Self::Mnt => "mnt",
            Self::Exports => "export",
            Self::GetPort => "getport",
            Self::GetAddr3 | Self::GetAddr4 => "getaddr",
        }
    }

    /// Program, version and procedure number.
    pub(crate) const fn number(self) -> (u32, u32, u32) {
        match self {
            Self::Null => (nfs3::PROGRAM, nfs3::VERSION, 0),
            Self::GetAttr => (nfs3::PROGRAM, nfs3::VERSION, 1),
            Self::SetAttr => (nfs3::PROGRAM, nfs3::VERSION, 2),
            Self::Lookup => (nfs3::PROGRAM, nfs3::VERSION, 3),
            Self::MkDir => (nfs3::PROGRAM, nfs3::VERSION, 9),
            Self::Remove => (nfs3::PROGRAM, nfs3::VERSION, 12),
            Self::RmDir => (nfs3::PROGRAM, nfs3::VERSION, 13),
            Self::Rename => (nfs3::PROGRAM, nfs3::VERSION, 14),
            Self::ReadDir => (nfs3::PROGRAM, nfs3::VERSION, 16),
            Self::ReadDirPlus => (nfs3::PROGRAM, nfs3::VERSION, 17),
            Self::FsStat => (nfs3::PROGRAM, nfs3::VERSION, 18),
            Self::FsInfo => (nfs3::PROGRAM, nfs3::VERSION, 19),
            Self::Mnt => (mount::PROGRAM, mount::VERSION, 1),
            Self::Exports => (mount::PROGRAM, mount::VERSION, 5),
            Self::GetPort => (portmap::PROGRAM, portmap::VERSION, 3),
            Self::GetAddr3 => (portmap::PROGRAM, 3, 3),
            Self::GetAddr4 => (portmap::PROGRAM, 4, 3),
        }
    }

    /// Whether a SUCCESS reply starts with a status of NFS or MOUNT.
    pub(crate) const fn has_status(self) -> bool {
        !matches!(
            self,
            Self::Null | Self::Exports | Self::GetPort | Self::GetAddr3 | Self::GetAddr4
        )
    }
}

// === impl Call ===

impl Pack for NullArgs {
    fn packed_size(&self) -> usize {
        0
    }
    fn pack(&self, _: &mut impl std::io::Write) -> nfs3_types::xdr_codec::Result<usize> {
        Ok(0)
    }
}

impl Call for NullArgs {
    const PROC: Proc = Proc::Null;
    type Reply = Void;
}

impl Pack for ExportsArgs {
    fn packed_size(&self) -> usize {
        0
    }
    fn pack(&self, _: &mut impl std::io::Write) -> nfs3_types::xdr_codec::Result<usize> {
        Ok(0)
    }
}

impl Call for ExportsArgs {
    const PROC: Proc = Proc::Exports;
    type Reply = mount::exports<'static, 'static>;
}

impl Call for mount::dirpath<'_> {
    const PROC: Proc = Proc::Mnt;
    type Reply = mount::mountres3<'static>;
}

impl Call for portmap::mapping {
    const PROC: Proc = Proc::GetPort;
    type Reply = u32;
}

impl<const VERSION: u32> GetAddr<VERSION> {
    fn strings(&self) -> [nfs3_types::xdr_codec::Opaque<'static>; 3] {
        // The address and owner are for the server to fill in or ignore.
        [self.netid, "", ""].map(|text| text.as_bytes().into())
    }
}

impl<const VERSION: u32> Pack for GetAddr<VERSION> {
    fn packed_size(&self) -> usize {
        8 + self.strings().iter().map(Pack::packed_size).sum::<usize>()
    }
    fn pack(&self, out: &mut impl std::io::Write) -> nfs3_types::xdr_codec::Result<usize> {
        let mut size = self.program.pack(out)? + self.version.pack(out)?;
        for text in self.strings() {
            size += text.pack(out)?;
        }
        Ok(size)
    }
}

impl<const VERSION: u32> Call for GetAddr<VERSION> {
    const PROC: Proc = if VERSION == 3 {
        Proc::GetAddr3
    } else {
        Proc::GetAddr4
    };
    type Reply = nfs3_types::xdr_codec::Opaque<'static>;
}

//! Where a server listens.

/// The TCP ports of the three programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    /// Port mapper, version 2.
    pub portmap: u16,
    /// MOUNT, version 3.
    pub mount: u16,
    /// NFS, version 3.
    pub nfs: u16,
}

/// Listeners wanted: one for everything, or one for each program. Zero is a free port.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    One(u16),
    Three(Ports),
}

//! One attempt to reach the share: resolve, ask the portmapper, MOUNT, connect, and see that the root answers.

mod telling;

use std::{net::SocketAddr, sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use nfs3_types::{
    nfs3::{FSINFO3args, GETATTR3args, Nfs3Option, Nfs3Result, fattr3, ftype3, nfs_fh3},
    rpc::auth_unix,
    xdr_codec::Opaque,
};
use tracing::warn;

use super::{
    Directory, Handles, Live, Shared, mount,
    port::{self, Connected},
    portmap, resolve,
};
use crate::{
    Cause,
    rpc::{
        message::Credential,
        mux::{Limits, Mux},
    },
};
use telling::more_telling;

/// Time for each call of a dial: long enough for a MOUNT daemon whose reverse DNS is slow.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of a directory asked for at once, whatever the server prefers.
const PAGE: std::ops::RangeInclusive<u32> = 32 * 1024..=128 * 1024;
/// RFC 5531 appendix A.
const MACHINE_NAME_MAX: usize = 255;

/// Dials again and again, and remembers what helps the next time.
#[derive(Debug)]
pub(super) struct Dialer {
    shared: Arc<Shared>,
    credential: Credential,
    /// The reserved port of the last NFS connection.
    port: Option<u16>,
    connections: u64,
    generations: u64,
}

/// What a MOUNT yields.
#[derive(Debug)]
struct Mounted {
    root: Directory,
    page: u32,
}

// === impl Dialer ===

impl Dialer {
    pub(super) async fn new(shared: Arc<Shared>) -> Self {
        let options = &shared.options;
        let name = match &options.hostname {
            Some(name) => name.clone(),
            None => tokio::fs::read_to_string("/proc/sys/kernel/hostname")
                .await
                .unwrap_or_default(),
        };
        let mut machinename = name.trim().as_bytes().to_vec();
        machinename.truncate(MACHINE_NAME_MAX);
        let auth = auth_unix {
            stamp: fastrand::u32(..),
            machinename: Opaque::owned(machinename),
            uid: options.uid,
            gid: options.gid,
            gids: Vec::new(),
        };
        let credential = Credential::unix(&auth);
        Self {
            shared,
            credential,
            port: None,
            connections: 0,
            generations: 0,
        }
    }

    /// A mounted connection to the first address that gives one.
    pub(super) async fn dial(&mut self) -> Result<Live, Cause> {
        let mut failed = None;
        for address in resolve::resolve(&self.shared.target.server, CALL_DEADLINE).await? {
            let cause = match self.dial_address(address).await {
                Ok(live) => return Ok(live),
                Err(cause) => cause,
            };
            failed = Some(match failed {
                None => cause,
                Some(earlier) => more_telling(earlier, cause),
            });
        }
        Err(failed.unwrap_or(Cause::Lost(Arc::new(crate::Broken::Dropped))))
    }

    /// The same connection with a root handle of today.
    pub(super) async fn remount(&mut self, live: &Live) -> Result<Live, Cause> {
        let address = live.address;
        let ports = portmap::ports(&self.shared, address).await?;
        let mounted = self.mount(address, ports.mount, &live.mux).await?;
        self.shared.stats.remounts.fetch_add(1, Relaxed);
        Ok(self.live(live.connection, address, live.mux.clone(), mounted))
    }

    async fn dial_address(&mut self, address: SocketAddr) -> Result<Live, Cause> {
        let ports = portmap::ports(&self.shared, address).await?;
        let connected = self.connect(address, ports.nfs, self.port).await?;
        self.port = connected.reserved.or(self.port);
        let limits = Limits {
            in_flight: self.shared.options.in_flight,
            deadline: self.shared.options.deadline,
        };
        let mux = Mux::start(connected.stream, limits, Arc::clone(&self.shared.stats));
        let mounted = self.mount(address, ports.mount, &mux).await;
        let at = SocketAddr::new(address.ip(), ports.nfs);
        let mounted = mounted.map_err(|cause| cause.at("NFS service", at))?;
        self.connections += 1;
        Ok(self.live(self.connections, address, mux, mounted))
    }

    async fn mount(&self, address: SocketAddr, port: u16, nfs: &Mux) -> Result<Mounted, Cause> {
        let connected = self.connect(address, port, None).await?;
        let reserved = connected.reserved.is_some();
        let mux = Mux::start(
            connected.stream,
            self.shared.dial_limits(),
            Arc::clone(&self.shared.stats),
        );
        let root = mount::mount(&self.shared, &mux, &self.credential, reserved)
            .await
            .map_err(|cause| cause.at("MOUNT service", SocketAddr::new(address.ip(), port)))?;
        let patience = self.shared.dial_limits().deadline;
        match tokio::time::timeout(patience, self.inspect(nfs, root)).await {
            Ok(mounted) => mounted,
            Err(_) => Err(Cause::TimedOut(patience)),
        }
    }

    /// Whether the root answers over NFS, and what the server prefers.
    async fn inspect(&self, nfs: &Mux, root: nfs_fh3) -> Result<Mounted, Cause> {
        let info = match nfs
            .call(
                self.shared.xid(),
                &self.credential,
                &FSINFO3args {
                    fsroot: root.clone(),
                },
            )
            .await?
        {
            Nfs3Result::Ok(info) => info,
            Nfs3Result::Err((status, _)) => return Err(Cause::Nfs(status)),
        };
        let attributes = match info.obj_attributes {
            Nfs3Option::Some(attributes) => attributes,
            Nfs3Option::None => self.root_attributes(nfs, &root).await?,
        };
        if attributes.type_ != ftype3::NF3DIR {
            return Err(Cause::NotADirectory(
                self.shared.target.path.as_str().into(),
            ));
        }
        let page = info.dtpref.clamp(*PAGE.start(), *PAGE.end());
        Ok(Mounted {
            root: Directory::new(root, &attributes),
            page,
        })
    }

    async fn root_attributes(&self, nfs: &Mux, root: &nfs_fh3) -> Result<fattr3, Cause> {
        match nfs
            .call(
                self.shared.xid(),
                &self.credential,
                &GETATTR3args {
                    object: root.clone(),
                },
            )
            .await?
        {
            Nfs3Result::Ok(ok) => Ok(ok.obj_attributes),
            Nfs3Result::Err((status, _)) => Err(Cause::Nfs(status)),
        }
    }

    async fn connect(
        &self,
        mut address: SocketAddr,
        port: u16,
        preferred: Option<u16>,
    ) -> Result<Connected, Cause> {
        address.set_port(port);
        let options = &self.shared.options;
        let from = if options.reserved_port {
            port::From::Reserved(preferred)
        } else {
            port::From::Anywhere
        };
        let connected = port::connect(address, from, options.connect_timeout).await?;
        if options.reserved_port
            && connected.reserved.is_none()
            && !self.shared.port_warned.swap(true, Relaxed)
        {
            warn!(server = %address, "no port below 1024 can be bound; an export that is `secure` will refuse this client");
        }
        Ok(connected)
    }

    fn live(&mut self, connection: u64, address: SocketAddr, mux: Mux, mounted: Mounted) -> Live {
        self.generations += 1;
        Live {
            connection,
            address,
            generation: self.generations,
            mux,
            credential: self.credential.clone(),
            root: mounted.root,
            page: mounted.page,
            handles: Handles::default(),
        }
    }
}

// === impl Shared ===

impl Shared {
    /// What bounds the connections that are there for a call or two.
    pub(super) fn dial_limits(&self) -> Limits {
        Limits {
            in_flight: 2,
            deadline: CALL_DEADLINE.min(self.options.deadline),
        }
    }
}

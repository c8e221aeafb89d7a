//! What a server is to be like.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32};

use tokio::sync::watch;

use super::dirfs::DirFs;
use super::fault::Faults;
use super::log::CallLog;
use super::ports::{Ports, Wanted};
use super::server::Server;
use super::service::Service;

/// What a server is to be like. Made by [`Server::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    root: PathBuf,
    export: String,
    ip: IpAddr,
    ports: Wanted,
    admission: Admission,
    mkdir_ignores_mode: bool,
    generation: u64,
}

/// Who is let in from the start.
#[derive(Debug, Clone, Copy, Default)]
struct Admission {
    reserved_ports: bool,
    auth_sys: bool,
    root_squash: bool,
}

// === impl Server ===

impl Server {
    /// A server over a directory that exists.
    pub fn builder(root: impl Into<PathBuf>) -> Builder {
        Builder::new(root.into())
    }
}

// === impl Builder ===

impl Builder {
    fn new(root: PathBuf) -> Self {
        Self {
            root,
            export: "/export".to_owned(),
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: Wanted::One(0),
            admission: Admission::default(),
            mkdir_ignores_mode: false,
            generation: 1,
        }
    }

    /// The path that clients mount; directories below it can be mounted too. Default `/export`.
    pub fn export(mut self, path: impl Into<String>) -> Self {
        let path = path.into();
        self.export = format!("/{}", path.trim_matches('/'));
        self
    }

    /// The address to listen on, of either family. Default 127.0.0.1.
    pub fn bind(mut self, ip: impl Into<IpAddr>) -> Self {
        self.ip = ip.into();
        self
    }

    /// One port for port mapper, MOUNT and NFS. Default 0: a free one, kept over restarts.
    pub fn port(mut self, port: u16) -> Self {
        self.ports = Wanted::One(port);
        self
    }

    /// A port for each program, as on most servers; 0 is a free one, kept over restarts.
    pub fn ports(mut self, ports: Ports) -> Self {
        self.ports = Wanted::Three(ports);
        self
    }

    /// Refuses callers from ports over 1023, as exports are by default on Linux (`secure`): MNT with `MNT3ERR_ACCES`, file operations
    /// with `NFS3ERR_PERM`. Default off.
    pub fn require_reserved_ports(mut self, require: bool) -> Self {
        self.admission.reserved_ports = require;
        self
    }

    /// Answers file operations under AUTH_NULL with `AUTH_TOOWEAK`. Default off: their caller counts as nobody (65534).
    pub fn require_auth_sys(mut self, require: bool) -> Self {
        self.admission.auth_sys = require;
        self
    }

    /// Takes user and group 0 for nobody (65534). Default off.
    pub fn root_squash(mut self, squash: bool) -> Self {
        self.admission.root_squash = squash;
        self
    }

    /// Makes every directory with mode 0755, whatever MKDIR asks, as servers may. Default off: the mode asked for, to the bit.
    pub fn mkdir_ignores_mode(mut self, ignores: bool) -> Self {
        self.mkdir_ignores_mode = ignores;
        self
    }

    /// The file system's number, part of handles and of the attributes' `fsid`. A server over the same directory with the same number
    /// honours the handles of the one before; with a higher number they are stale. Default 1.
    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Starts listening. When this returns, clients can connect.
    ///
    /// # Errors
    /// The directory cannot be opened, or a port is taken.
    pub async fn start(self) -> io::Result<Server> {
        let fs = DirFs::open(&self.root, self.generation, self.mkdir_ignores_mode)?;
        let service = Service {
            fs,
            log: CallLog::new(),
            faults: Faults::default(),
            export: self.export,
            reserved_ports: AtomicBool::new(self.admission.reserved_ports),
            auth_sys: AtomicBool::new(self.admission.auth_sys),
            root_squash: AtomicBool::new(self.admission.root_squash),
            is_exported: AtomicBool::new(true),
            is_open: watch::Sender::new(true),
            next_xid: AtomicU32::default(),
            kicked: watch::Sender::new(()),
        };
        Server::start(service, self.root, self.ip, self.ports).await
    }
}

//! Starting, stopping and steering the server.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nfs3_server::tcp::{NFSTcp, NFSTcpListener};
use nfs3_types::{mount, nfs3, portmap};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection;
use super::fault::Faults;
use super::log::CallLog;
use super::ports::{Ports, Wanted};
use super::service::{Door, Role, Service};

/// `nfs3_server`'s own generation. It never changes: ours does.
const INNER_GENERATION: u64 = 1;

/// How long accepting rests after it failed, as when there are too many open files.
const ACCEPT_REST: Duration = Duration::from_millis(10);

/// A running (or stopped) server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    service: Arc<Service>,
    root: PathBuf,
    ip: IpAddr,
    wanted: Wanted,
    ports: Ports,
    running: Option<Running>,
}

/// One run's tasks: all end when it is told to, and it can be seen that they have.
#[derive(Debug, Clone, Default)]
struct Running {
    end: CancellationToken,
    tasks: TaskTracker,
}

/// What accepts connections for one listener.
struct Acceptor {
    service: Arc<Service>,
    running: Running,
    ports: Ports,
    role: Role,
    inner: SocketAddr,
}

// === impl Server ===

impl Server {
    pub(super) async fn start(
        service: Service,
        root: PathBuf,
        ip: IpAddr,
        wanted: Wanted,
    ) -> io::Result<Self> {
        let mut server = Self {
            service: Arc::new(service),
            root,
            ip,
            wanted,
            ports: Ports::default(),
            running: None,
        };
        server.restart().await?;
        Ok(server)
    }

    /// Where NFS is served.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.ports.nfs)
    }

    /// Where each program is served.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The path to mount.
    pub fn export(&self) -> &str {
        &self.service.export
    }

    /// The directory behind the export.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was called so far.
    pub fn log(&self) -> &CallLog {
        &self.service.log
    }

    /// What goes wrong from here on.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// Closes the listeners and every connection. When this returns, connecting is refused. The directory stays as it is.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.end.cancel();
            running.tasks.close();
            running.tasks.wait().await;
        }
    }

    /// Stops the server if it runs, and starts it at the same ports. Handles stay good, rules and log stay.
    ///
    /// # Errors
    /// A port is taken.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop().await;
        let listeners = self.listen().await?;
        let mut inner = NFSTcpListener::bind_with_generation(
            "127.0.0.1:0",
            self.service.fs.clone(),
            INNER_GENERATION,
        )
        .await?;
        inner.with_export_name(&self.service.export);
        let inner_addr = SocketAddr::new(inner.get_listen_ip(), inner.get_listen_port());
        let running = Running::default();
        running.spawn(async move {
            if let Err(error) = inner.handle_forever().await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "inner listener failed"
                );
            }
        });
        for (listener, role) in listeners {
            let acceptor = Acceptor {
                service: Arc::clone(&self.service),
                running: running.clone(),
                ports: self.ports,
                role,
                inner: inner_addr,
            };
            running.spawn(acceptor.run(listener));
        }
        self.running = Some(running);
        Ok(())
    }

    /// Goes on accepting connections and calls, but neither executes nor answers them, as a machine that hangs.
    pub fn pause(&self) {
        self.service.is_open.send_replace(false);
    }

    /// Ends a [`pause`](Self::pause); what has arrived meanwhile is served.
    pub fn resume(&self) {
        self.service.is_open.send_replace(true);
    }

    /// Closes every connection; new ones are accepted.
    pub fn drop_connections(&self) {
        self.service.kicked.send_replace(());
    }

    /// From here on another file system is served under the same path: `fsid` changes, and each handle given out before is stale.
    pub fn replace_file_system(&self) {
        self.service.fs.tree().next_generation();
    }

    /// Turns the export read-only (`NFS3ERR_ROFS`), or back.
    pub fn set_read_only(&self, read_only: bool) {
        self.service.fs.set_read_only(read_only);
    }

    /// Withdraws the export (MNT answers `MNT3ERR_NOENT`, handles are stale), or exports it again with its handles good as before.
    pub fn set_exported(&self, exported: bool) {
        self.service.is_exported.store(exported, Ordering::Relaxed);
    }

    /// Switches [`Builder::require_reserved_ports`](super::Builder::require_reserved_ports).
    pub fn set_require_reserved_ports(&self, require: bool) {
        self.service
            .reserved_ports
            .store(require, Ordering::Relaxed);
    }

    /// Switches [`Builder::require_auth_sys`](super::Builder::require_auth_sys).
    pub fn set_require_auth_sys(&self, require: bool) {
        self.service.auth_sys.store(require, Ordering::Relaxed);
    }

    /// Switches [`Builder::root_squash`](super::Builder::root_squash).
    pub fn set_root_squash(&self, squash: bool) {
        self.service.root_squash.store(squash, Ordering::Relaxed);
    }

    /// Opens the listeners, and holds on to the ports that it got.
    async fn listen(&mut self) -> io::Result<Vec<(TcpListener, Role)>> {
        let bind = async |port| {
            let listener = TcpListener::bind((self.ip, port)).await?;
            let port = listener.local_addr()?.port();
            Ok::<_, io::Error>((listener, port))
        };
        match self.wanted {
            Wanted::One(port) => {
                let (listener, port) = bind(port).await?;
                self.ports = Ports {
                    portmap: port,
                    mount: port,
                    nfs: port,
                };
                self.wanted = Wanted::One(port);
                Ok(vec![(listener, Role::Everything)])
            }
            Wanted::Three(wanted) => {
                let (for_portmap, portmap) = bind(wanted.portmap).await?;
                let (for_mount, mount) = bind(wanted.mount).await?;
                let (for_nfs, nfs) = bind(wanted.nfs).await?;
                self.ports = Ports {
                    portmap,
                    mount,
                    nfs,
                };
                self.wanted = Wanted::Three(self.ports);
                Ok(vec![
                    (for_portmap, Role::Only(portmap::PROGRAM)),
                    (for_mount, Role::Only(mount::PROGRAM)),
                    (for_nfs, Role::Only(nfs3::PROGRAM)),
                ])
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.end.cancel();
        }
    }
}

// === impl Running ===

impl Running {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.tasks.spawn(async move {
            // Cut off wherever it stands: that is what stopping means here.
            let _ = end.run_until_cancelled(task).await;
        });
    }
}

// === impl Acceptor ===

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((client, peer)) => self.serve(client, peer),
                Err(_) => tokio::time::sleep(ACCEPT_REST).await,
            }
        }
    }

    fn serve(&self, client: TcpStream, peer: SocketAddr) {
        let service = Arc::clone(&self.service);
        let (role, ports, inner) = (self.role, self.ports, self.inner);
        let door = Door { peer, role, ports };
        self.running.spawn(async move {
            let served = async {
                let inner = TcpStream::connect(inner).await?;
                connection::serve(service, door, client, inner).await
            };
            if let Err(error) = served.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
            }
        });
    }
}

//! An export and the directory behind it.
//!
//! By default testkit's server in this process; with `NFS_EXPORT_TEST=server:/path:nfs_port:mount_port` and `NFS_EXPORT_TEST_DIR` (that
//! path, seen from here) the tests of the verbs and of removal run against a real server.

use std::{path::PathBuf, time::Duration};

use nfs_export::{Export, Options, State, SubDir, Target};
use tempfile::TempDir;
use testkit::nfs::{Builder, Server};

pub(crate) const CAP: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) export: Export,
    /// Another client of the same share, of which the first knows nothing.
    pub(crate) stranger: Export,
    /// A directory of this test's own, on the share and on this side.
    base: String,
    dir: PathBuf,
    _local: Option<(Server, TempDir)>,
}

/// A server of this test's own, that faults can be injected into.
pub(crate) struct Lab {
    pub(crate) server: Server,
    pub(crate) root: TempDir,
}

pub(crate) fn sub(path: &str) -> SubDir {
    SubDir::parse(path).unwrap()
}

/// A world for a test that any server should pass.
pub(crate) async fn mk_world(name: &str) -> World {
    let Ok(text) = std::env::var("NFS_EXPORT_TEST") else {
        let lab = mk_lab().await;
        let dir = lab.root.path().to_owned();
        std::fs::create_dir(dir.join(name)).unwrap();
        return World {
            export: lab.export(Options::default()),
            stranger: lab.export(Options::default()),
            base: name.into(),
            dir,
            _local: Some((lab.server, lab.root)),
        };
    };
    let mut parts = text.split(':');
    let mut part = || parts.next().unwrap().to_owned();
    let target = Target {
        server: part(),
        path: part(),
        nfs_port: part().parse().ok(),
        mount_port: part().parse().ok(),
    };
    let dir = PathBuf::from(std::env::var("NFS_EXPORT_TEST_DIR").unwrap());
    let base = format!("{name}-{:08x}", fastrand::u32(..));
    std::fs::create_dir_all(dir.join(&base)).unwrap();
    World {
        export: Export::new(target.clone(), Options::default()),
        stranger: Export::new(target, Options::default()),
        base,
        dir,
        _local: None,
    }
}

pub(crate) async fn mk_lab() -> Lab {
    mk_lab_with(|builder| builder).await
}

pub(crate) async fn mk_lab_with(change: impl FnOnce(Builder) -> Builder) -> Lab {
    let root = tempfile::tempdir().unwrap();
    let server = change(Server::builder(root.path()).export("/export"))
        .start()
        .await
        .unwrap();
    Lab { server, root }
}

impl World {
    /// `path` in this test's directory, on the share.
    pub(crate) fn sub(&self, path: &str) -> SubDir {
        sub(&format!("{}/{path}", self.base))
    }

    /// The same on this side.
    pub(crate) fn real(&self, path: &str) -> PathBuf {
        self.dir.join(&self.base).join(path)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.dir.join(&self.base));
    }
}

impl Lab {
    /// The export, its ports asked of the portmapper.
    pub(crate) fn export(&self, options: Options) -> Export {
        let portmap_port = self.server.ports().portmap;
        Export::new(
            self.target(),
            Options {
                portmap_port,
                ..options
            },
        )
    }

    pub(crate) fn target(&self) -> Target {
        let addr = self.server.addr();
        Target {
            server: addr.ip().to_string(),
            path: self.server.export().into(),
            nfs_port: None,
            mount_port: None,
        }
    }

    pub(crate) fn real(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }
}

/// Whether this process may bind ports below 1024; where it may not, what a test sees of them is left out.
pub(crate) fn may_bind_reserved_ports() -> bool {
    let bound = (512..1024).map(|port| std::net::TcpListener::bind(("127.0.0.1", port)));
    let mut seen = bound.filter(
        |bound| !matches!(bound, Err(error) if error.kind() == std::io::ErrorKind::AddrInUse),
    );
    let may = seen.next().is_some_and(|bound| bound.is_ok());
    if !may {
        println!("in part left out: no port below 1024 may be bound here");
    }
    may
}

/// Waits until the export is up.
pub(crate) async fn up(export: &Export) {
    let mut state = export.state();
    let up = state.wait_for(|state| matches!(state, State::Up));
    tokio::time::timeout(CAP, up)
        .await
        .expect("the share to come up")
        .unwrap();
}

/// Waits until the export is down.
pub(crate) async fn down(export: &Export) {
    let mut state = export.state();
    let down = state.wait_for(|state| matches!(state, State::Down(_)));
    tokio::time::timeout(CAP, down)
        .await
        .expect("the share to go down")
        .unwrap();
}

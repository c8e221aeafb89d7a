//! An export and the directory behind it.
//!
//! By default testkit's server in this process; with `NFS_EXPORT_TEST=server:/path:nfs_port:mount_port` and `NFS_EXPORT_TEST_DIR` (that
//! path, seen from here) a real one.

use std::path::PathBuf;

use nfs_export::{Export, Options, SubDir, Target};

pub(crate) struct World {
    pub(crate) export: Export,
    /// A directory of this test's own, on the share and on this side.
    base: String,
    dir: PathBuf,
}

pub(crate) fn sub(path: &str) -> SubDir {
    SubDir::parse(path).unwrap()
}

pub(crate) async fn mk_world(name: &str) -> World {
    let text = std::env::var("NFS_EXPORT_TEST").unwrap();
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
        export: Export::new(target, Options::default()),
        base,
        dir,
    }
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

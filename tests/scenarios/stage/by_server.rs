//! Changes of names on the share by way of its server. A real one whose directories change behind its back has them in its cache still.

use nfs_export::{Created, Export, Options, Renamed, SubDir, Target};

use super::Stage;

// === impl Stage ===

impl Stage {
    fn export(&self) -> Export {
        let share = self.share();
        let target = Target {
            server: share.server.clone(),
            path: share.path.clone(),
            nfs_port: share.nfs_port,
            mount_port: share.mount_port,
        };
        Export::new(target, Options::default())
    }

    /// Makes a directory with all parents.
    pub async fn make_dir(&self, dir: &str) {
        let dir = SubDir::parse(dir).expect("a path");
        let made = self.export().create_dir_all(&dir, 0o777).await;
        assert_eq!(made.expect("a directory"), Created::New);
    }

    /// Moves a directory; where it goes is made first.
    pub async fn rename(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|path| SubDir::parse(path).expect("a path"));
        let export = self.export();
        if let Some(parent) = to.parent() {
            let made = export.create_dir_all(&parent, 0o700).await;
            made.expect("its parent");
        }
        let renamed = export.rename(&from, &to).await;
        assert_eq!(renamed.expect("an answer"), Renamed::Done);
    }
}

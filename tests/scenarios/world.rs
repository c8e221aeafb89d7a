//! `World`: a cluster and a file server for the provisioner to work in, and the means to break them.

mod double;
mod real;

use std::path::PathBuf;

use futures::future::BoxFuture;

pub use double::Double;
pub use real::Real;

/// The two worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everything in this process.
    Double,
    /// Real parts.
    Real,
}

/// The rules under which the provisioner runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// `e2e/testdata/go-rbac.yaml`: what somebody has who changes only the image.
    Go,
    /// `manifests/base/rbac.yaml`.
    Own,
}

/// A service account to run as.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// Its namespace, which is where the leader lock goes.
    pub namespace: String,
}

/// A share, and where what it holds can be looked at.
#[derive(Debug, Clone)]
pub struct Share {
    /// As for `NFS_SERVER`.
    pub server: String,
    /// As for `NFS_PATH`.
    pub path: String,
    /// The same directory on this machine.
    pub dir: PathBuf,
    /// As for `NFS_PORT`, where no portmapper is there to be asked.
    pub nfs_port: Option<u16>,
    /// As for `MOUNT_PORT`.
    pub mount_port: Option<u16>,
}

/// What can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The file server.
    Nfs,
    /// The API server.
    Api,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// As by SIGKILL: its port refuses.
    Off,
    /// Up again; returns when it answers.
    On,
    /// As by SIGSTOP: its port takes connections and nothing answers.
    Frozen,
    /// As by SIGCONT.
    Thawed,
}

/// One request that the API server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `system:serviceaccount:NAMESPACE:NAME`
    pub user: String,
    /// Kubernetes's verb.
    pub verb: String,
    /// Plural; with `/SUBRESOURCE` if there is one.
    pub resource: String,
    /// Empty for kinds of the cluster.
    pub namespace: String,
    /// Empty where neither the request nor its body names one.
    pub name: String,
    /// HTTP status.
    pub code: u16,
    /// `PROGRAM/VERSION (IDENTITY)`
    pub agent: String,
    /// When it came in. A real API server that is frozen takes nothing in.
    pub at: jiff::Timestamp,
}

/// A place for scenarios to happen in.
pub trait World: Send + Sync {
    /// Who may do everything.
    fn admin_kubeconfig(&self) -> PathBuf;
    /// Who the provisioner runs as.
    fn account(&self, rights: Rights) -> Account;
    /// The share.
    fn share(&self) -> Share;
    /// Another share of the same server.
    fn second_share(&self) -> Share;
    /// Breaks a part or mends it.
    fn turn(&self, part: Part, turn: Turn) -> BoxFuture<'_, ()>;
    /// A point in the audit log.
    fn audit_mark(&self) -> u64;
    /// The requests of service accounts named `nfs-client-provisioner` after a mark.
    fn requests_since(&self, mark: u64) -> Vec<Request>;
    /// A point in the share's own call log.
    fn calls_mark(&self) -> u64;
    /// The calls after a mark that would change something on the share or its neighbours, each with its procedure's name: what the file server itself logged.
    fn changes_since(&self, mark: u64) -> Vec<String>;
    /// The real parts' own means, where they are it.
    fn real(&self) -> Option<&Real> {
        None
    }
    /// The double's own means, where this is it.
    fn double(&self) -> Option<&Double> {
        None
    }
}

/// The procedures that change something (RFC 1813, section 3.3).
const CHANGES: [&str; 10] = [
    "SETATTR", "WRITE", "CREATE", "MKDIR", "SYMLINK", "MKNOD", "REMOVE", "RMDIR", "RENAME", "LINK",
];

/// The service account's name under both rules.
const ACCOUNT: &str = "nfs-client-provisioner";

// === impl Share ===

impl Share {
    /// A directory of this share as a share of its own. It is made, for anybody to write to.
    pub fn folder(&self, name: &str) -> Self {
        let share = Self {
            path: format!("{}/{name}", self.path),
            dir: self.dir.join(name),
            ..self.clone()
        };
        std::fs::create_dir_all(&share.dir).expect("a directory on the share");
        share
    }
}

// === impl Request ===

impl Request {
    /// Whether the provisioner made it.
    fn is_provisioners(&self) -> bool {
        self.user.starts_with("system:serviceaccount:")
            && self.user.ends_with(&format!(":{ACCOUNT}"))
    }
}

//! A world in this process: testkit's API server with the volume binder's part, and its NFS server over a directory.

use std::net::TcpListener;
use std::path::PathBuf;

use futures::FutureExt;
use futures::future::BoxFuture;
use tempfile::TempDir;
use testkit::{api, nfs};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use super::{ACCOUNT, Account, CHANGES, Part, Request, Rights, Share, Turn, World};

/// Rules as somebody applies them.
const GO_RULES: &str = include_str!("../../../e2e/testdata/go-rbac.yaml");
const OWN_RULES: &str = include_str!("../../../manifests/base/rbac.yaml");
/// Where our own rules' account lives: both sets use the same names.
const OWN_NAMESPACE: &str = "own-rbac";

/// A world in this process.
#[derive(Debug)]
pub struct Double {
    api: api::Server,
    nfs: std::sync::Arc<Mutex<nfs::Server>>,
    faults: nfs::Faults,
    calls: nfs::CallLog,
    ports: nfs::Ports,
    dir: TempDir,
    /// The NFS server's own threads; Some until the drop.
    runtime: Option<Runtime>,
}

// === impl Double ===

impl Double {
    /// Starts both servers.
    ///
    /// # Panics
    /// When this machine has no port, directory or thread left.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("export");
        for share in ["share", "second"] {
            std::fs::create_dir_all(root.join(share)).expect("a directory");
        }
        let api = api::Server::start(api::Options::default()).expect("an API server");
        // The cluster-wide rules of the two sets have the same names: they are told apart for the one server.
        let own = OWN_RULES
            .replace("namespace: default", &format!("namespace: {OWN_NAMESPACE}"))
            .replace("nfs-client-provisioner-runner", "own-provisioner-runner")
            .replace("run-nfs-client-provisioner", "run-own-provisioner");
        let namespace =
            format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {OWN_NAMESPACE}}}\n");
        for text in [GO_RULES, &namespace, &own] {
            api.apply_yaml(text).expect("rules");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("nfs-server")
            .enable_all()
            .build()
            .expect("threads");
        let server = nfs::Server::builder(root)
            .export("/export")
            .require_reserved_ports(may_bind_reserved_ports())
            .require_auth_sys(true);
        let server = runtime.block_on(server.start()).expect("an NFS server");
        let double = Self {
            api,
            faults: server.faults().clone(),
            calls: server.log().clone(),
            ports: server.ports(),
            nfs: std::sync::Arc::new(Mutex::new(server)),
            dir,
            runtime: Some(runtime),
        };
        double.write("admin", api::User::admin());
        for (rights, namespace) in [(Rights::Go, "default"), (Rights::Own, OWN_NAMESPACE)] {
            let user = api::User::service_account(namespace, ACCOUNT);
            double.write(file_name(rights), user);
        }
        double
    }

    /// The API server.
    pub fn api(&self) -> &api::Server {
        &self.api
    }

    /// What goes wrong on the NFS server.
    pub fn nfs_faults(&self) -> &nfs::Faults {
        &self.faults
    }

    /// What was called on the NFS server.
    pub fn nfs_calls(&self) -> &nfs::CallLog {
        &self.calls
    }

    fn write(&self, name: &str, user: api::User) {
        let file = self.dir.path().join(name);
        std::fs::write(file, self.api.kubeconfig(user)).expect("a kubeconfig");
    }

    fn share_at(&self, name: &str) -> Share {
        Share {
            server: "127.0.0.1".to_owned(),
            path: format!("/export/{name}"),
            dir: self.dir.path().join("export").join(name),
            nfs_port: Some(self.ports.nfs),
            mount_port: Some(self.ports.mount),
        }
    }

    async fn turn_nfs(&self, turn: Turn) {
        let server = self.nfs.clone();
        let runtime = self.runtime.as_ref().expect("not dropped");
        let done = runtime.spawn(async move {
            let mut server = server.lock().await;
            match turn {
                Turn::Off => server.stop().await,
                Turn::On => server.restart().await.expect("the port of before"),
                Turn::Frozen => server.pause(),
                Turn::Thawed => server.resume(),
            }
        });
        done.await.expect("the NFS server");
    }

    async fn turn_api(&self, turn: Turn) {
        match turn {
            Turn::Off => self.api.stop().await,
            Turn::On => self.api.restart().await.expect("the port of before"),
            Turn::Frozen => self.api.faults().freeze(),
            Turn::Thawed => self.api.faults().thaw(),
        }
    }
}

impl World for Double {
    fn admin_kubeconfig(&self) -> PathBuf {
        self.dir.path().join("admin")
    }

    fn account(&self, rights: Rights) -> Account {
        let namespace = match rights {
            Rights::Go => "default",
            Rights::Own => OWN_NAMESPACE,
        };
        Account {
            kubeconfig: self.dir.path().join(file_name(rights)),
            namespace: namespace.to_owned(),
        }
    }

    fn share(&self) -> Share {
        self.share_at("share")
    }

    fn second_share(&self) -> Share {
        self.share_at("second")
    }

    fn turn(&self, part: Part, turn: Turn) -> BoxFuture<'_, ()> {
        match part {
            Part::Nfs => self.turn_nfs(turn).boxed(),
            Part::Api => self.turn_api(turn).boxed(),
        }
    }

    fn audit_mark(&self) -> u64 {
        self.api.audit().mark() as u64
    }

    fn requests_since(&self, mark: u64) -> Vec<Request> {
        let records = self
            .api
            .audit()
            .since(usize::try_from(mark).expect("a mark"));
        records
            .into_iter()
            .map(|record| Request {
                user: record.user,
                verb: record.verb.to_owned(),
                resource: record.resource,
                namespace: record.namespace,
                name: record.name,
                code: record.code,
                agent: record.user_agent,
                at: record.at,
            })
            .filter(Request::is_provisioners)
            .collect()
    }

    fn calls_mark(&self) -> u64 {
        self.calls.calls().len() as u64
    }

    fn changes_since(&self, mark: u64) -> Vec<String> {
        let calls = self.calls.calls();
        // Positions hold for as long as nothing has been forgotten.
        assert!(calls.len() < nfs::KEPT, "the log of calls is full");
        let later = calls
            .into_iter()
            .skip(usize::try_from(mark).expect("a mark"));
        let changes = later.filter_map(|call| {
            let procedure = call.procedure.to_string();
            let procedure = procedure.strip_prefix("NFSPROC3_")?;
            let names = call.names.iter().map(|name| String::from_utf8_lossy(name));
            let is_change = CHANGES.contains(&procedure);
            is_change.then(|| format!("{procedure} {}", names.collect::<Vec<_>>().join(" ")))
        });
        changes.collect()
    }

    fn double(&self) -> Option<&Double> {
        Some(self)
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting here would panic inside a scenario's runtime.
            runtime.shutdown_background();
        }
    }
}

fn file_name(rights: Rights) -> &'static str {
    match rights {
        Rights::Go => "go-rbac",
        Rights::Own => "own-rbac",
    }
}

/// Whether processes of this user may call from a port below 1024, as exports demand by default. Without, the server does not ask for it.
fn may_bind_reserved_ports() -> bool {
    (900..1024).any(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

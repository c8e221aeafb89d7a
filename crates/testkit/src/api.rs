//! An API server in this process: good enough for kube's client and watcher and for kubectl, and held to what
//! kube-apiserver v1.35 does by tests that run against both.
//!
//! ```text
//!  HTTP ──> routes ──> faults ──> rbac ──> verbs ──> store ──> watch
//!              └── audit                     binder ──┘
//! ```
//! It keeps everything in memory, speaks plain HTTP/1.1 on loopback, and has its own threads, so a test may block on
//! kubectl or pause its own clock. It also plays the volume binder's part ([`Options::controllers`]).
//!
//! Refused or left out on purpose: protobuf (clients fall back to JSON), TLS, field ownership (server-side apply merges),
//! OpenAPI schemas, garbage collection by owner references, graceful deletion of pods.

mod admission;
mod audit;
mod auth;
mod binder;
mod discovery;
mod faults;
mod list;
mod object;
mod patch;
mod quantity;
mod rbac;
mod render;
mod request;
mod resources;
mod review;
mod routes;
mod seed;
mod select;
mod serve;
mod shared;
mod status;
mod store;
mod table;
mod validate;
mod verbs;
mod watch;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::{
    audit::{Audit, Record},
    auth::User,
    faults::{Fate, Fault, Faults, Hold, Requests},
    seed::SeedError,
    status::Failure,
};
use self::{resources::Resource, shared::Shared};

/// How a server starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Play the controller manager's part: bind, release, protect, make StatefulSets' claims. See [`Server::set_controllers`].
    pub controllers: bool,
    /// Who a request without a token is. [`User::admin`] lets kubectl do everything.
    pub anonymous: User,
    /// How many changes of each kind can be watched from the past; what is older is compacted.
    pub history: usize,
    /// How often a watch that allows bookmarks gets one.
    pub bookmark_every: Duration,
}

/// A running API server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: Mutex<Option<Serving>>,
    /// Its own, so that a caller's blocked or paused runtime does not hold the server up. Some until the drop.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Serving {
    stop: CancellationToken,
    done: JoinHandle<()>,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            controllers: true,
            anonymous: User::admin(),
            history: 50_000,
            bookmark_every: Duration::from_secs(5),
        }
    }
}

// === impl Server ===

impl Server {
    /// Starts a server with the namespaces `default`, `kube-system`, `kube-public` and `kube-node-lease`.
    ///
    /// # Errors
    /// When the port is taken or no thread can be started.
    pub fn start(options: Options) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("api-server")
            .enable_all()
            .build()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        let shared = Arc::new(Shared::new(options));
        seed::namespaces(&shared.store);
        runtime.spawn(binder::run(shared.clone()));
        let server = Self {
            address: listener.local_addr()?,
            shared,
            serving: Mutex::new(None),
            runtime: Some(runtime),
        };
        server.serve(listener)?;
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`, for a client of the anonymous user.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The text of a kubeconfig for this user. It works for kubectl too, which sends no tokens over plain HTTP: the token is
    /// also in the server's path.
    pub fn kubeconfig(&self, user: User) -> String {
        let token = self.token(user);
        let url = self.url();
        format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: testkit, cluster: {{server: \"{url}/as/{token}\"}}}}]\n\
             users: [{{name: testkit, user: {{token: \"{token}\"}}}}]\n\
             contexts: [{{name: testkit, context: {{cluster: testkit, user: testkit}}}}]\ncurrent-context: testkit\n"
        )
    }

    /// A new bearer token of this user.
    pub fn token(&self, user: User) -> String {
        self.shared.tokens.issue(user)
    }

    /// What was asked and answered so far.
    pub fn audit(&self) -> &Audit {
        &self.shared.audit
    }

    /// What can be made to go wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Forgets the past, as etcd's compaction does: watches and pages from an older resourceVersion are answered 410. Watches
    /// that are open go on.
    pub fn compact(&self) {
        self.shared.store.compact();
    }

    /// Switches the controller manager's part on or off.
    pub fn set_controllers(&self, on: bool) {
        self.shared.set_controllers(on);
    }

    /// Stops as a killed process does: the port refuses, every connection is cut. What is stored stays.
    pub async fn stop(&self) {
        self.shared.set_running(false);
        let serving = self
            .serving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Serving { stop, done }) = serving {
            stop.cancel();
            // It panics only with a connection's task, which the test has seen by then.
            let _ = done.await;
        }
    }

    /// Serves again on the same port, with what was stored.
    ///
    /// # Errors
    /// When somebody else took the port meanwhile.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        self.serve(TcpListener::bind(self.address)?)
    }

    /// Creates or replaces the objects of a YAML text (`---` between them), as an administrator and past all faults; objects
    /// without a namespace go to `default`.
    ///
    /// # Errors
    /// For text that is no YAML, kinds that are not served, and objects that are refused.
    pub fn apply_yaml(&self, text: &str) -> Result<(), SeedError> {
        seed::apply(&self.shared.store, text, self.shared.controllers_on())
    }

    /// An object by plural, namespace (empty for kinds of the cluster) and name, past RBAC, faults and audit.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = by_plural(plural)?;
        let key = store::Key::new(namespace, name);
        let object = self.shared.store.get(resource, &key)?;
        Some((*object).clone())
    }

    /// All objects of a kind, past RBAC, faults and audit; nothing for a kind that is not served.
    pub fn list(&self, plural: &str) -> Vec<Value> {
        let objects = by_plural(plural).and_then(|r| self.shared.store.list(r, None, None).ok());
        let objects = objects.map(|(_, objects)| objects).unwrap_or_default();
        objects.iter().map(|object| (**object).clone()).collect()
    }

    /// Changes an object in place, past RBAC, faults, audit and validation. False if it is not there.
    pub fn edit(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let Some(resource) = by_plural(plural) else {
            return false;
        };
        self.shared.store.transact(|tx| {
            let Some(held) = tx.get(resource, &store::Key::new(namespace, name)) else {
                return false;
            };
            let mut new = (*held).clone();
            change(&mut new);
            verbs::store_or_finish(tx, resource, new);
            true
        })
    }

    /// Returns once `holds` is true of the server, which is asked again after every change.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changed = self.shared.store.subscribe();
        loop {
            changed.mark_unchanged();
            // The sender is in self.
            if holds(self) || changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let Some(runtime) = &self.runtime else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        listener.set_nonblocking(true)?;
        let entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        drop(entered);
        let stop = CancellationToken::new();
        let done = runtime.spawn(serve::run(listener, self.shared.clone(), stop.clone()));
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        *serving = Some(Serving { stop, done });
        self.shared.set_running(true);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting here would panic inside a caller's runtime.
            runtime.shutdown_background();
        }
    }
}

fn by_plural(plural: &str) -> Option<&'static Resource> {
    resources::RESOURCES.iter().find(|r| r.plural == plural)
}

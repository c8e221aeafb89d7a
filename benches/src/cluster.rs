//! The cluster's side: claims, volumes, and what the API server says of them.
//!
//! Requests are made by the same HTTP client that the provisioner uses, but replies are read into a few fields only: this program runs on the
//! machine that it measures.

mod audit;
pub(crate) mod backlog;
pub(crate) mod bursts;
mod claims;
pub(crate) mod memory;
mod raw;
pub(crate) mod restart;
mod watch;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Request};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::provisioner;
use crate::world::World;

/// Requests in flight, here and in the provisioner (its default for claims): each has a connection of its own under HTTP/1.1.
const CONNECTIONS: usize = 64;
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
const VOLUMES: &str = "/api/v1/persistentvolumes";

/// The API server, as the administrator.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// Makes the names of this run its own.
    run: String,
}

/// What is read of any object.
#[derive(Debug, Clone, Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    uid: String,
    resource_version: String,
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

#[derive(Debug, Deserialize)]
struct List {
    metadata: ListMetadata,
    items: Vec<Object>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
}

// === impl Cluster ===

impl Cluster {
    /// Connects, and makes the class of this run.
    pub(crate) async fn connect(world: &World) -> anyhow::Result<Self> {
        let file = Kubeconfig::read_from(world.get("ADMIN_KUBECONFIG")?)?;
        let config =
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let cluster = Self {
            client: Client::try_from(config)?,
            run: format!("bench-{}", std::process::id()),
        };
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": cluster.run},
            "provisioner": provisioner::NAME,
            "parameters": {"archiveOnDelete": "false"},
        });
        cluster.post::<Object>(CLASSES, &class).await?;
        Ok(cluster)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(serde_json::to_vec(body)?)?;
        self.client
            .request(request)
            .await
            .with_context(|| format!("POST {path}"))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let request = Request::get(path).body(Vec::new())?;
        self.client
            .request(request)
            .await
            .with_context(|| format!("GET {path}"))
    }

    async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let request = Request::builder()
            .method(Method::DELETE)
            .uri(path)
            .body(Vec::new())?;
        let deleted = self.client.request_text(request).await;
        deleted.map(drop).with_context(|| format!("DELETE {path}"))
    }

    /// `POST`s each body, [`CONNECTIONS`] at a time.
    async fn post_all(
        &self,
        path: &str,
        bodies: impl Iterator<Item = Value>,
    ) -> anyhow::Result<()> {
        stream::iter(bodies)
            .map(|body| async move { self.post::<Object>(path, &body).await.map(drop) })
            .buffer_unordered(CONNECTIONS)
            .try_collect()
            .await
    }
}

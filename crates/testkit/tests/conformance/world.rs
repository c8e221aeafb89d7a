//! Where a test runs: the double, or a real API server, with a namespace of its own.

use std::{fmt::Write, future::Future, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use http::Request;
use kube::{
    Client, Config,
    api::WatchEvent,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use testkit::api::{Options, Server};

/// Nothing here takes longer on a healthy machine.
const CAP: Duration = Duration::from_secs(30);

pub struct World {
    pub client: Client,
    pub namespace: String,
    config: Config,
    /// Ends with the last world that uses it.
    double: Option<Arc<Server>>,
}

/// A refusal's words.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub reason: String,
    pub message: String,
}

/// Runs a test against the double, and then against the real server if there is one.
pub async fn on_both<F: Future<Output = ()>>(test: impl Fn(Arc<World>) -> F) {
    let mut worlds = vec![World::double()];
    if let Ok(path) = std::env::var("KUBECONFIG_REAL") {
        worlds.push(World::real(&path).await);
    }
    for world in worlds {
        let world = Arc::new(world);
        world.begin().await;
        tokio::time::timeout(CAP, test(world.clone()))
            .await
            .expect("in time");
        world.end().await;
    }
}

impl World {
    fn double() -> Self {
        let server = Server::start(Options::default()).expect("start");
        let mut config = Config::new(server.url().parse().expect("url"));
        config.default_retry = false;
        Self::new(config, mk_namespace(), Some(Arc::new(server)))
    }

    async fn real(path: &str) -> Self {
        let kubeconfig = Kubeconfig::read_from(path).expect("kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.expect("config");
        config.default_retry = false;
        Self::new(config, mk_namespace(), None)
    }

    fn new(config: Config, namespace: String, double: Option<Arc<Server>>) -> Self {
        Self {
            client: Client::try_from(config.clone()).expect("client"),
            namespace,
            config,
            double,
        }
    }

    /// The same world as one of its service accounts sees it, which is made for that.
    pub async fn as_account(&self, name: &str) -> Self {
        let accounts = self.local("serviceaccounts");
        let account = json!({"metadata": {"name": name}});
        self.post(&accounts, account).await.expect("account");
        let path = format!("{accounts}/{name}/token");
        let request =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = self.post(&path, request).await.expect("token");
        let token = answer["status"]["token"]
            .as_str()
            .expect("token")
            .to_owned();
        let mut config = self.config.clone();
        config.auth_info = AuthInfo {
            token: Some(token.into()),
            ..AuthInfo::default()
        };
        Self::new(config, self.namespace.clone(), self.double.clone())
    }

    async fn begin(&self) {
        let namespace = json!({"metadata": {"name": self.namespace}});
        self.post("/api/v1/namespaces", namespace)
            .await
            .expect("namespace");
    }

    async fn end(&self) {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        self.delete(&path, Value::Null)
            .await
            .expect("namespace goes");
    }

    /// A name for a cluster object of this test.
    pub fn name(&self, word: &str) -> String {
        format!("{word}-{}", self.namespace)
    }

    /// The path of core objects in this test's namespace.
    pub fn local(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    pub async fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.call("GET", path, "", &[]).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Value, Refusal> {
        self.call(
            "POST",
            path,
            "application/json",
            body.to_string().as_bytes(),
        )
        .await
    }

    pub async fn put(&self, path: &str, body: Value) -> Result<Value, Refusal> {
        self.call("PUT", path, "application/json", body.to_string().as_bytes())
            .await
    }

    pub async fn merge(&self, path: &str, body: Value) -> Result<Value, Refusal> {
        self.patch(path, "merge", body).await
    }

    /// PATCH with a body of this kind: `merge`, `strategic-merge`, `json`.
    pub async fn patch(&self, path: &str, kind: &str, body: Value) -> Result<Value, Refusal> {
        let content_type = format!("application/{kind}-patch+json");
        self.call("PATCH", path, &content_type, body.to_string().as_bytes())
            .await
    }

    pub async fn delete(&self, path: &str, options: Value) -> Result<Value, Refusal> {
        let mut body = String::new();
        if !options.is_null() {
            write!(body, "{options}").expect("written");
        }
        self.call("DELETE", path, "application/json", body.as_bytes())
            .await
    }

    pub async fn call(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Value, Refusal> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(body.to_vec().into())
            .expect("request");
        let response = self.client.send(request).await.expect("an answer");
        let status = response.status();
        let mut body = Vec::new();
        let mut chunks = http_body_stream(response.into_body());
        while let Some(chunk) = chunks.next().await {
            body.extend(chunk);
        }
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        Err(Refusal {
            code: status.as_u16(),
            reason: value["reason"].as_str().unwrap_or("").to_owned(),
            message: value["message"].as_str().unwrap_or("").to_owned(),
        })
    }

    /// An open watch, its errors unwrapped.
    pub async fn watch(&self, path: &str) -> BoxStream<'static, WatchEvent<Value>> {
        let request = Request::get(path).body(Vec::new()).expect("request");
        let events = self
            .client
            .request_events::<Value>(request)
            .await
            .expect("watch");
        let event = |event: kube::Result<WatchEvent<Value>>| event.expect("event");
        events.map(event).boxed()
    }

    /// The object at a path, once `holds` is true of it.
    pub async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let (collection, name) = path.rsplit_once('/').expect("an object's path");
        let field = format!("fieldSelector=metadata.name%3D{name}");
        let mut events = self.watch(&format!("{collection}?watch=1&{field}")).await;
        loop {
            match events.next().await.expect("the watch outlives the wait") {
                WatchEvent::Added(object) | WatchEvent::Modified(object) if holds(&object) => {
                    return object;
                }
                _ => {}
            }
        }
    }

    /// Returns once the object at a path is gone.
    pub async fn until_gone(&self, path: &str) {
        let (collection, name) = path.rsplit_once('/').expect("an object's path");
        let list = self.get(collection).await.expect("list");
        let version = list["metadata"]["resourceVersion"]
            .as_str()
            .expect("version");
        let mut events = self
            .watch(&format!(
                "{collection}?watch=1&fieldSelector=metadata.name%3D{name}&resourceVersion={version}"
            ))
            .await;
        let there = |item: &Value| item["metadata"]["name"] == name;
        if !list["items"].as_array().expect("items").iter().any(there) {
            return;
        }
        while !matches!(
            events.next().await.expect("an event"),
            WatchEvent::Deleted(_)
        ) {}
    }
}

impl Refusal {
    pub fn new(code: u16, reason: &str, message: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }
}

pub fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"]
        .as_str()
        .expect("resourceVersion")
}

fn mk_namespace() -> String {
    let letters = std::iter::repeat_with(fastrand::lowercase).take(8);
    format!("t-{}", letters.collect::<String>())
}

fn http_body_stream(body: kube::client::Body) -> BoxStream<'static, Vec<u8>> {
    axum::body::Body::new(body)
        .into_data_stream()
        .map(|chunk| chunk.expect("body").to_vec())
        .boxed()
}

//! The parts, started and stopped, and what is done with them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::DeleteParams;
use kube::{Api, Client, Config as KubeConfig};
use nfs_subdir_external_provisioner::args::{Args, Stop};
use nfs_subdir_external_provisioner::config::Config;
use nfs_subdir_external_provisioner::{RunError, run};
use serde_json::Value;
use testkit::{api, nfs};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The share as the tutorial calls it.
const EXPORT: &str = "/data/nfs";
/// How long a step may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that is running.
pub struct Cluster {
    api: api::Server,
    client: Client,
    nfs: nfs::Server,
    home: tempfile::TempDir,
    folder: PathBuf,
    stop: CancellationToken,
    provisioner: Option<JoinHandle<Result<(), RunError>>>,
}

// === impl Cluster ===

impl Cluster {
    /// Starts all three.
    pub async fn start() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("nfs-demo-").tempdir()?;
        let folder = home.path().join("nfs");
        std::fs::create_dir(&folder)?;
        let api = api::Server::start(api::Options::default()).context("the API server")?;
        let nfs = nfs::Server::builder(&folder).export(EXPORT).start().await;
        let nfs = nfs.context("the NFS server")?;
        let client = Client::try_from(KubeConfig::new(api.url().parse()?))?;
        let mut cluster = Self {
            api,
            client,
            nfs,
            home,
            folder,
            stop: CancellationToken::new(),
            provisioner: None,
        };
        let config = cluster.config()?;
        cluster.provisioner = Some(tokio::spawn(run(config, cluster.stop.clone())));
        Ok(cluster)
    }

    /// Stops the provisioner as SIGTERM would.
    pub async fn stop(&mut self) -> Result<()> {
        self.stop.cancel();
        match self.provisioner.take() {
            Some(provisioner) => Ok(provisioner.await??),
            None => Ok(()),
        }
    }

    /// `SERVER:PATH`
    pub fn share(&self) -> String {
        format!("{}:{EXPORT}", self.nfs.addr().ip())
    }

    /// The directory behind the share.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An object of the namespace `default`.
    pub fn get(&self, plural: &str, name: &str) -> Option<Value> {
        self.api.get(plural, "default", name)
    }

    /// The volume of a claim.
    pub fn volume(&self, claim: &str) -> Option<Value> {
        let claim = self.get("persistentvolumeclaims", claim)?;
        self.api.get(
            "persistentvolumes",
            "",
            claim["spec"]["volumeName"].as_str()?,
        )
    }

    /// All events, oldest first.
    pub fn events(&self) -> Vec<Value> {
        self.api.list("events")
    }

    /// The directory of a claim, relative to the share.
    pub fn directory(&self, claim: &str) -> Result<String> {
        let volume = self
            .volume(claim)
            .ok_or_else(|| anyhow!("{claim} has no volume"))?;
        let path = volume["spec"]["nfs"]["path"].as_str().unwrap_or_default();
        let below = path.strip_prefix(&format!("{EXPORT}/"));
        Ok(below
            .with_context(|| format!("{path} is not below {EXPORT}"))?
            .to_owned())
    }

    /// Creates the class and claims of it; returns how long it took until all were bound.
    pub async fn create(&self, archive: &str, claims: &[&str]) -> Result<Duration> {
        self.api.apply_yaml(&class(archive))?;
        let begin = Instant::now();
        for claim in claims {
            self.api.apply_yaml(&claim_of(claim))?;
        }
        self.until("all claims are bound", |api| {
            claims
                .iter()
                .all(|name| is_bound(api, name) && is_told(api, name))
        })
        .await?;
        Ok(begin.elapsed())
    }

    /// Deletes a claim and waits until its volume is gone.
    pub async fn delete(&self, claim: &str) -> Result<()> {
        let volume = self.get("persistentvolumeclaims", claim);
        let volume =
            volume.and_then(|claim| Some(claim["spec"]["volumeName"].as_str()?.to_owned()));
        let volume = volume.with_context(|| format!("{claim} is not bound"))?;
        let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(self.client.clone());
        claims.delete(claim, &DeleteParams::default()).await?;
        self.until("the volume is gone", |api| {
            api.get("persistentvolumes", "", &volume).is_none()
        })
        .await
    }

    /// Takes claims and the class away for the next act.
    pub async fn clear(&self, claims: &[&str]) -> Result<()> {
        for claim in claims {
            self.delete(claim).await?;
        }
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        classes
            .delete("nfs-client", &DeleteParams::default())
            .await?;
        Ok(())
    }

    /// A kubeconfig for whoever wants to look; gone with the demo.
    pub fn write_kubeconfig(&self) -> Result<PathBuf> {
        let file = self.home.path().join("kubeconfig");
        std::fs::write(&file, self.api.kubeconfig(api::User::admin()))?;
        Ok(file)
    }

    async fn until(&self, what: &str, holds: impl FnMut(&api::Server) -> bool) -> Result<()> {
        let seen = tokio::time::timeout(PATIENCE, self.api.until(holds)).await;
        let dead = self
            .provisioner
            .as_ref()
            .is_some_and(JoinHandle::is_finished);
        ensure!(!dead, "the provisioner has ended");
        seen.with_context(|| format!("{PATIENCE:?} are over, and not yet: {what}"))
    }

    /// The settings of a Deployment, given as flags.
    fn config(&self) -> Result<Config> {
        let (address, kubeconfig) = (self.nfs.addr(), self.write_kubeconfig()?);
        let port = address.port();
        let line = [
            "demo".to_owned(),
            "--provisioner-name=k8s-sigs.io/nfs-subdir-external-provisioner".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--nfs-server={}", address.ip()),
            format!("--nfs-path={EXPORT}"),
            format!("--nfs-port={port}"),
            format!("--mount-port={port}"),
            "--metrics-addr=".to_owned(),
        ];
        let args = Args::read(line.map(Into::into)).map_err(|stop| match stop {
            Stop::Shown(text) | Stop::Usage(text) => anyhow!(text),
        })?;
        Ok(Config::resolve(args)?)
    }
}

fn is_bound(api: &api::Server, claim: &str) -> bool {
    let claim = api.get("persistentvolumeclaims", "default", claim);
    claim.is_some_and(|claim| claim["status"]["phase"] == "Bound")
}

/// Whether the last event about a claim is there too: it is written behind the work.
fn is_told(api: &api::Server, claim: &str) -> bool {
    let uid = api
        .get("persistentvolumeclaims", "default", claim)
        .map(|claim| claim["metadata"]["uid"].clone());
    let about = |event: &Value| {
        event["reason"] == "ProvisioningSucceeded"
            && Some(&event["involvedObject"]["uid"]) == uid.as_ref()
    };
    api.list("events").iter().any(about)
}

/// `manifests/base/class.yaml` with the parameter that matters here.
fn class(archive: &str) -> String {
    let text = include_str!("../../manifests/base/class.yaml");
    text.replace(
        "archiveOnDelete: \"false\"",
        &format!("archiveOnDelete: {archive:?}"),
    )
}

fn claim_of(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{storageClassName: nfs-client, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
    )
}

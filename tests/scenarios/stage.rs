//! `Stage`: a scenario's own corner of a world: a namespace, a provisioner name, classes, and a share, so that many scenarios can use one world at a time.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::expect::{SOON, eventually, eventually_within};
use crate::fixtures::{merge, mk_claim, mk_class, mk_volume};
use crate::provisioner::{Log, Provisioner, Settings};
use crate::world::{Account, Rights, Share, World};

mod by_server;

/// A scenario's corner of a world. Clones are the same corner.
#[derive(Clone)]
pub struct Stage(Arc<Inner>);

struct Inner {
    world: Arc<dyn World>,
    rights: Rights,
    client: Client,
    name: String,
    share: Share,
    logs: Mutex<Vec<Log>>,
}

/// In `manifests/base/rbac.yaml`.
const LOCK_ROLE: &str = "leader-locking-nfs-client-provisioner";

// === impl Stage ===

impl Stage {
    /// Makes the corner. `name` is unique in the world and could name a namespace.
    pub async fn set(world: Arc<dyn World>, rights: Rights, name: String) -> Self {
        let client = client(&world.admin_kubeconfig()).await;
        let namespace = Namespace {
            metadata: kube::api::ObjectMeta {
                name: Some(name.clone()),
                ..Default::default()
            },
            ..Default::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .expect("a namespace");
        let share = world.share().folder(&name);
        let stage = Self(Arc::new(Inner {
            world,
            rights,
            client,
            name,
            share,
            logs: Mutex::default(),
        }));
        if rights == Rights::Own {
            stage.allow_lock().await;
        }
        stage
    }

    /// Our rules name the lock, which bears the provisioner's name: what somebody does who chooses another one.
    async fn allow_lock(&self) {
        let all: Api<Role> = Api::namespaced(self.client(), &self.account().namespace);
        let lock = self.provisioner_name().replace('/', "-");
        eventually("the rules name this lock too", async || {
            let mut role = all.get(LOCK_ROLE).await.ok()?;
            for rule in role.rules.iter_mut().flatten() {
                let named = rule.resource_names.iter_mut();
                named.for_each(|locks| locks.push(lock.clone()));
            }
            // Other scenarios write it as well: a conflict is met with another look.
            let params = PostParams::default();
            all.replace(LOCK_ROLE, &params, &role).await.ok()
        })
        .await;
    }

    /// Takes what is left of the cluster's own kinds away, so that it is in nobody's way.
    pub async fn strike(&self) {
        let all = ListParams::default();
        for volume in self.volumes().list(&all).await.into_iter().flatten() {
            let name = volume.metadata.name.unwrap_or_default();
            let mine = volume.metadata.annotations.unwrap_or_default();
            if mine.get("pv.kubernetes.io/provisioned-by") == Some(&self.provisioner_name()) {
                let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                // Whatever is gone already is fine.
                let _ = self.volumes().delete(&name, &DeleteParams::default()).await;
                let _ = self
                    .volumes()
                    .patch(&name, &PatchParams::default(), &free)
                    .await;
            }
        }
        for class in self.classes().list(&all).await.into_iter().flatten() {
            if class.provisioner == self.provisioner_name() {
                let name = class.metadata.name.unwrap_or_default();
                let _ = self.classes().delete(&name, &DeleteParams::default()).await;
            }
        }
        let namespaces: Api<Namespace> = Api::all(self.client());
        let _ = namespaces
            .delete(&self.0.name, &DeleteParams::default())
            .await;
    }

    /// What the processes said and what the cluster told, for whoever reads that the scenario failed.
    pub async fn told(&self) -> String {
        const LINES: usize = 60;
        let mut text = String::new();
        let logs = self
            .0
            .logs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for (number, log) in logs.iter().enumerate() {
            let whole = log.text();
            let lines: Vec<_> = whole.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES)..];
            let _ = writeln!(
                text,
                "--- log of process {}\n{}",
                number + 1,
                last.join("\n")
            );
        }
        let _ = writeln!(text, "--- events");
        for event in self.all_events().await {
            let object = event.involved_object;
            let _ = writeln!(
                text,
                "{} {} {}/{}: {}",
                event.type_.unwrap_or_default(),
                event.reason.unwrap_or_default(),
                object.kind.unwrap_or_default(),
                object.name.unwrap_or_default(),
                event.message.unwrap_or_default(),
            );
        }
        if let Some(double) = self.world().double() {
            let log = double.nfs_calls();
            let (calls, unanswered) = (log.calls(), log.in_flight());
            let _ = writeln!(
                text,
                "--- NFS double: {unanswered} calls without an answer, its last"
            );
            for call in &calls[calls.len().saturating_sub(LINES)..] {
                let ago = call.at.elapsed();
                let _ = writeln!(
                    text,
                    "{ago:?} ago {:?} {} from {}",
                    call.procedure, call.xid, call.peer
                );
            }
        }
        let _ = writeln!(text, "--- share\n{}", self.entries().join("\n"));
        text
    }

    // --- who and where ---

    /// The world.
    pub fn world(&self) -> &dyn World {
        &*self.0.world
    }

    /// The rules that the provisioner runs under.
    pub fn rights(&self) -> Rights {
        self.0.rights
    }

    /// Its account.
    pub fn account(&self) -> Account {
        self.0.world.account(self.0.rights)
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        self.0.client.clone()
    }

    /// The scenario's namespace.
    pub fn namespace(&self) -> &str {
        &self.0.name
    }

    /// The scenario's `PROVISIONER_NAME`.
    pub fn provisioner_name(&self) -> String {
        format!("example.com/{}", self.0.name)
    }

    /// The scenario's share.
    pub fn share(&self) -> &Share {
        &self.0.share
    }

    /// The path on this machine of a directory on the share.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.0.share.dir.join(name)
    }

    /// Writes a file into a directory of the share, which is made if need be, as a pod would.
    pub fn write(&self, dir: &str, file: &str) {
        let dir = self.dir(dir);
        std::fs::create_dir_all(&dir).expect("a directory");
        std::fs::write(dir.join(file), file).expect("a file");
    }

    /// The directory of a volume, relative to the share.
    pub fn dir_of(&self, volume: &PersistentVolume) -> String {
        let nfs = volume
            .spec
            .as_ref()
            .and_then(|spec| spec.nfs.as_ref())
            .expect("an NFS volume");
        let below = nfs
            .path
            .strip_prefix(&self.share().path)
            .expect("on the share");
        below.trim_start_matches('/').to_owned()
    }

    /// What the share holds at its root, sorted, without hidden folders.
    pub fn entries(&self) -> Vec<String> {
        entries(&self.0.share.dir)
    }

    // --- the provisioner ---

    /// The environment that a Deployment would give.
    pub fn settings(&self) -> Settings {
        self.settings_for(self.share())
    }

    /// The same with another share.
    pub fn settings_for(&self, share: &Share) -> Settings {
        let account = self.account();
        let mut settings = Settings::default()
            .with("KUBECONFIG", account.kubeconfig.display().to_string())
            .with("POD_NAMESPACE", account.namespace)
            .with("PROVISIONER_NAME", self.provisioner_name())
            .with("NFS_SERVER", &share.server)
            .with("NFS_PATH", &share.path)
            .with("METRICS_ADDR", "")
            .with("LOG_FORMAT", "text")
            .with(
                "LOG_LEVEL",
                "debug,kube=info,hyper=info,tower=info,rustls=info",
            );
        for (name, port) in [
            ("NFS_PORT", share.nfs_port),
            ("MOUNT_PORT", share.mount_port),
        ] {
            if let Some(port) = port {
                settings = settings.with(name, port.to_string());
            }
        }
        settings
    }

    /// Starts the provisioner.
    pub fn start(&self) -> Provisioner {
        self.start_with(&self.settings())
    }

    /// Starts the provisioner in another environment.
    pub fn start_with(&self, settings: &Settings) -> Provisioner {
        let provisioner = settings.start();
        let mut logs = self.0.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.push(provisioner.log().clone());
        provisioner
    }

    /// What must not have happened to any process, once they have all been dropped.
    pub fn mishaps(&self) -> Vec<String> {
        let logs = self.0.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let of_each = logs.iter().enumerate().map(|(number, log)| {
            let mishaps = log.mishaps().into_iter();
            mishaps.map(move |what| format!("process {}: {what}", number + 1))
        });
        of_each.flatten().collect()
    }

    /// What the processes said about something, one after the other.
    pub fn log_lines(&self, about: &str) -> Vec<String> {
        let logs = self.0.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.iter().flat_map(|log| log.with_all(&[about])).collect()
    }

    // --- the cluster ---

    /// Claims of the namespace.
    pub fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client(), self.namespace())
    }

    /// All volumes.
    pub fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client())
    }

    /// All classes.
    pub fn classes(&self) -> Api<StorageClass> {
        Api::all(self.client())
    }

    /// The scenario's name for a class.
    pub fn class_name(&self, name: &str) -> String {
        format!("{}-{name}", self.0.name)
    }

    /// Creates a class with these parameters; returns its name.
    pub async fn class(&self, name: &str, parameters: Value) -> String {
        self.class_from(name, json!({"parameters": parameters}))
            .await
    }

    /// Creates a class with these fields beside its name and provisioner; returns its name.
    pub async fn class_from(&self, name: &str, fields: Value) -> String {
        let name = self.class_name(name);
        let class = mk_class(&name, &self.provisioner_name(), fields);
        let made = self.classes().create(&PostParams::default(), &class).await;
        made.expect("a class");
        name
    }

    /// Creates a claim of a class.
    pub async fn claim(&self, name: &str, class: &str) -> PersistentVolumeClaim {
        self.create(mk_claim(name, class)).await
    }

    /// Creates a claim.
    pub async fn create(&self, claim: PersistentVolumeClaim) -> PersistentVolumeClaim {
        let made = self.claims().create(&PostParams::default(), &claim).await;
        made.expect("a claim")
    }

    /// Merges something into a claim.
    pub async fn patch_claim(&self, name: &str, patch: Value) {
        let patched = self
            .claims()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        patched.expect("the claim");
    }

    /// Waits until a claim is bound; returns its volume.
    pub async fn bound(&self, name: &str) -> PersistentVolume {
        self.bound_within(SOON, name).await
    }

    /// Waits until a claim is bound; returns its volume.
    pub async fn bound_within(&self, cap: Duration, name: &str) -> PersistentVolume {
        eventually_within(cap, format!("claim {name} is bound"), async || {
            let claim = self.claims().get_opt(name).await.ok()??;
            let is_bound = claim.status?.phase? == "Bound";
            let volume = claim.spec?.volume_name.filter(|_| is_bound)?;
            self.volumes().get_opt(&volume).await.ok()?
        })
        .await
    }

    /// Creates a claim of a class and waits until it is bound; returns its volume.
    pub async fn provision(&self, name: &str, class: &str) -> PersistentVolume {
        self.claim(name, class).await;
        self.bound(name).await
    }

    /// Deletes a claim.
    pub async fn delete_claim(&self, name: &str) {
        let deleted = self.claims().delete(name, &DeleteParams::default()).await;
        deleted.expect("the claim");
    }

    /// Deletes a volume.
    pub async fn delete_volume(&self, name: &str) {
        let deleted = self.volumes().delete(name, &DeleteParams::default()).await;
        deleted.expect("the volume");
    }

    /// Merges something into a volume.
    pub async fn patch_volume(&self, name: &str, patch: Value) {
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = self.volumes().patch(name, &params, &patch).await;
        patched.expect("the volume");
    }

    /// Creates a volume.
    pub async fn create_volume(&self, volume: PersistentVolume) -> PersistentVolume {
        let made = self.volumes().create(&PostParams::default(), &volume).await;
        made.expect("a volume")
    }

    /// A volume of ours on a directory of this scenario's share whose claim is gone, in the form in which the Go provisioner writes it, with a file in
    /// the directory. `more` is merged in.
    pub async fn released_volume(&self, dir: &str, class: &str, more: Value) -> PersistentVolume {
        let made = self.try_released_volume(dir, class, more).await;
        made.expect("a volume that the API server takes")
    }

    /// [`Stage::released_volume`]; `None` where the API server finds the object invalid.
    pub async fn try_released_volume(
        &self,
        dir: &str,
        class: &str,
        more: Value,
    ) -> Option<PersistentVolume> {
        self.write(dir, "data");
        let path = format!("{}/{dir}", self.share().path);
        let uid = format!("00000000-0000-4000-8000-{:012x}", fastrand::u64(..1 << 48));
        let mut fields = json!({
            "metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": self.provisioner_name()}},
            "spec": {
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": class,
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": self.namespace(), "name": "gone", "uid": uid},
            },
        });
        merge(&mut fields, more);
        let volume = mk_volume(&format!("pvc-{uid}"), &self.share().server, &path, fields);
        match self.volumes().create(&PostParams::default(), &volume).await {
            Err(kube::Error::Api(status)) if status.code == 422 => None,
            made => Some(made.expect("a volume")),
        }
    }

    /// Waits until a volume is gone.
    pub async fn gone(&self, volume: &PersistentVolume) {
        let name = name_of(volume);
        eventually(format!("volume {name} is gone"), async || {
            self.volumes()
                .get_opt(&name)
                .await
                .ok()?
                .is_none()
                .then_some(())
        })
        .await;
    }

    /// Waits until a volume has a phase.
    pub async fn volume_is(&self, volume: &str, phase: &str) {
        eventually(format!("volume {volume} is {phase}"), async || {
            let now = self.volumes().get_opt(volume).await.ok()??;
            (now.status?.phase? == phase).then_some(())
        })
        .await;
    }

    /// Once this returns, the provisioner has begun on everything that was there before: a claim created now is bound.
    pub async fn passed_by(&self) {
        let name = format!("fence-{}", fastrand::u32(..));
        let class = self.class(&name, json!({"onDelete": "retain"})).await;
        self.provision(&name, &class).await;
    }

    /// The phase of a claim.
    pub async fn phase(&self, claim: &str) -> String {
        let claim = self.claims().get(claim).await.expect("the claim");
        claim
            .status
            .and_then(|status| status.phase)
            .unwrap_or_default()
    }

    // --- events ---

    /// The provisioner's events about an object.
    pub async fn events(&self, object: &str) -> Vec<Event> {
        let mut events = self.all_events().await;
        events.retain(|event| {
            event.involved_object.name.as_deref() == Some(object) && self.is_ours(event)
        });
        events
    }

    /// The provisioner's events with this reason.
    pub async fn events_of(&self, reason: &str) -> Vec<Event> {
        let mut events = self.all_events().await;
        events.retain(|event| event.reason.as_deref() == Some(reason) && self.is_ours(event));
        events
    }

    /// Waits for an event of the provisioner about an object, with this reason and all of these texts in its message.
    pub async fn event(&self, object: &str, reason: &str, parts: &[&str]) -> Event {
        self.event_within(SOON, object, reason, parts).await
    }

    /// [`Stage::event`] with another cap.
    pub async fn event_within(
        &self,
        cap: Duration,
        object: &str,
        reason: &str,
        parts: &[&str],
    ) -> Event {
        let what = format!("event {reason} on {object} that says {parts:?}");
        eventually_within(cap, what, async || {
            let events = self.events(object).await;
            events.into_iter().find(|event| {
                let message = event.message.as_deref().unwrap_or_default();
                event.reason.as_deref() == Some(reason)
                    && parts.iter().all(|part| message.contains(part))
            })
        })
        .await
    }

    /// Waits until an event of this reason has happened so often.
    pub async fn event_counted(&self, cap: Duration, object: &str, reason: &str, times: i32) {
        let what = format!("event {reason} on {object} for the {times}th time");
        eventually_within(cap, what, async || {
            let events = self.events(object).await;
            let counts = events
                .iter()
                .filter(|event| event.reason.as_deref() == Some(reason));
            let count: i32 = counts.map(|event| event.count.unwrap_or(1).max(1)).sum();
            (count >= times).then_some(())
        })
        .await;
    }

    fn is_ours(&self, event: &Event) -> bool {
        let source = event
            .source
            .as_ref()
            .and_then(|source| source.component.as_deref());
        source.is_some_and(|name| name.starts_with(&format!("{}_", self.provisioner_name())))
    }

    /// Events in the namespace, and those about volumes, which go to `default`.
    async fn all_events(&self) -> Vec<Event> {
        let mut all = Vec::new();
        for namespace in [self.namespace(), "default"] {
            let events: Api<Event> = Api::namespaced(self.client(), namespace);
            let Ok(events) = events.list(&ListParams::default()).await else {
                continue;
            };
            let here = namespace == self.namespace();
            all.extend(
                events
                    .items
                    .into_iter()
                    .filter(|event| here || self.is_ours(event)),
            );
        }
        all
    }
}

/// The names in a directory, sorted, without those that begin with a dot.
pub fn entries(dir: &std::path::Path) -> Vec<String> {
    let found = std::fs::read_dir(dir).expect("a directory");
    let names = found.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let names: BTreeSet<_> = names.filter(|name| !name.starts_with('.')).collect();
    names.into_iter().collect()
}

/// An object's name.
pub fn name_of<K: kube::ResourceExt>(object: &K) -> String {
    object.name_any()
}

async fn client(kubeconfig: &std::path::Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a kubeconfig")).expect("a client")
}

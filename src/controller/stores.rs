//! What the cluster holds, as far as decisions need it: the claims that want a volume, all classes, all volumes in a few words each.
//!
//! ```text
//! watch ──> claims, classes, volumes ──> keys into the queues
//! ```
//! Bound claims are not kept at all; of a volume about 300 bytes are. Read only from memory: no request is made on behalf of a question.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Client;
use tokio::sync::watch;

use self::claims::Claims;
use self::classes::Classes;
use self::follow::follow;
use self::volumes::Volumes;
use super::paths::Paths;
use super::queue::Queue;
use crate::plan;
use crate::plan::facts::{Claim, Class, Volume};
use crate::plan::names;
use crate::plan::occupied::Occupied;
use crate::plan::shares::{Served, Share};
use crate::telemetry::health::{Health, Heart, PATIENCE};

mod claims;
mod classes;
mod follow;
mod volumes;

/// `NAMESPACE/NAME` of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimKey(Arc<str>);

/// Name of a volume.
pub type VolumeKey = Arc<str>;

/// Where changed objects' keys go.
#[derive(Debug)]
pub struct Queues {
    /// Claims that may want work.
    pub claims: Queue<ClaimKey>,
    /// Volumes that may want work.
    pub volumes: Queue<VolumeKey>,
}

/// The stores.
#[derive(Debug)]
pub struct Stores {
    provisioner: Box<str>,
    claims: RwLock<Claims>,
    classes: RwLock<Classes>,
    volumes: RwLock<Volumes>,
    queues: Arc<Queues>,
    paths: Paths,
    synced: watch::Sender<Synced>,
    /// How often a new list of all volumes was asked for.
    wanted: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Synced {
    claims: bool,
    classes: bool,
    /// Which list of volumes is in: those asked for are counted from 1.
    volumes: Option<u64>,
}

// === impl ClaimKey ===

impl ClaimKey {
    /// Stands for an earlier claim of this name, which was to have `volume`; no claim that is there has such a key.
    pub(super) fn left_by(&self, volume: &str) -> Self {
        Self(format!("{self}/{volume}").into())
    }
}

impl From<&Claim> for ClaimKey {
    fn from(claim: &Claim) -> Self {
        Self(claim.key().into())
    }
}

impl fmt::Display for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Queues ===

impl Queues {
    /// A term as leader begins.
    pub fn open(&self) {
        self.claims.open();
        self.volumes.open();
    }

    /// A term as leader is over.
    pub fn close(&self) {
        self.claims.close();
        self.volumes.close();
    }

    /// What held work up is gone: everything is tried now.
    pub fn wake_all(&self) {
        self.claims.wake_all();
        self.volumes.wake_all();
    }
}

// === impl Synced ===

impl Synced {
    fn is_whole(self) -> bool {
        self.claims && self.classes && self.volumes.is_some()
    }
}

// === impl Stores ===

impl Stores {
    /// Empty stores that will feed `queues`; `default` is the share that classes mean unless they say otherwise.
    pub fn new(provisioner: &str, default: Share, queues: Arc<Queues>, paths: Paths) -> Self {
        Self {
            provisioner: provisioner.into(),
            claims: RwLock::default(),
            classes: RwLock::new(Classes::new(provisioner, default)),
            volumes: RwLock::default(),
            queues,
            paths,
            synced: watch::Sender::default(),
            wanted: watch::Sender::default(),
        }
    }

    /// Follows the cluster for ever; `health` hears of each watch.
    pub async fn run(self: Arc<Self>, client: Client, health: Health) {
        let [claims, classes, volumes] =
            ["claim watch", "class watch", "volume watch"].map(|name| health.heart(name, PATIENCE));
        let intake = (
            claims::Intake::new(self.clone()),
            classes::Intake::new(self.clone()),
        );
        tokio::join!(
            follow::<PersistentVolumeClaim>(client.clone(), intake.0, &claims),
            follow::<StorageClass>(client.clone(), intake.1, &classes),
            self.follow_volumes(client, &volumes),
        );
    }

    /// A new list replaces the watch, and the watch goes on from there. Meanwhile the store keeps what it has.
    async fn follow_volumes(self: &Arc<Self>, client: Client, heart: &Heart) {
        let mut wanted = self.wanted.subscribe();
        loop {
            let number = *wanted.borrow_and_update();
            let intake = volumes::Intake::new(self.clone(), number);
            tokio::select! {
                () = follow::<PersistentVolume>(client.clone(), intake, heart) => {}
                _ = wanted.changed() => {}
            }
        }
    }

    /// Resolves once the store holds every volume that was there when this was asked: a watch may be behind by any number of changes and
    /// not know it, a list asked for now is not. For what must not be decided on an old view, and seldom: it lists all volumes.
    pub async fn see_volumes_afresh(&self) {
        let mut number = 0;
        self.wanted.send_modify(|wanted| {
            *wanted += 1;
            number = *wanted;
        });
        let is_in = |synced: &Synced| synced.volumes.is_some_and(|listed| listed >= number);
        // The sender lives in self, so the wait can only end well.
        let _ = self.synced.subscribe().wait_for(is_in).await;
    }

    /// Resolves once each kind was listed whole.
    pub async fn synced(&self) {
        let all = |synced: &Synced| synced.is_whole();
        // The sender lives in self, so the wait can only end well.
        let _ = self.synced.subscribe().wait_for(all).await;
    }

    /// Whether each kind was listed whole.
    pub fn is_synced(&self) -> bool {
        self.synced.borrow().is_whole()
    }

    /// A claim that wants a volume.
    pub fn claim(&self, key: &ClaimKey) -> Option<Arc<Claim>> {
        read(&self.claims).get(key)
    }

    /// A class, whoever's it is.
    pub fn class(&self, name: &str) -> Option<Arc<Class>> {
        read(&self.classes).get(name)
    }

    /// All classes as they are now.
    pub fn classes(&self) -> Arc<plan::volume::Classes> {
        read(&self.classes).all()
    }

    /// The shares that the default and the classes name.
    pub fn served(&self) -> Arc<Served> {
        read(&self.classes).served()
    }

    /// A volume, whoever's it is.
    pub fn volume(&self, name: &str) -> Option<Arc<Volume>> {
        read(&self.volumes).get(name)
    }

    /// Answers from the index of directories; the stores stand still meanwhile, so `ask` must be quick.
    pub fn occupied<T>(&self, ask: impl FnOnce(&Occupied) -> T) -> T {
        ask(read(&self.volumes).occupied())
    }

    /// Looks at every class whose provisioner we are.
    pub fn each_class(&self, look: impl FnMut(&Class)) {
        read(&self.classes).ours().for_each(look);
    }

    /// Looks at every claim that wants a volume of us.
    pub fn each_claim(&self, look: impl FnMut(&Claim)) {
        read(&self.claims).each(look);
    }

    /// Looks at every volume, whoever's it is.
    pub fn each_volume(&self, look: impl FnMut(&Volume)) {
        read(&self.volumes).each(look);
    }

    /// Puts every claim and volume that may want work into the queues: a term as leader begins.
    pub fn enqueue_all(&self) {
        self.enqueue_claims();
        for name in self.wanting() {
            self.queues.volumes.add(name);
        }
        // Some are gone, and their data is to be brought back.
        for name in self.paths.all_trashed() {
            self.queues.volumes.add(name);
        }
    }

    /// Volumes at which a look can lead to anything.
    pub fn wanting(&self) -> Vec<VolumeKey> {
        read(&self.volumes).wanting().collect()
    }

    fn enqueue_claims(&self) {
        for key in read(&self.claims).keys() {
            self.queues.claims.add(key.clone());
        }
    }

    /// Puts the claim `NAMESPACE/NAME` into the queue, if it wants a volume of us.
    fn enqueue_claim(&self, name: &str) {
        let key = ClaimKey(name.into());
        if self.claim(&key).is_some() {
            self.queues.claims.add(key);
        }
    }

    /// Puts the claim that a volume of this name was made for into the queue, if it still wants one. Looks at every claim.
    fn enqueue_claim_of(&self, volume: &str) {
        let Some(uid) = names::claim_uid(volume) else {
            return; // no claim's volume has such a name
        };
        let mut wanting = None;
        self.each_claim(|claim| {
            if *claim.uid == *uid {
                wanting = Some(ClaimKey::from(claim));
            }
        });
        if let Some(key) = wanting {
            self.queues.claims.add(key);
        }
    }

    fn mark(&self, set: impl FnOnce(&mut Synced)) {
        self.synced.send_modify(set);
    }
}

/// A store that a panic left half changed is still a store: the next list puts it right.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

//! Everything at once, by chance: claims created, deleted and made anew under the same names, volumes deleted first, patterns that share and nest
//! directories, kill -9, a share that goes away. Whatever happens, no live volume loses a byte; at the end share and API agree.
//!
//! The seed is printed; `SCENARIO_SEED` repeats it. What the processes make of it is up to the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

use crate::expect::eventually_within;
use crate::fixtures::mk_claim_from;
use crate::provisioner::{Provisioner, Settings};
use crate::scenario::Scenario;
use crate::stage::{Stage, entries, name_of};
use crate::world::{Part, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(random_operations_leave_share_and_api_in_agreement)
            .with_own_rights()
            .alone(),
    ]
}

/// Names that claims take in turn.
const SLOTS: usize = 64;
/// Steps that are on their way at the same time.
const BATCH: usize = 32;
/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(90);

/// How long a process may take from the deletion of a volume until it has said so.
const JUST_THEN: SignedDuration = SignedDuration::from_secs(1);

/// The classes: name, pattern, `onDelete` or nothing for archiving.
const CLASSES: [(&str, Option<&str>, Option<&str>); 8] = [
    ("del", None, Some("delete")),
    ("arch", None, None),
    ("kept", None, Some("retain")),
    ("again", Some("again/${.PVC.name}"), Some("delete")),
    ("again-arch", Some("again-arch/${.PVC.name}"), None),
    (
        "deep",
        Some("deep/${.PVC.labels.group}/${.PVC.name}"),
        Some("delete"),
    ),
    (
        "shared",
        Some("shared/${.PVC.labels.group}"),
        Some("delete"),
    ),
    (
        "nest",
        Some("shared/${.PVC.labels.group}/${.PVC.name}"),
        Some("delete"),
    ),
];

/// What is done in one step.
#[derive(Debug, Clone)]
enum Step {
    Create {
        name: String,
        class: String,
        group: u8,
    },
    DeleteClaim(String),
    DeleteVolume(String),
}

/// What the test knows to be there.
struct Model<'a> {
    stage: &'a Stage,
    chance: fastrand::Rng,
    settings: Settings,
    provisioner: Option<Provisioner>,
    is_share_up: bool,
    /// Claims that were created and not deleted since: their class.
    claims: BTreeMap<String, &'static str>,
    /// Volumes of those claims that were seen bound, and so have a canary: claim, volume, directory.
    live: BTreeMap<String, (String, String)>,
    /// Directories with a canary that stay by policy: their volume.
    retained: BTreeMap<String, String>,
    /// Volumes with a canary that are archived by policy.
    archived: BTreeSet<String>,
    /// UIDs of all claims of the class that retains.
    kept: BTreeSet<String>,
    /// When a process was killed.
    kills: Vec<Timestamp>,
    /// How often the share went away.
    outages: usize,
}

fn steps(stage: &Stage) -> usize {
    if stage.world().double().is_some() {
        5000
    } else {
        500
    }
}

fn seed() -> u64 {
    let given = std::env::var("SCENARIO_SEED").ok();
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..))
}

async fn random_operations_leave_share_and_api_in_agreement(stage: Stage) {
    let (seed, steps) = (seed(), steps(&stage));
    println!("random: SCENARIO_SEED={seed}, {steps} steps");
    for (name, pattern, on_delete) in CLASSES {
        let parameters = json!({"pathPattern": pattern, "onDelete": on_delete});
        let parameters: BTreeMap<_, _> = parameters
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_null())
            .collect();
        stage.class(name, json!(parameters)).await;
    }
    // Without the lock, whose lease a killed process would leave running.
    let settings = stage
        .settings()
        .with("ENABLE_LEADER_ELECTION", "false")
        .with("LOG_LEVEL", "info");
    let mut model = Model::new(&stage, seed, settings);
    let (begin, mark) = (Instant::now(), stage.world().audit_mark());
    let mut done = 0;
    while done < steps {
        done += model.batch().await;
        model.look().await;
        model.break_something(100 * done / steps).await;
    }
    model.come_to_rest().await;
    model.end().await;
    model.check_what_is_left(mark).await;
    println!(
        "measured: {done} random steps, {} kills, share away {} times, {:.0} s",
        model.kills.len(),
        model.outages,
        begin.elapsed().as_secs_f64()
    );
    assert!(!model.kills.is_empty() && model.outages > 0);
}

// === impl Model ===

impl<'a> Model<'a> {
    fn new(stage: &'a Stage, seed: u64, settings: Settings) -> Self {
        Self {
            stage,
            chance: fastrand::Rng::with_seed(seed),
            provisioner: Some(stage.start_with(&settings)),
            settings,
            is_share_up: true,
            claims: BTreeMap::new(),
            live: BTreeMap::new(),
            retained: BTreeMap::new(),
            archived: BTreeSet::new(),
            kept: BTreeSet::new(),
            kills: Vec::new(),
            outages: 0,
        }
    }

    /// Some steps at a time; returns how many.
    async fn batch(&mut self) -> usize {
        let mut steps = Vec::new();
        let mut taken = BTreeSet::new();
        for _ in 0..BATCH {
            let slot = format!("data-{}", self.chance.usize(..SLOTS));
            // Two steps with one name have no order between them.
            if taken.insert(slot.clone()) {
                steps.push(self.step(slot));
            }
        }
        let count = steps.len();
        let made = join_all(steps.iter().map(|step| carry_out(self.stage, step))).await;
        for claim in made.into_iter().flatten() {
            if self.claims.get(&name_of(&claim)) == Some(&"kept") {
                self.kept.extend(claim.metadata.uid);
            }
        }
        count
    }

    fn step(&mut self, name: String) -> Step {
        if !self.claims.contains_key(&name) {
            let (class, _, _) = CLASSES[self.chance.usize(..CLASSES.len())];
            self.claims.insert(name.clone(), class);
            return Step::Create {
                name,
                class: self.stage.class_name(class),
                group: self.chance.u8(..3),
            };
        }
        match self.live.get(&name) {
            // The volume goes first; the claim and its data are still there.
            Some((volume, _)) if self.chance.u8(..6) == 0 => Step::DeleteVolume(volume.clone()),
            _ => {
                self.claims.remove(&name);
                self.live.remove(&name);
                Step::DeleteClaim(name)
            }
        }
    }

    /// Checks every live volume's canary, and gives one to every volume that was bound since. Returns whether all claims are bound.
    async fn look(&mut self) -> bool {
        for (claim, (volume, dir)) in &self.live {
            assert!(
                is_intact(&self.stage.dir(dir), volume),
                "{claim} lost {volume} in {dir}"
            );
        }
        let claims = self
            .stage
            .claims()
            .list(&ListParams::default())
            .await
            .expect("claims");
        let volumes = volumes(self.stage).await;
        let mut unbound = 0;
        for claim in claims {
            let name = name_of(&claim);
            let is_bound = claim
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref())
                == Some("Bound");
            let volume = claim
                .spec
                .as_ref()
                .and_then(|spec| spec.volume_name.clone())
                .unwrap_or_default();
            let is_old = claim.metadata.deletion_timestamp.is_some();
            match (self.claims.get(&name), volumes.get(&volume)) {
                (Some(class), Some(found)) if is_bound && !is_old => {
                    let dir = self.stage.dir_of(found);
                    if self
                        .live
                        .get(&name)
                        .is_none_or(|(known, _)| *known != volume)
                    {
                        assert!(
                            self.stage.dir(&dir).is_dir(),
                            "{name} is bound to {volume}, and {dir} is not there"
                        );
                        self.stage.write(&dir, &canary(&volume));
                        match *class {
                            "kept" => drop(self.retained.insert(dir.clone(), volume.clone())),
                            "arch" | "again-arch" => drop(self.archived.insert(volume.clone())),
                            _ => {}
                        }
                        self.live.insert(name, (volume, dir));
                    }
                }
                _ => unbound += 1,
            }
        }
        unbound == 0 && self.live.len() == self.claims.len()
    }

    /// `part` of a hundred steps are done. What chance has left out by then is done anyway: of a few batches not every one brings something.
    async fn break_something(&mut self, part: usize) {
        let chance = self.chance.u8(..100);
        if chance < 12 || part > 30 && self.kills.is_empty() {
            if let Some(provisioner) = self.provisioner.take() {
                self.kills.push(Timestamp::now());
                provisioner.kill();
            }
        } else if chance < 18 || part > 60 && self.outages == 0 {
            self.turn_share(false).await;
        }
        if self.provisioner.is_none() && self.chance.u8(..3) > 0 {
            self.provisioner = Some(self.stage.start_with(&self.settings));
        }
        if !self.is_share_up && self.chance.u8(..3) == 0 {
            self.turn_share(true).await;
        }
    }

    async fn turn_share(&mut self, up: bool) {
        if self.is_share_up != up {
            self.is_share_up = up;
            self.outages += usize::from(!up);
            let turn = if up { Turn::On } else { Turn::Off };
            self.stage.world().turn(Part::Nfs, turn).await;
        }
    }

    /// Everything works again, and nothing new is asked for: every claim is bound, and the volumes are those of the claims.
    async fn come_to_rest(&mut self) {
        self.turn_share(true).await;
        if self.provisioner.is_none() {
            self.provisioner = Some(self.stage.start_with(&self.settings));
        }
        let end = Instant::now() + REST;
        loop {
            let all_bound = self.look().await;
            let volumes: BTreeSet<_> = volumes(self.stage).await.into_keys().collect();
            let wanted: BTreeSet<_> = self
                .live
                .values()
                .map(|(volume, _)| volume.clone())
                .collect();
            if all_bound && volumes == wanted {
                return;
            }
            let stuck: Vec<_> = volumes.symmetric_difference(&wanted).collect();
            assert!(
                Instant::now() < end,
                "not at rest: {} claims, {} bound; volumes: {stuck:?}",
                self.claims.len(),
                self.live.len()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// All claims go, and with them everything that policy does not keep.
    async fn end(&mut self) {
        let one = DeleteParams::default();
        join_all(self.claims.keys().map(|name| {
            let claims = self.stage.claims();
            let one = &one;
            async move { claims.delete(name, one).await.expect("the claim") }
        }))
        .await;
        eventually_within(REST, "all volumes are gone", async || {
            volumes(self.stage).await.is_empty().then_some(())
        })
        .await;
        let hidden = self.stage.dir(".nfs-subdir-external-provisioner");
        eventually_within(REST, "nothing is on its way out", async || {
            (!hidden.exists() || entries(&hidden).is_empty()).then_some(())
        })
        .await;
    }

    /// What the processes said about the volumes whose data lies in a directory, and about their directories.
    fn story(&self, dir: &Path) -> String {
        let mut lines = Vec::new();
        for volume in canaries(dir) {
            lines.extend(self.stage.log_lines(&volume));
        }
        lines.join("\n")
    }

    /// Whether a process has made the volume or seen it. Lines about its claim bear its name before there is one.
    fn had_volume(&self, volume: &str) -> bool {
        let of_its_own = ["volume provisioned", "claim bound", "volume{"];
        let lines = self.stage.log_lines(volume);
        lines
            .iter()
            .any(|line| of_its_own.iter().any(|part| line.contains(part)))
    }

    async fn check_what_is_left(&self, mark: u64) {
        let mut abandoned = 0;
        for name in self.stage.entries() {
            let is_kept = || self.kept.iter().any(|uid| name.ends_with(uid));
            if name.starts_with("archived-") || name == "shared" || is_kept() {
                continue;
            }
            // A claim that was deleted while no process ran, or no answer came, may have had its directory made already.
            let had_volume = name
                .split_once("-pvc-")
                .is_some_and(|(_, uid)| self.had_volume(&format!("pvc-{uid}")));
            let is_dead = had_volume || !is_hollow(&self.stage.dir(&name));
            assert!(
                !is_dead,
                "{name} is a dead volume's:\n{}",
                self.story(&self.stage.dir(&name))
            );
            abandoned += 1;
        }
        println!("random: {abandoned} empty directories of claims that never had a volume");
        for (dir, volume) in &self.retained {
            let dir = self.stage.dir(dir);
            assert!(
                is_intact(&dir, volume),
                "{} is to be retained",
                dir.display()
            );
        }
        self.check_archives();
        self.check_what_was_shared(mark).await;
    }

    /// Every byte of a class that archives is in an archive, and nothing else is.
    fn check_archives(&self) {
        let mut found = BTreeSet::new();
        for name in self.stage.entries() {
            let dir = self.stage.dir(&name);
            if name.starts_with("archived-") {
                let volumes = canaries(&dir);
                assert!(volumes.iter().all(|volume| is_intact(&dir, volume)));
                found.extend(volumes);
            }
        }
        println!("random: {} volumes' data in archives", found.len());
        let differs: Vec<_> = found.symmetric_difference(&self.archived).collect();
        let story = || {
            let lines = differs
                .iter()
                .flat_map(|volume| self.stage.log_lines(volume));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert!(
            differs.is_empty(),
            "archived or to be archived, but not both: {differs:?}\n{}",
            story()
        );
    }

    /// Volumes in one another: the outer one's data stays for the inner one's sake, and is nobody's to delete afterwards. An event says so, or, where the
    /// process was killed before that was written, its log.
    async fn check_what_was_shared(&self, mark: u64) {
        let mut left: BTreeSet<_> = canaries(&self.stage.dir("shared")).into_iter().collect();
        let all = left.len();
        for event in self.stage.events_of("VolumeFailedDelete").await {
            let message = event.message.unwrap_or_default();
            if message.contains("stays: volume") {
                left.remove(&event.involved_object.name.unwrap_or_default());
            }
        }
        let without_event = left.len();
        left.retain(|volume| {
            let lines = self.stage.log_lines(volume);
            let says = |line: &String| line.contains("directory kept for another volume");
            !lines.iter().any(says)
        });
        let without_word = left.len();
        // A process that is killed takes with it what it had still to say.
        let killed_over = self.killed_over(mark);
        left.retain(|volume| !killed_over.contains(volume));
        println!(
            "random: {all} volumes' data left for others, {without_event} of them without an event, {without_word} without a word"
        );
        let story = || {
            let lines = left.iter().flat_map(|volume| self.stage.log_lines(volume));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert!(left.is_empty(), "nobody was told of {left:?}\n{}", story());
    }

    /// The volumes that were being deleted when a process was killed.
    fn killed_over(&self, mark: u64) -> BTreeSet<String> {
        let at_work = |at: Timestamp| {
            let after = |kill: &Timestamp| kill.duration_since(at);
            let just_then =
                |kill: &&Timestamp| !after(kill).is_negative() && after(kill) <= JUST_THEN;
            self.kills.iter().find(just_then)
        };
        let requests = self.stage.world().requests_since(mark).into_iter();
        let over = requests.filter(|request| {
            request.resource == "persistentvolumes"
                && matches!(request.verb.as_str(), "delete" | "patch")
                && at_work(request.at).is_some()
        });
        over.map(|request| request.name).collect()
    }
}

/// The volumes whose canaries are in a directory.
fn canaries(dir: &Path) -> Vec<String> {
    let found = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let found =
        found.flat_map(
            |entry| match entry.file_name().to_string_lossy().strip_prefix("canary-") {
                Some(volume) => vec![volume.to_owned()],
                None => canaries(&entry.path()),
            },
        );
    found.collect()
}

/// Returns the claim that was made.
async fn carry_out(stage: &Stage, step: &Step) -> Option<PersistentVolumeClaim> {
    let one = DeleteParams::default();
    let done = match step {
        Step::Create { name, class, group } => {
            let labels = json!({"metadata": {"labels": {"group": format!("g{group}")}}});
            let claim = mk_claim_from(name, class, labels);
            // The one of before may still be going.
            eventually_within(REST, format!("{name} can be created"), async || match stage
                .claims()
                .create(&PostParams::default(), &claim)
                .await
            {
                Err(kube::Error::Api(status)) if status.code == 409 => None,
                made => Some(made.map(Some)),
            })
            .await
        }
        Step::DeleteClaim(name) => stage.claims().delete(name, &one).await.map(|_| None),
        Step::DeleteVolume(name) => stage.volumes().delete(name, &one).await.map(|_| None),
    };
    match done {
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        done => done.unwrap_or_else(|error| panic!("{step:?}: {error}")),
    }
}

/// The scenario's volumes by name.
async fn volumes(stage: &Stage) -> BTreeMap<String, PersistentVolume> {
    let all = stage
        .volumes()
        .list(&ListParams::default())
        .await
        .expect("volumes");
    let provisioner = stage.provisioner_name();
    let by = |volume: &PersistentVolume| {
        let annotations = volume.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get("pv.kubernetes.io/provisioned-by")) == Some(&provisioner)
    };
    all.into_iter()
        .filter(by)
        .map(|volume| (name_of(&volume), volume))
        .collect()
}

fn canary(volume: &str) -> String {
    format!("canary-{volume}")
}

fn is_intact(dir: &Path, volume: &str) -> bool {
    let name = canary(volume);
    std::fs::read(dir.join(&name)).is_ok_and(|text| text == name.as_bytes())
}

/// Whether there is no file in it, at whatever depth.
fn is_hollow(dir: &Path) -> bool {
    std::fs::read_dir(dir).expect("a directory").all(|entry| {
        let path = entry.expect("an entry").path();
        path.is_dir() && is_hollow(&path)
    })
}

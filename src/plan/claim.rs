//! What to do about a claim.
//!
//! ```text
//! ours? ─ bound? ─ class? ─ node chosen? ─ may it be served? ─ which directory? ─ free to use? ──> Provision
//! ```
//!
//! A refusal says in one sentence what is wrong and what to change, because `kubectl describe pvc` is where its reader looks.

use crate::plan::facts::{Claim, Class, Request, Standing, Volume};
use crate::plan::leaving::Leaving;
use crate::plan::names;
use crate::plan::pattern::{self, Scope};
use crate::plan::place::Place;
use crate::plan::shares::{Served, Share};
use found::is_its_own;
use nfs_export::SubDir;
use reason::{Misplaced, Reason, shorten};

pub use found::{Found, NameTaken, found};

mod found;
mod reason;

/// Permissions of a volume's directory, whatever the umask of anybody.
const MODE: u32 = 0o777;

/// What else the decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// `PROVISIONER_NAME`
    pub provisioner: &'a str,
    /// The shares.
    pub served: &'a Served,
    /// The claim's class, by the name in [`Request::class`]; `None` where there is none of that name.
    pub class: Option<&'a Class>,
    /// The class has not been missed for long: one that was created together with the claim may be on its way here by another watch.
    pub class_may_follow: bool,
    /// Its volume was made just now, and is not among the volumes yet.
    pub volume_created: bool,
    /// The volume of the name [`names::volume`], whoever's it is.
    pub volume: Option<&'a Volume>,
    /// Directories that are being deleted just now, from before the first call to the share until the store has seen the volume go.
    /// Each with the name of the volume that it is, or was to be.
    pub leaving: &'a Leaving,
}

/// What to do about a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimPlan {
    /// Nothing, unless it changes.
    Ignore(Ignore),
    /// Nothing yet.
    Wait(Wait),
    /// Tell its owner why not.
    Refuse(Refusal),
    /// Make the directory, then the volume.
    Provision(Provision),
}

/// Why nothing is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignore {
    /// It has a volume.
    Bound,
    /// It is for another provisioner.
    Foreign,
    /// It is annotated with our name, but its class belongs to another provisioner.
    ClassOfAnother,
    /// Its volume is made, and will be bound to it.
    VolumeExists,
    /// It is being deleted.
    Deleting,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Its class is not there, which may be so for a moment only.
    ClassMayFollow,
    /// The scheduler has not chosen a node for its first consumer.
    NodeNotSelected,
    /// A directory that is, contains or lies inside the one meant is just being deleted.
    DirectoryIsLeaving {
        /// That directory.
        place: Place,
        /// The volume that goes with it.
        volume: Box<str>,
    },
    /// The volume of its volume's name is being deleted: it gets another then.
    VolumeIsLeaving(Box<str>),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The event's message.
    pub message: String,
    /// When to look at it again.
    pub until: Until,
}

/// What has to change before asking again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The claim.
    ClaimChanges,
    /// Its class, which may also come into being.
    ClassChanges,
    /// Claim or class.
    EitherChanges,
    /// The volume that has its volume's name.
    VolumeGoes,
}

/// The directory and volume to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provision {
    /// The volume's name.
    pub volume: String,
    /// Where.
    pub share: Share,
    /// The directory on it.
    pub dir: SubDir,
    /// The directory's permissions, exactly.
    pub mode: u32,
}

// === impl Provision ===

impl Provision {
    /// Whether the directory can be nobody's but this volume's: its name ends in the volume's, which nobody knows before the claim is there.
    pub fn bears_volume_name(&self) -> bool {
        let before = self.dir.name().strip_suffix(&*self.volume);
        before.is_some_and(|before| before.ends_with('-'))
    }
}

/// Decides about one claim.
pub fn decide(claim: &Claim, around: &Surroundings<'_>) -> ClaimPlan {
    let request = match &claim.standing {
        Standing::Bound => return ClaimPlan::Ignore(Ignore::Bound),
        Standing::Foreign => return ClaimPlan::Ignore(Ignore::Foreign),
        Standing::Wanting(request) => request,
    };
    if request.deleting {
        return ClaimPlan::Ignore(Ignore::Deleting);
    }
    let is_own = |volume| is_its_own(volume, claim);
    if around.volume_created || around.volume.is_some_and(is_own) {
        let leaving = around.volume.filter(|volume| volume.deleting);
        return leaving.map_or(ClaimPlan::Ignore(Ignore::VolumeExists), |volume| {
            ClaimPlan::Wait(Wait::VolumeIsLeaving((*volume.name).into()))
        });
    }
    let class_name = request.class.as_deref().unwrap_or_default();
    let Some(class) = around.class else {
        if around.class_may_follow && !class_name.is_empty() {
            return ClaimPlan::Wait(Wait::ClassMayFollow);
        }
        let reason = if class_name.is_empty() {
            Reason::Unnamed
        } else {
            Reason::NoClass
        };
        return ClaimPlan::Refuse(reason.refuse(class_name));
    };
    if *class.provisioner != *around.provisioner {
        return ClaimPlan::Ignore(Ignore::ClassOfAnother);
    }
    if class.wait_for_first_consumer && !request.node_selected {
        return ClaimPlan::Wait(Wait::NodeNotSelected);
    }
    if request.block {
        return ClaimPlan::Refuse(Refusal::block(around.provisioner));
    }
    if let Some(volume) = around.volume {
        let taken = NameTaken::new(&volume.name, volume.claim.as_deref());
        return ClaimPlan::Refuse(Reason::from(taken).refuse(class_name));
    }
    match provision(claim, request, class, around.served) {
        Err(reason) => ClaimPlan::Refuse(reason.refuse(class_name)),
        Ok(provision) => {
            let place = provision.share.place(&provision.dir);
            match around.leaving.around(&place).next() {
                Some((volume, place)) => ClaimPlan::Wait(Wait::DirectoryIsLeaving {
                    place: place.clone(),
                    volume: volume.into(),
                }),
                None => ClaimPlan::Provision(provision),
            }
        }
    }
}

fn provision(
    claim: &Claim,
    request: &Request,
    class: &Class,
    served: &Served,
) -> Result<Provision, Reason> {
    if request.selector {
        return Err(Reason::Selector);
    }
    if let Some(source) = &request.data_source {
        return Err(Reason::DataSource(source.clone()));
    }
    let share = served.chosen_by(class.params.share.as_ref().map_err(Clone::clone)?);
    let volume = names::volume(&claim.uid);
    let dir = directory(claim, request, class, &volume, served, &share)?;
    Ok(Provision {
        volume,
        share,
        dir,
        mode: MODE,
    })
}

fn directory(
    claim: &Claim,
    request: &Request,
    class: &Class,
    volume: &str,
    served: &Served,
    share: &Share,
) -> Result<SubDir, Reason> {
    if let Some(pattern) = &class.params.path_pattern {
        let scope = Scope {
            namespace: &claim.namespace,
            name: &claim.name,
            labels: &request.labels,
            annotations: &request.annotations,
        };
        let result = pattern::expand(pattern, &scope)
            .map_err(|why| Reason::Endless(shorten(pattern), why))?;
        if !result.is_empty() {
            return placed(&result, served, share).map_err(|why| Reason::Pattern {
                pattern: shorten(pattern),
                result: shorten(&result),
                why,
            });
        }
    }
    let text = names::default_directory(&claim.namespace, &claim.name, volume);
    placed(&text, served, share).map_err(|why| Reason::Directory(shorten(&text), why))
}

fn placed(text: &str, served: &Served, share: &Share) -> Result<SubDir, Misplaced> {
    let dir = SubDir::parse(text)?;
    if names::is_hidden(&dir) {
        return Err(Misplaced::Hidden);
    }
    served.guard(&share.place(&dir))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::{
        OURS, mk_claim, mk_class, mk_class_of, mk_place, mk_served, mk_share, mk_surroundings,
        mk_volume,
    };
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn mk_plan(claim: &Claim, class: Option<&Class>) -> ClaimPlan {
        let served = mk_served(&["/data/nfs/fast", "/srv"]);
        decide(claim, &mk_surroundings(&served, class))
    }

    fn mk_provision(dir: &str) -> ClaimPlan {
        let share = mk_share("/data/nfs");
        ClaimPlan::Provision(Provision {
            volume: "pvc-u1".into(),
            share,
            dir: SubDir::parse(dir).unwrap(),
            mode: 0o777,
        })
    }

    fn refusal(plan: ClaimPlan) -> Refusal {
        match plan {
            ClaimPlan::Refuse(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A claim, the class that it names, and what follows.
    #[test]
    fn claims_are_served_or_left_alone() {
        let plain = mk_class(&[]);
        let other = mk_class_of(json!({"provisioner": "other.io/x"}));
        let waiting = mk_class_of(json!({"volumeBindingMode": "WaitForFirstConsumer"}));
        let default = mk_provision("default-data-pvc-u1");
        let old_name = "volume.beta.kubernetes.io/storage-provisioner";
        let new_name = "volume.kubernetes.io/storage-provisioner";
        for (outcome, patch, class, plan) in [
            ("served", json!({}), &plain, default.clone()),
            (
                "served by the older annotation",
                json!({"metadata": {"annotations": {new_name: null, old_name: OURS}}}),
                &plain,
                default.clone(),
            ),
            (
                "another's, for the newer annotation decides",
                json!({"metadata": {"annotations": {new_name: "other.io/x", old_name: OURS}}}),
                &plain,
                ClaimPlan::Ignore(Ignore::Foreign),
            ),
            (
                "another's without annotations",
                json!({"metadata": {"annotations": null}}),
                &plain,
                ClaimPlan::Ignore(Ignore::Foreign),
            ),
            (
                "bound",
                json!({"spec": {"volumeName": "pv"}}),
                &plain,
                ClaimPlan::Ignore(Ignore::Bound),
            ),
            (
                "its class is another's",
                json!({}),
                &other,
                ClaimPlan::Ignore(Ignore::ClassOfAnother),
            ),
            (
                "going",
                json!({"metadata": {"deletionTimestamp": "2026-11-22T14:03:27Z"}}),
                &plain,
                ClaimPlan::Ignore(Ignore::Deleting),
            ),
            (
                "waits for its consumer",
                json!({}),
                &waiting,
                ClaimPlan::Wait(Wait::NodeNotSelected),
            ),
            (
                "waits while the node is empty",
                json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": ""}}}),
                &waiting,
                ClaimPlan::Wait(Wait::NodeNotSelected),
            ),
            (
                "served with its consumer's node",
                json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n1"}}}),
                &waiting,
                default.clone(),
            ),
        ] {
            assert_eq!(mk_plan(&mk_claim(patch), Some(class)), plan, "{outcome}");
        }
    }

    #[test]
    fn a_directory_that_bears_its_volume_s_name_is_told_from_one_that_anybody_may_have_made() {
        for (dir, bears) in [
            ("default-data-pvc-u1", true),
            ("pvc-u1", false),
            ("default-data-pvc-u2", false),
            ("default-data-pvc-u1/data", false),
            ("by-hand", false),
        ] {
            let ClaimPlan::Provision(provision) = mk_provision(dir) else {
                panic!("provisioned")
            };
            assert_eq!(provision.bears_volume_name(), bears, "{dir}");
        }
    }

    #[test]
    fn class_by_annotation_wins_over_the_field() {
        let claim = mk_claim(
            json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}}}),
        );
        let Standing::Wanting(request) = &claim.standing else {
            panic!("not ours")
        };
        assert_eq!(request.class.as_deref(), Some("old"));
        assert!(
            refusal(mk_plan(&claim, None))
                .message
                .starts_with("failed to provision volume with StorageClass \"old\": ")
        );
    }

    #[test]
    fn a_volume_that_exists_is_not_made_again() {
        let (served, class) = (mk_served(&[]), mk_class(&[]));
        let around = Surroundings {
            volume_created: true,
            ..mk_surroundings(&served, Some(&class))
        };
        assert_eq!(
            decide(&mk_claim(json!({})), &around),
            ClaimPlan::Ignore(Ignore::VolumeExists)
        );
    }

    /// Made by hand under that name, or taken from the claim.
    #[test]
    fn a_volume_of_that_name_serves_only_the_claim_that_it_is_for() {
        let (served, class) = (mk_served(&[]), mk_class(&[]));
        let exists = ClaimPlan::Ignore(Ignore::VolumeExists);
        let by_hand = json!({"spec": {"claimRef": {"uid": null}}});
        for (changes, taken_for) in [
            (json!({}), None),
            (by_hand, None),
            (
                json!({"spec": {"claimRef": {"uid": "u2"}}}),
                Some("for claim default/data;"),
            ),
            (
                json!({"spec": {"claimRef": {"uid": null, "name": "other"}}}),
                Some("for claim default/other;"),
            ),
            (json!({"spec": {"claimRef": null}}), Some("for no claim;")),
        ] {
            let volume = mk_volume("pvc-u1", "/data/nfs/by-hand", changes.clone());
            let around = Surroundings {
                volume: Some(&volume),
                ..mk_surroundings(&served, Some(&class))
            };
            let plan = decide(&mk_claim(json!({})), &around);
            let Some(holder) = taken_for else {
                assert_eq!(plan, exists, "{changes}");
                continue;
            };
            let refusal = refusal(plan);
            assert!(refusal.message.contains(holder), "{}", refusal.message);
            assert!(refusal.message.contains("delete that volume"), "{changes}");
            assert_eq!(refusal.until, Until::VolumeGoes);
        }
    }

    /// Kubernetes binds no claim to it any more, and the claim's volume can have no other name.
    #[test]
    fn a_volume_of_that_name_that_is_being_deleted_is_waited_for() {
        let (served, class) = (mk_served(&[]), mk_class(&[]));
        let going = json!({"deletionTimestamp": "2026-11-22T14:03:27Z"});
        for changes in [json!({}), json!({"claimRef": null})] {
            let changes = json!({"metadata": going, "spec": changes});
            let volume = mk_volume("pvc-u1", "/data/nfs/by-hand", changes.clone());
            let around = Surroundings {
                volume: Some(&volume),
                ..mk_surroundings(&served, Some(&class))
            };
            let wait = ClaimPlan::Wait(Wait::VolumeIsLeaving("pvc-u1".into()));
            assert_eq!(decide(&mk_claim(json!({})), &around), wait, "{changes}");
        }
    }

    #[test]
    fn of_a_wait_that_lasts_cause_and_cure_are_told() {
        let leaving = Wait::DirectoryIsLeaving {
            place: mk_place("/data/nfs/a"),
            volume: "pvc-u2".into(),
        };
        let told = leaving.lasting("nfs-client").unwrap();
        for part in [
            "StorageClass \"nfs-client\": ",
            "192.168.10.14:/data/nfs/a",
            "; see",
            "describe pv pvc-u2",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let held = Wait::VolumeIsLeaving("pvc-u1".into());
        let told = held.lasting("nfs-client").unwrap();
        for part in ["pvc-u1 is there already", "finalizer", "create it anew"] {
            assert!(told.contains(part), "{told}");
        }
        for others_tell in [Wait::ClassMayFollow, Wait::NodeNotSelected] {
            assert_eq!(others_tell.lasting("nfs-client"), None);
        }
    }

    #[test]
    fn a_class_that_may_follow_its_claim_is_waited_for() {
        let served = mk_served(&[]);
        let around = Surroundings {
            class_may_follow: true,
            ..mk_surroundings(&served, None)
        };
        assert_eq!(
            decide(&mk_claim(json!({})), &around),
            ClaimPlan::Wait(Wait::ClassMayFollow)
        );
    }

    #[test]
    fn a_directory_that_is_being_deleted_is_waited_for() {
        let (served, class) = (mk_served(&[]), mk_class(&[("pathPattern", "a/b")]));
        for (leaving, waits) in [
            ("/data/nfs/a/b", true),
            ("/data/nfs/a", true),
            ("/data/nfs/a/b/c", true),
            ("/data/nfs/a/bc", false),
            ("/data/nfs/c", false),
        ] {
            let mut all = Leaving::default();
            all.insert("pvc-u3", mk_place("/data/nfs/z"));
            all.insert("pvc-u2", mk_place(leaving));
            let around = Surroundings {
                leaving: &all,
                ..mk_surroundings(&served, Some(&class))
            };
            let wait = ClaimPlan::Wait(Wait::DirectoryIsLeaving {
                place: mk_place(leaving),
                volume: "pvc-u2".into(),
            });
            assert_eq!(
                decide(&mk_claim(json!({})), &around),
                if waits { wait } else { mk_provision("a/b") },
                "{leaving}"
            );
        }
    }

    #[test]
    fn selector_is_refused_with_the_cure_before_the_words_of_the_go_provisioner() {
        let refusal = refusal(mk_plan(
            &mk_claim(json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}})),
            Some(&mk_class(&[])),
        ));
        assert_eq!(
            refusal.message,
            "failed to provision volume with StorageClass \"nfs-client\": a directory is made for each claim, none is chosen by labels: \
             create the claim anew without spec.selector; claim Selector is not supported"
        );
        assert_eq!(refusal.until, Until::ClaimChanges);
    }

    /// Names are DNS subdomains, of 253 characters at most.
    #[test]
    fn refusals_in_gos_words_leave_room_in_an_event_for_the_longest_names() {
        let name = "n".repeat(253);
        let refusals = [Reason::Selector.refuse(&name), Refusal::block(&name)];
        for refusal in refusals {
            assert!(refusal.message.contains("create the claim anew"));
            assert!(refusal.message.len() <= 1024, "{}", refusal.message.len());
        }
    }

    #[test]
    fn block_is_refused_in_the_words_of_the_go_library_and_with_the_cure() {
        let refusal = refusal(mk_plan(
            &mk_claim(json!({"spec": {"volumeMode": "Block"}})),
            Some(&mk_class(&[])),
        ));
        assert_eq!(
            refusal.message,
            format!(
                "{OURS} does not support block volume provisioning; create the claim anew with volumeMode: Filesystem"
            )
        );
        assert_eq!(refusal.until, Until::ClaimChanges);
    }

    /// What is wrong, the words in which cause and cure must show, and what has to change.
    type Row<'a> = (&'a str, Claim, Option<Class>, &'a [&'a str], Until);

    fn assert_refused((outcome, claim, class, words, until): Row<'_>) {
        let refusal = refusal(mk_plan(&claim, class.as_ref()));
        for word in words {
            assert!(
                refusal.message.contains(word),
                "{outcome}: {word:?} is not in {:?}",
                refusal.message
            );
        }
        assert!(
            refusal
                .message
                .starts_with("failed to provision volume with StorageClass \""),
            "{outcome}"
        );
        let cure = refusal.message.rsplit("; ").next().unwrap_or_default();
        assert!(
            ["create", "change", "give"]
                .iter()
                .any(|act| cure.contains(act)),
            "{outcome}: after the last semicolon stands {cure:?}"
        );
        assert!(
            refusal.message.len() <= 1024,
            "{outcome}: too long for an event"
        );
        assert_eq!(refusal.until, until, "{outcome}");
    }

    #[test]
    fn refusals_of_claims_and_classes_name_cause_and_cure() {
        let spec = |fields: Value| mk_claim(json!({"spec": fields}));
        let plain = || spec(json!({}));
        let source = json!({"kind": "VolumeSnapshot", "name": "snap", "apiGroup": "snapshot.storage.k8s.io"});
        let rows: [Row<'_>; 5] = [
            (
                "no class of that name",
                plain(),
                None,
                &["\"nfs-client\": there is no such class", "create it"],
                Until::ClassChanges,
            ),
            (
                "no class named",
                spec(json!({"storageClassName": null})),
                None,
                &["names no class", "storageClassName"],
                Until::ClaimChanges,
            ),
            (
                "a data source",
                spec(json!({"dataSource": source})),
                Some(mk_class(&[])),
                &[
                    "VolumeSnapshot \"snap\"",
                    "create the claim anew without dataSource",
                    "copy the data",
                ],
                Until::ClaimChanges,
            ),
            (
                "a data source by reference",
                spec(json!({"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "src"}})),
                Some(mk_class(&[])),
                &[
                    "PersistentVolumeClaim \"src\"",
                    "create the claim anew without dataSource and dataSourceRef",
                ],
                Until::ClaimChanges,
            ),
            (
                "a bad port",
                plain(),
                Some(mk_class(&[("nfsPort", "x")])),
                &["parameter \"nfsPort\" is \"x\"", "create it anew"],
                Until::ClassChanges,
            ),
        ];
        rows.into_iter().for_each(assert_refused);
    }

    #[test]
    fn refusals_of_directories_name_cause_and_cure() {
        let plain = || mk_claim(json!({}));
        let long = "x".repeat(256);
        let rows: [Row<'_>; 6] = [
            (
                "a pattern that leaves the share",
                plain(),
                Some(mk_class(&[("pathPattern", "../${.PVC.name}")])),
                &[
                    "pathPattern \"../${.PVC.name}\" gives \"../data\"",
                    "leaves the share",
                    "change the labels or annotations",
                ],
                Until::EitherChanges,
            ),
            (
                "a pattern that is the share",
                plain(),
                Some(mk_class(&[("pathPattern", "/./")])),
                &["gives \"/./\"", "the share itself"],
                Until::EitherChanges,
            ),
            (
                "a pattern into our folder",
                plain(),
                Some(mk_class(&[(
                    "pathPattern",
                    ".nfs-subdir-external-provisioner/${.PVC.name}",
                )])),
                &["belongs to the provisioner"],
                Until::EitherChanges,
            ),
            (
                "a component that is too long",
                plain(),
                Some(mk_class(&[("pathPattern", &long)])),
                &["256 bytes", "limit is 255"],
                Until::EitherChanges,
            ),
            (
                "a pattern that is another class's share",
                plain(),
                Some(mk_class(&[("pathPattern", "fast")])),
                &["192.168.10.14:/data/nfs/fast is a share itself"],
                Until::EitherChanges,
            ),
            (
                "a default directory that is too long",
                mk_claim(json!({"metadata": {"name": "y".repeat(253)}})),
                Some(mk_class(&[])),
                &["limit is 255", "shorter name", "pathPattern"],
                Until::EitherChanges,
            ),
        ];
        rows.into_iter().for_each(assert_refused);
    }

    #[test]
    fn a_pattern_that_comes_out_empty_gives_the_default_directory() {
        let class = mk_class(&[("pathPattern", "${.PVC.labels.missing}")]);
        assert_eq!(
            mk_plan(&mk_claim(json!({})), Some(&class)),
            mk_provision("default-data-pvc-u1")
        );
    }

    #[test]
    fn slashes_of_a_pattern_nest_directories() {
        let class = mk_class(&[(
            "pathPattern",
            "/${.PVC.namespace}//${.PVC.annotations.nfs.io/path}/./",
        )]);
        let claim = mk_claim(json!({"metadata": {"annotations": {"nfs.io/path": "team/x"}}}));
        assert_eq!(
            mk_plan(&claim, Some(&class)),
            mk_provision("default/team/x")
        );
    }

    #[test]
    fn a_class_with_server_and_share_is_served_there() {
        let class = mk_class(&[
            ("server", "nas2"),
            ("share", "/export"),
            ("nfsPort", "2050"),
            ("pathPattern", "d"),
        ]);
        let ClaimPlan::Provision(provision) = mk_plan(&mk_claim(json!({})), Some(&class)) else {
            panic!("refused")
        };
        assert_eq!(
            provision.share.place(&provision.dir).to_string(),
            "nas2:/export/d"
        );
        assert_eq!(
            (provision.share.nfs_port, provision.share.mount_port),
            (Some(2050), None)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn no_input_leaves_the_share(
            pattern in r"([a-z./\x00]|\.\./|/\.\.|\$\{\.PVC\.(name|namespace|bogus|labels\.a|annotations\.k)\}|\.nfs-subdir-external-provisioner){0,8}",
            label in r"[a-z./ü\n]{0,12}|(\.\./){1,3}etc|\$\{\.PVC\.name\}",
            annotation in r"[a-z./$ü\n]{0,12}|/?(\.\./){1,3}|\.|x{250,260}",
        ) {
            let class = mk_class(&[("pathPattern", &pattern)]);
            let claim = mk_claim(json!({"metadata": {"labels": {"a": label}, "annotations": {"k": annotation}}}));
            match mk_plan(&claim, Some(&class)) {
                ClaimPlan::Provision(provision) => {
                    let place = provision.share.place(&provision.dir);
                    let below = place.below(&provision.share.root).unwrap();
                    prop_assert_eq!(below, provision.dir.as_str());
                    prop_assert!(!below.is_empty());
                    for component in below.split('/') {
                        prop_assert!(!["", ".", "..", names::HIDDEN].contains(&component), "{}", place);
                        prop_assert!(component.len() <= 255, "{}", place);
                    }
                    for share in ["/data/nfs/fast", "/srv", "/data/nfs"] {
                        prop_assert!(mk_place(share).below(&place).is_none(), "{} holds a share", place);
                    }
                }
                ClaimPlan::Refuse(refusal) => prop_assert!(refusal.message.contains("pathPattern")),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

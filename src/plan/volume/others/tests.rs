//! What becomes of volumes beside others that have a part in their directories.

use crate::plan::mk::{OURS, mk_class, mk_class_of, mk_place, mk_served, mk_volume};
use crate::plan::volume::tests::*;
use crate::plan::volume::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Another volume, and how its directory lies to ours at /data/nfs/a/b.
#[test]
fn a_directory_that_another_volume_has_a_part_in_stays() {
    let bound = |path: &str| mk_volume("other", path, json!({"status": {"phase": "Bound"}}));
    let csi = |share: &str, sub: &str| {
        mk_volume(
            "other",
            "/",
            json!({"metadata": {"annotations": null}, "spec": {"nfs": null, "csi": {"driver": "nfs.csi.k8s.io",
            "volumeHandle": "h", "volumeAttributes": {"server": crate::plan::mk::SERVER, "share": share, "subDir": sub}}}}),
        )
    };
    let by_hand = mk_volume(
        "other",
        "/data/nfs/a/b",
        json!({"metadata": {"annotations": null}}),
    );
    let kept = mk_volume(
        "other",
        "/data/nfs/a/b",
        json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}),
    );
    let elsewhere = mk_volume(
        "other",
        "/",
        json!({"spec": {"nfs": {"server": "nas9", "path": "/data/nfs/a/b"}}}),
    );
    for (outcome, other, relation) in [
        ("the same", bound("/data/nfs/a/b"), Some(Relation::Same)),
        (
            "the same, written otherwise",
            bound("/data//nfs/a/./b/"),
            Some(Relation::Same),
        ),
        (
            "inside ours",
            bound("/data/nfs/a/b/c/d"),
            Some(Relation::Inside),
        ),
        (
            "around ours",
            bound("/data/nfs/a"),
            Some(Relation::Contains),
        ),
        (
            "the whole share",
            bound("/data/nfs"),
            Some(Relation::Contains),
        ),
        ("the whole server", bound("/"), Some(Relation::Contains)),
        (
            "csi-driver-nfs",
            csi("/data/nfs", "a/b"),
            Some(Relation::Same),
        ),
        (
            "csi-driver-nfs without a directory",
            csi("/data/nfs/a", ""),
            Some(Relation::Contains),
        ),
        ("made by hand and released", by_hand, Some(Relation::Same)),
        ("kept and released", kept, Some(Relation::Same)),
        ("its neighbour", bound("/data/nfs/a/bc"), None),
        ("its neighbour's child", bound("/data/nfs/a/b-c/d"), None),
        ("another server", elsewhere, None),
    ] {
        for params in [&[("onDelete", "delete")], &[("archiveOnDelete", "true")]] {
            let volume = mk_volume("pvc-1", "/data/nfs/a/b", json!({}));
            let plan = mk_plan_beside(&volume, Some(&mk_class(params)), &[&other]);
            match (&plan, relation) {
                (VolumePlan::KeepData(kept), Some(relation)) => {
                    assert_eq!(
                        (&*kept.holder, kept.relation),
                        ("other", relation),
                        "{outcome}"
                    );
                    assert!(
                        kept.message.contains("volume other (claim default/data)"),
                        "{outcome}: {}",
                        kept.message
                    );
                }
                (VolumePlan::Delete(_) | VolumePlan::Archive(_), None) => {}
                _ => panic!("{outcome}: {plan:?}"),
            }
        }
        let retained = mk_plan_beside(
            &mk_volume("pvc-1", "/data/nfs/a/b", json!({})),
            Some(&mk_class(&[("onDelete", "retain")])),
            &[&other],
        );
        assert_eq!(retained, VolumePlan::Retain, "{outcome}");
    }
}

#[test]
fn of_released_volumes_with_one_directory_the_last_takes_it_along() {
    let class = mk_class(&[("onDelete", "delete")]);
    let (first, last) = (
        mk_volume("pvc-1", "/data/nfs/a", json!({})),
        mk_volume("pvc-2", "/data/nfs/a", json!({})),
    );
    assert!(matches!(
        mk_plan_beside(&first, Some(&class), &[&last]),
        VolumePlan::KeepData(_)
    ));
    assert_eq!(
        mk_plan_beside(&last, Some(&class), &[&first]),
        VolumePlan::Wait(Wait::GoesLater("pvc-1".into()))
    );
    let leaving = |name| {
        let mut volume = mk_volume(name, "/data/nfs/a", json!({}));
        (volume.deleting, volume.finalizer) = (true, false);
        volume
    };
    for name in ["pvc-1", "pvc-3"] {
        assert_eq!(
            mk_plan_beside(&last, Some(&class), &[&leaving(name)]),
            mk_delete("a", "pvc-2"),
            "what is leaving holds nothing, and another's finalizer may keep it for long"
        );
    }
    let mut foreign = leaving("pvc-1");
    foreign.ours = false;
    assert_eq!(
        mk_plan_beside(&last, Some(&class), &[&foreign]),
        VolumePlan::Wait(Wait::GoesLater("pvc-1".into())),
        "what its own program has still to do is not known"
    );
    let mut deleting = mk_volume("pvc-3", "/data/nfs/a", json!({}));
    (deleting.deleting, deleting.finalizer) = (true, true);
    assert_eq!(
        mk_plan_beside(&last, Some(&class), &[&deleting]),
        VolumePlan::Wait(Wait::GoesLater("pvc-3".into())),
        "what is being deleted is not counted on"
    );
    assert!(matches!(
        mk_plan_beside(&deleting, Some(&class), &[&last]),
        VolumePlan::KeepData(_)
    ));
    let changes: [fn(&mut Volume); 3] = [
        |volume| volume.phase = Phase::Bound,
        |volume| volume.phase = Phase::Pending,
        |volume| volume.reclaim = Reclaim::Keep,
    ];
    for change in changes {
        for finalizer in [false, true] {
            let mut other = leaving("pvc-1");
            other.finalizer = finalizer;
            change(&mut other);
            let plan = mk_plan_beside(&last, Some(&class), &[&other]);
            assert!(matches!(plan, VolumePlan::KeepData(_)), "{other:?}");
        }
    }
    assert_eq!(mk_plan(&last, Some(&class)), mk_delete("a", "pvc-2"));
}

/// It has left the directory to a volume that was there then; it will not come back to it for one that goes now.
#[test]
fn a_volume_that_is_just_parting_takes_nothing_along() {
    let (class, served) = (mk_class(&[("onDelete", "delete")]), mk_served(&[]));
    let classes = mk_classes([&class]);
    let volume = mk_volume("pvc-1", "/data/nfs/a", json!({}));
    let other = mk_volume("pvc-2", "/data/nfs/a", json!({}));
    let occupied = mk_occupied(&[&volume, &other]);
    let plan = |parting: &[Arc<str>]| {
        let around = Surroundings {
            served: &served,
            classes: &classes,
            provisioner: OURS,
            occupied: &occupied,
            arriving: &[],
            parting,
        };
        decide(&volume, &around)
    };
    assert!(matches!(plan(&[]), VolumePlan::KeepData(_)));
    assert_eq!(
        plan(&["pvc-2".into()]),
        VolumePlan::Wait(Wait::GoesLater("pvc-2".into()))
    );
}

#[test]
fn a_directory_that_a_claim_is_just_getting_is_waited_for() {
    let (class, served) = (mk_class(&[("onDelete", "delete")]), mk_served(&[]));
    let classes = mk_classes([&class]);
    let volume = mk_volume("pvc-1", "/data/nfs/a/b", json!({}));
    let occupied = mk_occupied(&[&volume]);
    for (arriving, waits) in [
        ("/data/nfs/a/b", true),
        ("/data/nfs/a", true),
        ("/data/nfs/a/b/c", true),
        ("/data/nfs/a/c", false),
    ] {
        let places = [mk_place(arriving)];
        let plan = decide(
            &volume,
            &Surroundings {
                served: &served,
                classes: &classes,
                provisioner: OURS,
                occupied: &occupied,
                arriving: &places,
                parting: &[],
            },
        );
        assert_eq!(
            matches!(plan, VolumePlan::Wait(Wait::DirectoryIsArriving(_))),
            waits,
            "{arriving}: {plan:?}"
        );
    }
}

/// Two released volumes with classes of their own, where the other one lies, and what is done about the first: deleted (D), archived (A), retained
/// (R), left to the other (K), or not yet (W).
#[test]
fn data_is_never_left_to_a_volume_that_keeps_less_of_it() {
    for (mine, theirs, there, letter, words) in [
        ("archive", "delete", "/data/nfs/a", 'A', ""),
        ("archive", "archive", "/data/nfs/a", 'K', "archives it"),
        ("archive", "retain", "/data/nfs/a", 'K', "leaves it there"),
        ("delete", "delete", "/data/nfs/a", 'K', "takes it along"),
        ("delete", "archive", "/data/nfs/a", 'K', "archives it"),
        ("retain", "delete", "/data/nfs/a", 'W', ""),
        ("retain", "archive", "/data/nfs/a", 'W', ""),
        ("retain", "retain", "/data/nfs/a", 'R', ""),
        ("delete", "archive", "/data/nfs/a/b/c", 'W', ""),
        ("archive", "delete", "/data/nfs/a/b/c", 'W', ""),
        ("delete", "retain", "/data/nfs/a/b/c", 'K', "lies inside"),
        ("archive", "retain", "/data/nfs/a/b/c", 'K', "lies inside"),
        ("retain", "delete", "/data/nfs/a/b/c", 'R', ""),
        // By name the other one, pvc-2, takes it along.
        ("archive", "delete", "/data/nfs/a/b", 'W', ""),
        ("delete", "delete", "/data/nfs/a/b", 'K', "takes it along"),
        ("delete", "archive", "/data/nfs/a/b", 'K', "uses"),
        ("retain", "delete", "/data/nfs/a/b", 'W', ""),
        ("delete", "retain", "/data/nfs/a/b", 'K', "leaves it there"),
        (
            "archive",
            "unreadable",
            "/data/nfs/a",
            'K',
            "cannot be deleted now",
        ),
        (
            "archive",
            "unreadable",
            "/data/nfs/a/b",
            'K',
            "cannot be deleted now",
        ),
        ("retain", "unreadable", "/data/nfs/a", 'R', ""),
    ] {
        let outcome = format!("{mine}, and {theirs} in {there}");
        let volume = mk_volume_of("pvc-1", "/data/nfs/a/b", mine);
        let other = mk_volume_of("pvc-2", there, theirs);
        let plan = mk_plan_among(&volume, &mk_policies(), &[&other]);
        let (found, said) = match &plan {
            VolumePlan::Delete(_) => ('D', ""),
            VolumePlan::Archive(_) => ('A', ""),
            VolumePlan::Retain => ('R', ""),
            VolumePlan::KeepData(kept) => ('K', &*kept.message),
            VolumePlan::Wait(Wait::GoesLater(_) | Wait::LeavesLater(_)) => ('W', ""),
            _ => panic!("{outcome}: {plan:?}"),
        };
        assert_eq!(found, letter, "{outcome}");
        assert!(said.contains(words), "{outcome}: {said}");
    }
}

#[test]
fn of_a_wait_that_lasts_it_is_told_who_goes_first() {
    let volume = mk_volume("pvc-2", "/data/nfs/a/b", json!({}));
    for (path, verb) in [
        ("/data/nfs/a/b", "uses"),
        ("/data/nfs/a", "contains"),
        ("/data/nfs/a/b/c", "lies inside"),
    ] {
        let mut occupied = Occupied::default();
        for volume in [&volume, &mk_volume("pvc-1", path, json!({}))] {
            occupied.put(&Arc::new(volume.clone()));
        }
        let named = format!("waits: volume pvc-1 (claim default/data) {verb} this directory");
        for (wait, takes) in [
            (Wait::GoesLater("pvc-1".into()), false),
            (Wait::LeavesLater("pvc-1".into()), true),
        ] {
            let told = wait.lasting(&volume, &occupied).unwrap();
            assert!(told.contains(&named), "{told}");
            assert_eq!(told.contains("take it along"), takes, "{told}");
            assert!(told.contains("; see what holds that one up"), "{told}");
        }
        let gone = Wait::GoesLater("pvc-3".into());
        assert_eq!(gone.lasting(&volume, &occupied), None);
    }
}

/// Kept by its class, or by its own policy and being deleted; either way its object is the last to know.
#[test]
fn what_is_to_stay_waits_until_nobody_is_left_who_would_take_it_along() {
    let bound = |class: &str| {
        let mut volume = mk_volume_of("pvc-2", "/data/nfs/a", class);
        volume.phase = Phase::Bound;
        volume
    };
    let retain = mk_volume_of("pvc-1", "/data/nfs/a/b", "retain");
    let kept = mk_kept("pvc-1", "/data/nfs/a/b", "delete");
    let unreadable = mk_kept("pvc-1", "/data/nfs/a/b", "unreadable");
    let waits = VolumePlan::Wait(Wait::LeavesLater("pvc-2".into()));
    let lets_go = VolumePlan::RemoveFinalizer(Farewell { message: None });
    for (volume, goes) in [
        (&retain, &VolumePlan::Retain),
        (&kept, &lets_go),
        (&unreadable, &lets_go),
    ] {
        for (outcome, other, plan) in [
            (
                "inside",
                mk_volume_of("pvc-2", "/data/nfs/a/b/c", "delete"),
                goes,
            ),
            (
                "retains too",
                mk_volume_of("pvc-2", "/data/nfs/a", "retain"),
                goes,
            ),
            ("kept too", mk_kept("pvc-2", "/data/nfs/a", "delete"), goes),
            ("in use", bound("delete"), goes),
            (
                "the same, deletes",
                mk_volume_of("pvc-2", "/data/nfs/a/b", "delete"),
                &waits,
            ),
            (
                "around, archives",
                mk_volume_of("pvc-2", "/data/nfs/a", "archive"),
                &waits,
            ),
        ] {
            let found = mk_plan_among(volume, &mk_policies(), &[&other]);
            assert_eq!(&found, plan, "{outcome}, {volume:?}");
            let theirs = mk_plan_among(&other, &mk_policies(), &[volume]);
            let leaves = matches!(theirs, VolumePlan::KeepData(_));
            assert!(*plan != waits || leaves, "{outcome}: {theirs:?}");
        }
        let taker = mk_volume_of("pvc-2", "/data/nfs/a", "delete");
        let parting = [taker.name.clone()];
        let around = Surroundings {
            served: &mk_served(&[]),
            classes: &mk_policies(),
            provisioner: OURS,
            occupied: &mk_occupied(&[volume, &taker]),
            arriving: &[],
            parting: &parting,
        };
        assert_eq!(decide(volume, &around), waits, "it may not part after all");
    }
}

/// The one around it may leave the data in turn.
#[test]
fn data_is_not_left_to_an_outer_volume_past_one_that_keeps_less_of_it() {
    let volume = mk_volume_of("pvc-1", "/data/nfs/a/b/c", "archive");
    let outer = mk_volume_of("pvc-2", "/data/nfs/a", "archive");
    let same = mk_volume_of("pvc-3", "/data/nfs/a/b/c", "delete");
    let between = mk_volume_of("pvc-3", "/data/nfs/a/b", "delete");
    let plan = |others: &[&Volume]| mk_plan_among(&volume, &mk_policies(), others);
    assert!(matches!(plan(&[&outer]), VolumePlan::KeepData(_)));
    assert_eq!(
        plan(&[&outer, &same]),
        VolumePlan::Wait(Wait::GoesLater("pvc-3".into()))
    );
    assert!(matches!(plan(&[&outer, &between]), VolumePlan::Archive(_)));
}

/// The object of the one around it goes as soon as nobody would take that one's directory along.
#[test]
fn data_is_not_left_to_a_retained_volume_whose_object_is_going_past_one_that_keeps_less_of_it() {
    let volume = mk_volume_of("pvc-1", "/data/nfs/a/b/c", "archive");
    let outer = mk_kept("pvc-2", "/data/nfs/a", "delete");
    let waits = VolumePlan::Wait(Wait::GoesLater("pvc-3".into()));
    for path in ["/data/nfs/a/b/c", "/data/nfs/a/b"] {
        let other = mk_volume_of("pvc-3", path, "delete");
        let plan = mk_plan_among(&volume, &mk_policies(), &[&outer, &other]);
        assert_eq!(plan, waits, "{path}");
        let theirs = mk_plan_among(&other, &mk_policies(), &[&outer, &volume]);
        assert!(matches!(theirs, VolumePlan::KeepData(_)), "{theirs:?}");
    }
    let plan = mk_plan_among(&volume, &mk_policies(), &[&outer]);
    assert!(matches!(plan, VolumePlan::KeepData(_)), "{plan:?}");
}

#[test]
fn a_volume_that_waits_for_one_that_is_refused_says_so() {
    let outer = mk_volume_of("pvc-1", "/data/nfs/a", "delete");
    let inner = mk_volume_of("pvc-2", "/data/nfs/a/b", "unreadable");
    let going = mk_volume_of("pvc-3", "/data/nfs/a/c", "delete");
    let plan = mk_plan_among(&outer, &mk_policies(), &[&inner, &going]);
    let VolumePlan::Wait(Wait::IsHeldUp(why)) = plan else {
        panic!("{plan:?}");
    };
    for word in [
        "/data/nfs/a waits",
        "volume pvc-2 (claim default/data) lies inside",
        "goes first",
        "strconv.ParseBool",
    ] {
        assert!(why.message.contains(word), "{word:?}: {}", why.message);
    }
}

/// A class for each policy, of its name.
fn mk_policies() -> Classes {
    let class = |(name, parameters): (&str, Value)| {
        mk_class_of(json!({"metadata": {"name": name}, "parameters": parameters}))
    };
    let classes = [
        ("delete", json!({"onDelete": "delete"})),
        ("archive", json!({})),
        ("retain", json!({"onDelete": "retain"})),
        ("unreadable", json!({"archiveOnDelete": "nope"})),
    ];
    mk_classes(&classes.map(class))
}

fn mk_volume_of(name: &str, path: &str, class: &str) -> Volume {
    mk_volume(name, path, json!({"spec": {"storageClassName": class}}))
}

/// Its policy is Retain, and somebody has deleted its object.
fn mk_kept(name: &str, path: &str, class: &str) -> Volume {
    let mut volume = mk_volume_of(name, path, class);
    volume.reclaim = Reclaim::Keep;
    (volume.deleting, volume.finalizer) = (true, true);
    volume
}

const PATHS: [&str; 7] = ["a", "a/b", "a/b/c", "a/bc", "d", "d/e", "ab"];
const POLICIES: [&str; 3] = ["delete", "archive", "retain"];

/// A volume at one of [`PATHS`] with a class of one of [`POLICIES`], and whether it is in use, released, or kept while its object is being deleted.
fn mk_world() -> impl Strategy<Value = Vec<Volume>> {
    let volume = (0..PATHS.len(), 0..POLICIES.len(), 0..5);
    proptest::collection::vec(volume, 1..7).prop_map(|all| {
        let mk = |(number, (path, policy, state)): (usize, (usize, usize, i32))| {
            let (name, path) = (
                format!("pvc-{number}"),
                format!("/data/nfs/{}", PATHS[path]),
            );
            let policy = POLICIES[policy];
            if state == 0 {
                return mk_kept(&name, &path, policy);
            }
            let mut volume = mk_volume_of(&name, &path, policy);
            if state < 3 {
                volume.phase = Phase::Bound;
            }
            volume
        };
        all.into_iter().enumerate().map(mk).collect()
    })
}

fn lives(volume: &Volume) -> bool {
    volume.phase == Phase::Bound
}

fn is_to_stay(volume: &Volume) -> bool {
    lives(volume) || volume.reclaim == Reclaim::Keep
}

/// Volumes, and what of their data is still where it was.
struct World {
    volumes: Vec<Volume>,
    data: Vec<Volume>,
}

// === impl World ===

impl World {
    fn new(volumes: Vec<Volume>) -> Self {
        let data = volumes.clone();
        Self { volumes, data }
    }

    fn step(&mut self, at: usize) {
        let volume = self.volumes[at].clone();
        let others: Vec<&Volume> = self.volumes.iter().collect();
        match mk_plan_among(&volume, &mk_policies(), &others) {
            VolumePlan::Delete(delete) => {
                self.go(&volume, &delete.share.place(&delete.dir), &["delete"]);
            }
            VolumePlan::Archive(archive) => {
                let all_but_retained = &["delete", "archive"];
                self.go(
                    &volume,
                    &archive.share.place(&archive.from),
                    all_but_retained,
                );
            }
            VolumePlan::KeepData(_) | VolumePlan::Retain => {}
            VolumePlan::Ignore(Ignore::Leaving) | VolumePlan::RemoveFinalizer(_) => {
                self.volumes.remove(at);
                return;
            }
            VolumePlan::Wait(_) | VolumePlan::Ignore(Ignore::NotReleased) => return,
            other => panic!("{other:?}"),
        }
        // The object is seen for a while after its deletion.
        self.volumes[at].deleting = true;
    }

    fn go(&mut self, volume: &Volume, gone: &Place, policies: &[&str]) {
        for other in &self.volumes {
            let part = match other.place().unwrap().relation(gone) {
                // One that is to go itself can wait until this is out of it.
                Some(Relation::Contains) => lives(other),
                part => part.is_some(),
            };
            let is_other = other.name != volume.name && !other.deleting;
            assert!(!(part && is_other), "{} lost {gone}", other.name);
        }
        self.data.retain(|owner| {
            let goes = owner.place().unwrap().below(gone).is_some();
            assert!(
                !goes || (!is_to_stay(owner) && policies.contains(&&*owner.class)),
                "the data of {owner:?} is lost to {volume:?}"
            );
            !goes
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    /// Carries out plans in any order until none is left: nothing goes that another volume has a part in or whose class keeps more of it, and no
    /// released volume stays.
    #[test]
    fn every_released_volume_goes_and_no_other_loses_anything(all in mk_world(), order in proptest::collection::vec(any::<prop::sample::Index>(), 60)) {
        let mut world = World::new(all.clone());
        for index in order {
            if !world.volumes.is_empty() { world.step(index.index(world.volumes.len())); }
        }
        // Whatever the order left, a few rounds finish.
        for _ in 0..2 * all.len() {
            for at in (0..world.volumes.len()).rev() { world.step(at); }
        }
        prop_assert!(world.volumes.iter().all(lives), "left: {:?}", world.volumes);
        let beside = |one: &Volume, other: &Volume| one.place().unwrap().relation(other.place().unwrap()).is_some();
        let stays = |volume: &Volume| is_to_stay(volume) || &*volume.class == "retain";
        for owner in world.data.iter().filter(|owner| !stays(owner)) {
            // What stays lies in, around or beside something that stays, or in a directory that does.
            let held = all.iter().any(|other| beside(other, owner) && all.iter().any(|live| stays(live) && beside(live, other)));
            prop_assert!(held, "{owner:?} stays for nobody");
        }
    }
}

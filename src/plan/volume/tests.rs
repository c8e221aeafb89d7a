//! What becomes of volumes, by outcome.

use super::own::deciding;
use super::*;
use crate::plan::mk::{OURS, mk_class, mk_class_of, mk_place, mk_served, mk_share, mk_volume};
use proptest::prelude::*;
use serde_json::{Value, json};

const FINALIZED: [&str; 1] = [crate::plan::facts::FINALIZER];
const PATH: &str = "/data/nfs/default-data-pvc-1";

fn mk_dir(path: &str) -> SubDir {
    SubDir::parse(path).unwrap()
}

fn mk_occupied(volumes: &[&Volume]) -> Occupied {
    let mut occupied = Occupied::default();
    for volume in volumes {
        occupied.put(&Arc::new((*volume).clone()));
    }
    occupied
}

fn mk_classes<'a>(classes: impl IntoIterator<Item = &'a Class>) -> Classes {
    let classes = classes.into_iter().cloned();
    classes
        .map(|class| (class.name.clone(), Arc::new(class)))
        .collect()
}

fn mk_plan_among(volume: &Volume, classes: &Classes, others: &[&Volume]) -> VolumePlan {
    let mut occupied = mk_occupied(others);
    occupied.put(&Arc::new(volume.clone()));
    let around = Surroundings {
        provisioner: OURS,
        served: &mk_served(&["/data/nfs/fast", "/srv"]),
        classes,
        occupied: &occupied,
        arriving: &[],
        parting: &[],
    };
    decide(volume, &around)
}

fn mk_plan_beside(volume: &Volume, class: Option<&Class>, others: &[&Volume]) -> VolumePlan {
    let class = class.map(|class| (volume.class.clone(), Arc::new(class.clone())));
    mk_plan_among(volume, &class.into_iter().collect(), others)
}

fn mk_plan(volume: &Volume, class: Option<&Class>) -> VolumePlan {
    mk_plan_beside(volume, class, &[])
}

fn mk_delete(dir: &str, volume: &str) -> VolumePlan {
    let trash = mk_dir(&format!(".nfs-subdir-external-provisioner/{volume}"));
    VolumePlan::Delete(Delete {
        share: mk_share("/data/nfs"),
        dir: mk_dir(dir),
        trash,
    })
}

const NO_CLAIM: &str = "volume deleted by hand; the directory 192.168.10.14:/data/nfs/default-data-pvc-1 stays where it is: no claim had the volume";

fn mk_farewell(message: Option<&str>) -> VolumePlan {
    VolumePlan::RemoveFinalizer(Farewell {
        message: message.map(str::to_owned),
    })
}

/// The advice is to delete the object by hand, and it can be followed.
fn assert_let_go(refused: &Volume, class: &Class, outcome: &str) {
    let mut deleted = refused.clone();
    (deleted.deleting, deleted.finalizer) = (true, true);
    let VolumePlan::RemoveFinalizer(farewell) = mk_plan(&deleted, Some(class)) else {
        panic!("{outcome}: the finalizer stays for ever");
    };
    let said = farewell.message.expect(outcome);
    assert!(said.contains("stays where it is"), "{outcome}: {said}");
    let place = refused.place().map(ToString::to_string);
    assert!(said.contains(&place.unwrap_or_default()), "{said}");
}

fn archived_as(plan: &VolumePlan) -> Option<&str> {
    match plan {
        VolumePlan::Archive(archive) => Some(archive.candidates[0].as_str()),
        _ => None,
    }
}

fn message(plan: VolumePlan) -> String {
    match plan {
        VolumePlan::Refuse(refusal) => refusal.message,
        other => panic!("not refused: {other:?}"),
    }
}

/// A change to a released volume of ours whose class deletes, and what follows.
#[test]
fn volumes_are_reclaimed_or_left_alone() {
    let deletion = "2026-11-22T14:03:27Z";
    let provisioned_by = |name: &str| json!({"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": name}}});
    let going = |finalizers: &[&str], phase: &str, policy: &str| {
        json!({"metadata": {"deletionTimestamp": deletion, "finalizers": finalizers}, "status": {"phase": phase},
            "spec": {"persistentVolumeReclaimPolicy": policy}})
    };
    let delete = mk_delete("default-data-pvc-1", "pvc-1");
    let ignore = VolumePlan::Ignore;
    for (outcome, patch, plan) in [
        ("released", json!({}), delete.clone()),
        (
            "released, with our finalizer",
            json!({"metadata": {"finalizers": FINALIZED}}),
            delete.clone(),
        ),
        (
            "another provisioner's",
            provisioned_by("other.io/x"),
            ignore(Ignore::Foreign),
        ),
        (
            "made by hand",
            json!({"metadata": {"annotations": null}}),
            ignore(Ignore::Foreign),
        ),
        (
            "migrated to us",
            json!({"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": "old.io/x", "pv.kubernetes.io/migrated-to": crate::plan::mk::OURS}}}),
            delete.clone(),
        ),
        (
            "bound",
            json!({"status": {"phase": "Bound"}}),
            ignore(Ignore::NotReleased),
        ),
        (
            "available",
            json!({"status": {"phase": "Available"}}),
            ignore(Ignore::NotReleased),
        ),
        (
            "just made",
            json!({"status": null}),
            ignore(Ignore::NotReleased),
        ),
        (
            "failed",
            json!({"status": {"phase": "Failed"}}),
            ignore(Ignore::NotReleased),
        ),
        (
            "kept",
            json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}),
            ignore(Ignore::Kept),
        ),
        (
            "going without our finalizer",
            going(&["kubernetes.io/pv-protection"], "Released", "Delete"),
            ignore(Ignore::Leaving),
        ),
        (
            "deleted before its claim, now released",
            going(&FINALIZED, "Released", "Delete"),
            delete,
        ),
        (
            "deleted before its claim, still bound",
            going(&FINALIZED, "Bound", "Delete"),
            ignore(Ignore::NotReleased),
        ),
        (
            "deleted, but to be kept",
            going(&FINALIZED, "Bound", "Retain"),
            mk_farewell(None),
        ),
        (
            "deleted before it was bound",
            going(&FINALIZED, "Pending", "Delete"),
            mk_farewell(None),
        ),
        (
            "deleted while nobody's",
            going(&FINALIZED, "Available", "Delete"),
            mk_farewell(Some(NO_CLAIM)),
        ),
        (
            "deleted after Kubernetes failed",
            going(&FINALIZED, "Failed", "Delete"),
            mk_farewell(Some(NO_CLAIM)),
        ),
    ] {
        let class = mk_class(&[("archiveOnDelete", "false")]);
        assert_eq!(
            mk_plan(&mk_volume("pvc-1", PATH, patch), Some(&class)),
            plan,
            "{outcome}"
        );
    }
}

/// What the class says, what was recorded, and whether the directory is deleted (D), archived (A), retained (R) or the volume is refused (X).
#[test]
fn class_decides_then_the_record_then_archiving() {
    let class = |pairs: &[(&str, &str)]| Some(mk_class(pairs));
    for (outcome, class, record, letter) in [
        ("no parameters", class(&[]), None, 'A'),
        (
            "archiveOnDelete true",
            class(&[("archiveOnDelete", "T")]),
            None,
            'A',
        ),
        (
            "archiveOnDelete false",
            class(&[("archiveOnDelete", "0")]),
            None,
            'D',
        ),
        (
            "archiveOnDelete bad",
            class(&[("archiveOnDelete", "nope")]),
            None,
            'X',
        ),
        (
            "onDelete before it",
            class(&[("onDelete", "retain"), ("archiveOnDelete", "nope")]),
            None,
            'R',
        ),
        (
            "unknown onDelete",
            class(&[("onDelete", "shred"), ("archiveOnDelete", "false")]),
            None,
            'D',
        ),
        (
            "the class before the record",
            class(&[("onDelete", "retain")]),
            Some("delete"),
            'R',
        ),
        (
            "a bad port is no matter now",
            class(&[("nfsPort", "x"), ("onDelete", "delete")]),
            None,
            'D',
        ),
        ("class gone, delete recorded", None, Some("delete"), 'D'),
        ("class gone, retain recorded", None, Some("retain"), 'R'),
        ("class gone, archive recorded", None, Some("archive"), 'A'),
        (
            "class gone, a bad bool recorded",
            None,
            Some("archiveOnDelete=nope"),
            'X',
        ),
        ("class gone, nonsense recorded", None, Some("DELETE"), 'A'),
        ("class gone, nothing recorded", None, None, 'A'),
    ] {
        let patch = json!({"metadata": {"annotations": {"nfs-subdir-external-provisioner.io/on-delete": record}}});
        let found = match mk_plan(&mk_volume("pvc-1", PATH, patch), class.as_ref()) {
            VolumePlan::Delete(_) => 'D',
            VolumePlan::Archive(_) => 'A',
            VolumePlan::Retain => 'R',
            VolumePlan::Refuse(_) => 'X',
            other => panic!("{outcome}: {other:?}"),
        };
        assert_eq!(found, letter, "{outcome}");
    }
}

#[test]
fn a_class_of_the_same_name_counts_whoever_serves_it() {
    let class =
        mk_class_of(json!({"provisioner": "old.io/x", "parameters": {"onDelete": "retain"}}));
    assert_eq!(
        mk_plan(&mk_volume("pvc-1", PATH, json!({})), Some(&class)),
        VolumePlan::Retain
    );
}

/// Where a volume lies, and words of the refusal.
#[test]
fn what_is_not_provably_ours_is_refused() {
    let nfs = |server: &str, path: &str| json!({"spec": {"nfs": {"server": server, "path": path}}});
    let here = |path: &str| nfs(crate::plan::mk::SERVER, path);
    let long = format!("/data/nfs/{}", "x".repeat(256));
    for (outcome, patch, words) in [
        (
            "another server",
            nfs("nas9", PATH),
            &[
                "nas9:/data/nfs/default-data-pvc-1 is on no share",
                "192.168.10.14:/data/nfs",
                "NFS_SERVER",
            ][..],
        ),
        (
            "another path",
            here("/other/d"),
            &["is on no share", "by hand"],
        ),
        (
            "a path that only begins like ours",
            here("/data/nfs2/d"),
            &["is on no share"],
        ),
        (
            "the share itself",
            here("/data/nfs/"),
            &["is a share itself"],
        ),
        (
            "the root of the server",
            here("/"),
            &["the share 192.168.10.14:/data/nfs lies inside it"],
        ),
        ("above the share", here("/data"), &["lies inside it"]),
        (
            "a share of a class",
            here("/data/nfs/fast"),
            &["is a share itself"],
        ),
        (
            "steps back",
            here("/data/nfs/a/../../etc"),
            &["component \"..\""],
        ),
        (
            "steps back and in again",
            here("/data/nfs/../nfs/d"),
            &["component \"..\""],
        ),
        (
            "our own folder",
            here("/data/nfs/.nfs-subdir-external-provisioner/pvc-9"),
            &["own folder"],
        ),
        (
            "a component that is too long",
            here(&long),
            &["limit is 255"],
        ),
        (
            "no NFS volume",
            json!({"spec": {"nfs": null, "hostPath": {"path": PATH}}}),
            &["not an NFS volume"],
        ),
        (
            "a volume of csi-driver-nfs",
            json!({"spec": {"nfs": null, "csi": {"driver": "nfs.csi.k8s.io", "volumeHandle": "h",
                "volumeAttributes": {"server": crate::plan::mk::SERVER, "share": "/data/nfs", "subDir": "d"}}}}),
            &["not an NFS volume"],
        ),
    ] {
        let volume = mk_volume("pvc-1", PATH, patch);
        for class in [
            mk_class(&[("onDelete", "delete")]),
            mk_class(&[("onDelete", "retain")]),
            mk_class(&[]),
        ] {
            let message = message(mk_plan(&volume, Some(&class)));
            for word in words {
                assert!(
                    message.contains(word),
                    "{outcome}: {word:?} is not in {message:?}"
                );
            }
            assert!(message.len() <= 1024, "{outcome}: too long for an event");
            assert_let_go(&volume, &class, outcome);
        }
    }
}

#[test]
fn a_bad_bool_is_refused_in_gos_words_with_the_cure() {
    let plan = mk_plan(
        &mk_volume("pvc-1", PATH, json!({})),
        Some(&mk_class(&[("archiveOnDelete", "nope")])),
    );
    let message = message(plan);
    assert!(
        message.starts_with("strconv.ParseBool: parsing \"nope\": invalid syntax"),
        "{message}"
    );
    assert!(
        message.contains("must be \"true\" or \"false\""),
        "{message}"
    );
    // Deleting the object does not say what is meant either.
    let mut deleted = mk_volume("pvc-1", PATH, json!({}));
    (deleted.deleting, deleted.finalizer) = (true, true);
    let class = mk_class(&[("archiveOnDelete", "nope")]);
    assert!(matches!(
        mk_plan(&deleted, Some(&class)),
        VolumePlan::Refuse(_)
    ));
}

#[test]
fn volumes_of_the_go_provisioner_are_reclaimed_by_the_same_rules() {
    let objects: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/golden/objects.json")).unwrap();
    let mut seen = Vec::new();
    for object in objects
        .into_iter()
        .filter(|object| object["kind"] == "PersistentVolume")
    {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let class = object["spec"]["storageClassName"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = object["spec"]["nfs"]["path"].as_str().unwrap().to_owned();
        let mut released = object;
        released["status"] = json!({"phase": "Released"});
        let volume = mk_volume(&name, &path, released);
        let params: &[(&str, &str)] = match class.as_str() {
            "archive" => &[("archiveOnDelete", "true")],
            "badbool" => &[("archiveOnDelete", "nope")],
            "nfs-client" => &[("archiveOnDelete", "false")],
            _ => &[],
        };
        let plan = mk_plan(&volume, Some(&mk_class(params)));
        let dir = path.strip_prefix("/data/nfs/").unwrap();
        match class.as_str() {
            "nfs-client" => assert_eq!(plan, mk_delete(dir, &name)),
            "archive" | "dflt" | "labels" => {
                assert_eq!(archived_as(&plan), Some(format!("archived-{dir}").as_str()));
            }
            "retaincls" => assert_eq!(plan, VolumePlan::Ignore(Ignore::Kept)),
            "badbool" => assert!(message(plan).contains("strconv.ParseBool")),
            other => panic!("no class {other}"),
        }
        seen.push(class);
    }
    assert_eq!(seen.len(), 6);
}

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

#[test]
fn a_class_that_has_become_anothers_decides_only_where_nothing_is_recorded() {
    let (own, other) = (
        mk_class(&[]),
        mk_class_of(json!({"provisioner": "other.io/x"})),
    );
    let recorded =
        json!({"metadata": {"annotations": {crate::plan::facts::RECORDED_ON_DELETE: "archive"}}});
    let rows = [
        (json!({}), &own, true),
        (json!({}), &other, true),
        (recorded.clone(), &own, true),
        (recorded, &other, false),
    ];
    for (changes, class, decides) in rows {
        let volume = mk_volume("pvc-1", "/data/nfs/a", changes);
        let (served, occupied) = (mk_served(&[]), Occupied::default());
        let around = Surroundings {
            provisioner: OURS,
            served: &served,
            classes: &mk_classes([class]),
            occupied: &occupied,
            arriving: &[],
            parting: &[],
        };
        assert_eq!(deciding(&volume, &around).is_some(), decides, "{volume:?}");
    }
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

#[test]
fn an_archive_name_that_has_a_volume_is_not_tried() {
    let volume = mk_volume("pvc-1", "/data/nfs/a/b", json!({}));
    let taken = mk_volume(
        "other",
        "/data/nfs/archived-b/x",
        json!({"status": {"phase": "Bound"}}),
    );
    assert_eq!(
        archived_as(&mk_plan_beside(&volume, Some(&mk_class(&[])), &[&taken])),
        Some("archived-b-pvc-1")
    );
    assert_eq!(
        archived_as(&mk_plan(&volume, Some(&mk_class(&[])))),
        Some("archived-b")
    );
}

#[test]
fn the_innermost_share_holds_a_volume() {
    let VolumePlan::Delete(delete) = mk_plan(
        &mk_volume("pvc-1", "/data/nfs/fast/d", json!({})),
        Some(&mk_class(&[("onDelete", "delete")])),
    ) else {
        panic!("not deleted")
    };
    assert_eq!(
        (delete.share, delete.dir),
        (mk_share("/data/nfs/fast"), mk_dir("d"))
    );
}

#[test]
fn a_share_that_only_its_volume_remembers_is_served() {
    let notes = json!({"metadata": {"annotations": {
        "nfs-subdir-external-provisioner.io/share": "/gone", "nfs-subdir-external-provisioner.io/nfs-port": "2050",
        "nfs-subdir-external-provisioner.io/on-delete": "delete"}}});
    let VolumePlan::Delete(delete) = mk_plan(&mk_volume("pvc-1", "/gone/d", notes), None) else {
        panic!("not deleted")
    };
    assert_eq!(delete.share.nfs_port, Some(2050));
    assert_eq!(
        (delete.share.root, delete.dir),
        (mk_place("/gone"), mk_dir("d"))
    );
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
            VolumePlan::Wait(Wait::GoesLater(_)) => ('W', ""),
            _ => panic!("{outcome}: {plan:?}"),
        };
        assert_eq!(found, letter, "{outcome}");
        assert!(said.contains(words), "{outcome}: {said}");
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

#[test]
fn data_on_its_way_out_comes_back_under_its_name_or_an_archives() {
    let volume = mk_volume("pvc-1", "/data/nfs/a/b", json!({}));
    let taken = mk_volume("pvc-2", "/data/nfs/archived-b", json!({}));
    let (served, occupied) = (mk_served(&[]), mk_occupied(&[&volume, &taken]));
    let way = WayBack::of(&volume, &served, &occupied).unwrap();
    assert_eq!(way.trash, mk_dir(".nfs-subdir-external-provisioner/pvc-1"));
    assert_eq!(way.dir, mk_dir("a/b"));
    assert_eq!(way.archives[0], mk_dir("archived-b-pvc-1"));
    let elsewhere = mk_volume("pvc-1", "/other/a", json!({}));
    assert_eq!(WayBack::of(&elsewhere, &served, &occupied), None);
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    assert!(WayBack::outlives(&mk_volume("pvc-1", PATH, retained)));
    assert!(!WayBack::outlives(&volume));
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

const PATHS: [&str; 7] = ["a", "a/b", "a/b/c", "a/bc", "d", "d/e", "ab"];
const POLICIES: [&str; 3] = ["delete", "archive", "retain"];

/// A volume at one of [`PATHS`] with a class of one of [`POLICIES`], and whether it is released.
fn mk_world() -> impl Strategy<Value = Vec<Volume>> {
    let volume = (0..PATHS.len(), 0..POLICIES.len(), any::<bool>());
    proptest::collection::vec(volume, 1..7).prop_map(|all| {
        let mk = |(number, (path, policy, released)): (usize, (usize, usize, bool))| {
            let phase = if released { "Released" } else { "Bound" };
            mk_volume(
                &format!("pvc-{number}"),
                &format!("/data/nfs/{}", PATHS[path]),
                json!({"status": {"phase": phase}, "spec": {"storageClassName": POLICIES[policy]}}),
            )
        };
        all.into_iter().enumerate().map(mk).collect()
    })
}

fn lives(volume: &Volume) -> bool {
    volume.phase == Phase::Bound
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
            VolumePlan::Ignore(Ignore::Leaving) => {
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
                !goes || (!lives(owner) && policies.contains(&&*owner.class)),
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
        let stays = |volume: &Volume| lives(volume) || &*volume.class == "retain";
        for owner in world.data.iter().filter(|owner| !stays(owner)) {
            // What stays lies in, around or beside something that stays, or in a directory that does.
            let held = all.iter().any(|other| beside(other, owner) && all.iter().any(|live| stays(live) && beside(live, other)));
            prop_assert!(held, "{owner:?} stays for nobody");
        }
    }
}

//! What becomes of volumes, by outcome.

use super::own::deciding;
use super::*;
use crate::plan::mk::{OURS, mk_class, mk_class_of, mk_place, mk_served, mk_share, mk_volume};
use serde_json::{Value, json};

const FINALIZED: [&str; 1] = [crate::plan::facts::FINALIZER];
const PATH: &str = "/data/nfs/default-data-pvc-1";

fn mk_dir(path: &str) -> SubDir {
    SubDir::parse(path).unwrap()
}

pub(super) fn mk_occupied(volumes: &[&Volume]) -> Occupied {
    let mut occupied = Occupied::default();
    for volume in volumes {
        occupied.put(&Arc::new((*volume).clone()));
    }
    occupied
}

pub(super) fn mk_classes<'a>(classes: impl IntoIterator<Item = &'a Class>) -> Classes {
    let classes = classes.into_iter().cloned();
    classes
        .map(|class| (class.name.clone(), Arc::new(class)))
        .collect()
}

pub(super) fn mk_plan_among(volume: &Volume, classes: &Classes, others: &[&Volume]) -> VolumePlan {
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

pub(super) fn mk_plan_beside(
    volume: &Volume,
    class: Option<&Class>,
    others: &[&Volume],
) -> VolumePlan {
    let class = class.map(|class| (volume.class.clone(), Arc::new(class.clone())));
    mk_plan_among(volume, &class.into_iter().collect(), others)
}

pub(super) fn mk_plan(volume: &Volume, class: Option<&Class>) -> VolumePlan {
    mk_plan_beside(volume, class, &[])
}

pub(super) fn mk_delete(dir: &str, volume: &str) -> VolumePlan {
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
            let cure = message.rsplit("; ").next().unwrap_or_default();
            assert!(
                cure.contains("by hand"),
                "{outcome}: after the last semicolon stands {cure:?}"
            );
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

//! What to do about a volume: above all, whether its directory goes.
//!
//! ```text
//! ours? ─ released? ─ on a share of ours? ─ what does its class say? ─ whose else is the directory? ──> Delete, Archive, Retain, KeepData
//! ```
//!
//! Nothing is deleted that is not provably ours and provably nobody else's. Whatever else is refused, with the reason and the cure.

use crate::plan::class::Disposal;
use crate::plan::facts::{Class, Phase, Reclaim, Source, Volume};
use crate::plan::names;
use crate::plan::occupied::Occupied;
use crate::plan::place::{Place, Relation};
use crate::plan::shares::{Served, Share, Unserved};
use nfs_export::{PathError, SubDir};
use others::{Part, other_part};
use std::sync::Arc;

mod others;

/// What else the decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The shares.
    pub served: &'a Served,
    /// What [`deciding`] says.
    pub class: Option<&'a Class>,
    /// The directories of all volumes, this one among them.
    pub occupied: &'a Occupied,
    /// Directories that are being made just now, from before the first call to the share until the store has seen the volume.
    pub arriving: &'a [Place],
    /// Volumes that are just leaving their directory to others ([`VolumePlan::KeepData`]), from the decision until the store has seen them go.
    pub parting: &'a [Arc<str>],
}

/// What to do about a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumePlan {
    /// Nothing, unless it changes.
    Ignore(Ignore),
    /// Nothing yet.
    Wait(Wait),
    /// Tell why not, as an event on the volume.
    Refuse(Refusal),
    /// Take our finalizer off, and nothing else: object and data are for others to decide about.
    RemoveFinalizer,
    /// Delete the object. The directory stays, because that is the policy.
    Retain,
    /// Delete the object. The directory stays, because another volume has a part in it: an event says which.
    KeepData(KeepData),
    /// Rename the directory, then delete the object.
    Archive(Archive),
    /// Remove the directory, then delete the object.
    Delete(Delete),
}

/// Why nothing is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignore {
    /// Another provisioner's.
    Foreign,
    /// Its claim is still there, or it has not had one yet.
    NotReleased,
    /// Its reclaim policy is not Delete.
    Kept,
    /// Its deletion is under way and no finalizer of ours is on it: we are done with it.
    Leaving,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// A claim is just getting this directory, or one that contains it or lies inside it.
    DirectoryIsArriving(Place),
    /// This volume, also released, has the same directory or one inside it, and goes first: the last one takes the directory along.
    GoesLater(Arc<str>),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The event's message.
    pub message: String,
}

/// The directory is not this volume's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepData {
    /// The other volume.
    pub holder: Arc<str>,
    /// How the other volume's directory lies to this one's.
    pub relation: Relation,
    /// The share.
    pub share: Share,
    /// What an earlier attempt may have left: it is nobody's, and to be removed.
    pub trash: SubDir,
    /// The event's message.
    pub message: String,
}

/// The directory is to be renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The share.
    pub share: Share,
    /// The directory.
    pub from: SubDir,
    /// Names to try, the best first; none of them has a volume.
    pub candidates: Vec<SubDir>,
}

/// The directory is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The share.
    pub share: Share,
    /// The directory.
    pub dir: SubDir,
    /// Renamed to this before it is removed, so that nothing written under the old name afterwards is hit. Its parent is [`names::hidden`].
    pub trash: SubDir,
}

/// Why a volume that is ours and released stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("{0}; this volume is not deleted: {cure}", cure = cure(.0))]
    Unserved(#[from] Unserved),
    #[error(
        "its path leaves the share: it has a component \"..\"; nothing is deleted there: delete the object and its directory by hand"
    )]
    Backsteps,
    #[error(
        "its directory is in the provisioner's own folder {}; delete the object by hand",
        names::HIDDEN
    )]
    Hidden,
    #[error("it is not an NFS volume; its data is nothing that this provisioner could delete")]
    NotNfs,
    #[error("its name cannot name a directory: {0}")]
    Name(PathError),
    // The first words are the Go provisioner's.
    #[error(
        "strconv.ParseBool: parsing {0:?}: invalid syntax; archiveOnDelete of the class must be \"true\" or \"false\": create the class anew \
         with one of them, and this volume follows it"
    )]
    Unreadable(Box<str>),
}

fn cure(unserved: &Unserved) -> &'static str {
    match unserved {
        Unserved::Elsewhere(..) => {
            "serve its share again (NFS_SERVER and NFS_PATH, or a class with server and share), or delete the object and its directory by hand"
        }
        Unserved::IsShare(_) | Unserved::HoldsShare(_) | Unserved::Path(_) => {
            "delete the object by hand, and of its directory what is not needed"
        }
    }
}

/// Decides about one volume.
pub fn decide(volume: &Volume, around: &Surroundings<'_>) -> VolumePlan {
    match due(volume) {
        Due::No(ignore) => VolumePlan::Ignore(ignore),
        Due::LetGo => VolumePlan::RemoveFinalizer,
        Due::Yes => reclaim(volume, around).unwrap_or_else(|reason| {
            VolumePlan::Refuse(Refusal {
                message: reason.to_string(),
            })
        }),
    }
}

/// Whether it is time.
enum Due {
    No(Ignore),
    LetGo,
    Yes,
}

fn due(volume: &Volume) -> Due {
    let (ours, finalizer) = (volume.ours, volume.finalizer);
    match (volume.deleting, volume.reclaim, volume.phase) {
        _ if !ours => Due::No(Ignore::Foreign),
        (true, _, _) if !finalizer => Due::No(Ignore::Leaving),
        // Of Available: nobody's claim, and somebody deletes the object. That says nothing about the data.
        (true, Reclaim::Keep, _) | (true, Reclaim::Delete, Phase::Available) => Due::LetGo,
        (false, Reclaim::Keep, _) => Due::No(Ignore::Kept),
        (_, Reclaim::Delete, Phase::Released) => Due::Yes,
        (_, Reclaim::Delete, _) => Due::No(Ignore::NotReleased),
    }
}

/// The class that decides about a volume: the one of its name. Where the volume remembers what its class said, one of that name that is another
/// provisioner's today is a stranger.
pub fn deciding<'a>(volume: &Volume, class: Option<&'a Class>, ours: &str) -> Option<&'a Class> {
    class.filter(|class| volume.recorded.disposal.is_none() || *class.provisioner == *ours)
}

fn reclaim(volume: &Volume, around: &Surroundings<'_>) -> Result<VolumePlan, Reason> {
    let (place, backsteps) = match &volume.source {
        Source::Nfs { place, backsteps } => (place, *backsteps),
        Source::CsiNfs { .. } | Source::Other => return Err(Reason::NotNfs),
    };
    if backsteps {
        return Err(Reason::Backsteps);
    }
    let (share, dir) = around.served.locate(place, &volume.recorded)?;
    if names::is_hidden(&dir) {
        return Err(Reason::Hidden);
    }
    let archive = match Disposal::of(around.class, volume.recorded.disposal.as_ref()) {
        Disposal::Retain => return Ok(VolumePlan::Retain),
        Disposal::Unreadable(text) => return Err(Reason::Unreadable(text)),
        Disposal::Archive => true,
        Disposal::Delete => false,
    };
    let trash = names::trash(&volume.name).map_err(Reason::Name)?;
    if let Some(other) = around
        .arriving
        .iter()
        .find(|other| other.relation(place).is_some())
    {
        return Ok(VolumePlan::Wait(Wait::DirectoryIsArriving(other.clone())));
    }
    Ok(match other_part(volume, place, around) {
        Some(Part::Holds(holder, relation)) => {
            VolumePlan::KeepData(KeepData::new(holder, relation, place, share, trash))
        }
        Some(Part::GoesFirst(holder)) => VolumePlan::Wait(Wait::GoesLater(holder.name.clone())),
        None if archive => VolumePlan::Archive(Archive::new(volume, share, dir, around.occupied)),
        None => VolumePlan::Delete(Delete { share, dir, trash }),
    })
}

// === impl VolumePlan ===

impl VolumePlan {
    /// Whether it moves a directory out of its place, which must not be somebody else's by now.
    pub fn takes_directory_away(&self) -> bool {
        matches!(self, Self::Archive(_) | Self::Delete(_))
    }
}

// === impl KeepData ===

impl KeepData {
    fn new(
        holder: &Volume,
        relation: Relation,
        place: &Place,
        share: Share,
        trash: SubDir,
    ) -> Self {
        let claim = holder
            .claim
            .as_ref()
            .map(|claim| format!(" (claim {claim})"))
            .unwrap_or_default();
        let verb = match relation {
            Relation::Same => "uses",
            Relation::Contains => "contains",
            Relation::Inside => "lies inside",
        };
        let message = format!(
            "the data in {place} stays: volume {}{claim} {verb} this directory",
            holder.name
        );
        Self {
            holder: holder.name.clone(),
            relation,
            share,
            trash,
            message,
        }
    }
}

// === impl Archive ===

impl Archive {
    fn new(volume: &Volume, share: Share, from: SubDir, occupied: &Occupied) -> Self {
        let mut candidates = names::archives(&from, &volume.name);
        candidates.retain(|name| {
            let place = share.place(name);
            occupied
                .around(&place, &volume.name)
                .all(|(relation, _)| relation == Relation::Contains)
        });
        Self {
            share,
            from,
            candidates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::{mk_class, mk_class_of, mk_place, mk_served, mk_share, mk_volume};
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

    fn mk_plan_beside(volume: &Volume, class: Option<&Class>, others: &[&Volume]) -> VolumePlan {
        let mut occupied = mk_occupied(others);
        occupied.put(&Arc::new(volume.clone()));
        let served = mk_served(&["/data/nfs/fast", "/srv"]);
        decide(
            volume,
            &Surroundings {
                served: &served,
                class,
                occupied: &occupied,
                arriving: &[],
                parting: &[],
            },
        )
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
                VolumePlan::RemoveFinalizer,
            ),
            (
                "deleted while nobody's",
                going(&FINALIZED, "Available", "Delete"),
                VolumePlan::RemoveFinalizer,
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
        let nfs =
            |server: &str, path: &str| json!({"spec": {"nfs": {"server": server, "path": path}}});
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
    }

    #[test]
    fn volumes_of_the_go_provisioner_are_reclaimed_by_the_same_rules() {
        let objects: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/golden/objects.json")).unwrap();
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
                VolumePlan::Wait(Wait::GoesLater(name.into())),
                "what is leaving holds nothing"
            );
        }
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
        let mut in_use = leaving("pvc-1");
        in_use.phase = Phase::Bound;
        assert!(matches!(
            mk_plan_beside(&last, Some(&class), &[&in_use]),
            VolumePlan::KeepData(_)
        ));
        assert_eq!(mk_plan(&last, Some(&class)), mk_delete("a", "pvc-2"));
    }

    #[test]
    fn a_class_that_has_become_anothers_decides_only_where_nothing_is_recorded() {
        let (own, other) = (
            mk_class(&[]),
            mk_class_of(json!({"provisioner": "other.io/x"})),
        );
        let recorded = json!({"metadata": {"annotations": {crate::plan::facts::RECORDED_ON_DELETE: "archive"}}});
        let rows = [
            (json!({}), &own, true),
            (json!({}), &other, true),
            (recorded.clone(), &own, true),
            (recorded, &other, false),
        ];
        for (changes, class, decides) in rows {
            let volume = mk_volume("pvc-1", "/data/nfs/a", changes);
            let found = deciding(&volume, Some(class), crate::plan::mk::OURS);
            assert_eq!(found.is_some(), decides, "{volume:?}");
        }
    }

    /// It has left the directory to a volume that was there then; it will not come back to it for one that goes now.
    #[test]
    fn a_volume_that_is_just_parting_takes_nothing_along() {
        let (class, served) = (mk_class(&[("onDelete", "delete")]), mk_served(&[]));
        let volume = mk_volume("pvc-1", "/data/nfs/a", json!({}));
        let other = mk_volume("pvc-2", "/data/nfs/a", json!({}));
        let occupied = mk_occupied(&[&volume, &other]);
        let plan = |parting: &[Arc<str>]| {
            let around = Surroundings {
                served: &served,
                class: Some(&class),
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
                    class: Some(&class),
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
        let VolumePlan::Delete(delete) = mk_plan(&mk_volume("pvc-1", "/gone/d", notes), None)
        else {
            panic!("not deleted")
        };
        assert_eq!(delete.share.nfs_port, Some(2050));
        assert_eq!(
            (delete.share.root, delete.dir),
            (mk_place("/gone"), mk_dir("d"))
        );
    }

    const PATHS: [&str; 7] = ["a", "a/b", "a/b/c", "a/bc", "d", "d/e", "ab"];

    /// A volume at one of [`PATHS`], and whether it is released.
    fn mk_world() -> impl Strategy<Value = Vec<Volume>> {
        proptest::collection::vec((0..PATHS.len(), any::<bool>()), 1..7).prop_map(|all| {
            let mk = |(number, (path, released)): (usize, (usize, bool))| {
                let phase = if released { "Released" } else { "Bound" };
                mk_volume(
                    &format!("pvc-{number}"),
                    &format!("/data/nfs/{}", PATHS[path]),
                    json!({"status": {"phase": phase}}),
                )
            };
            all.into_iter().enumerate().map(mk).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        /// Carries out plans in any order until none is left: no directory goes that another volume has a part in, and no released volume stays.
        #[test]
        fn every_released_volume_goes_and_no_other_loses_anything(world in mk_world(), order in proptest::collection::vec(any::<prop::sample::Index>(), 60)) {
            let (class, served) = (mk_class(&[("onDelete", "delete")]), mk_served(&[]));
            let mut world = world;
            let mut removed: Vec<Place> = Vec::new();
            let lives = |volume: &Volume| volume.phase == Phase::Bound;
            let step = |world: &mut Vec<Volume>, removed: &mut Vec<Place>, at: usize| {
                let all: Vec<&Volume> = world.iter().collect();
                let occupied = mk_occupied(&all);
                let volume = world[at].clone();
                match decide(&volume, &Surroundings { served: &served, class: Some(&class), occupied: &occupied, arriving: &[], parting: &[] }) {
                    VolumePlan::Delete(delete) => {
                        let gone = delete.share.place(&delete.dir);
                        for other in world.iter().filter(|other| other.name != volume.name && !other.deleting) {
                            assert!(other.place().unwrap().relation(&gone).is_none(), "{} lost {gone}", other.name);
                        }
                        removed.push(gone);
                        world[at].deleting = true;
                    }
                    // The object is seen for a while after its deletion.
                    VolumePlan::KeepData(_) => world[at].deleting = true,
                    VolumePlan::Ignore(Ignore::Leaving) => { world.remove(at); }
                    VolumePlan::Wait(_) | VolumePlan::Ignore(Ignore::NotReleased) => {}
                    other => panic!("{other:?}"),
                }
            };
            let released: Vec<Volume> = world.iter().filter(|volume| !lives(volume)).cloned().collect();
            for index in order {
                if !world.is_empty() { let at = index.index(world.len()); step(&mut world, &mut removed, at); }
            }
            // Whatever the order left, a few rounds finish.
            for _ in 0..2 * released.len() {
                for at in (0..world.len()).rev() { step(&mut world, &mut removed, at); }
            }
            prop_assert!(world.iter().all(lives), "left: {:?}", world);
            for volume in &released {
                let place = volume.place().unwrap();
                let gone = removed.iter().any(|root| place.below(root).is_some());
                // What stays lies in, around or beside something that a volume still has, or in a directory that does.
                let around = released.iter().chain(&world).filter(|other| other.place().unwrap().relation(place).is_some());
                let held = around.into_iter().any(|other| world.iter().any(|live| live.place().unwrap().relation(other.place().unwrap()).is_some()));
                prop_assert!(gone || held, "{} stays for nobody", place);
            }
        }
    }
}

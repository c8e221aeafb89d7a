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
use std::sync::Arc;

/// What else the decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The shares.
    pub served: &'a Served,
    /// The class of the name in [`Volume::class`]; `None` where there is none of that name.
    pub class: Option<&'a Class>,
    /// The directories of all volumes, this one among them.
    pub occupied: &'a Occupied,
    /// Directories that are being made just now, from before the first call to the share until the store has seen the volume.
    pub arriving: &'a [Place],
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
    #[error(
        "{0}; this volume is not deleted: serve its share again (NFS_SERVER, NFS_PATH or a class), or delete the object and its directory by hand"
    )]
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
        (true, Reclaim::Keep, _) => Due::LetGo,
        // Nobody's claim, and somebody deletes the object: that says nothing about the data.
        (true, Reclaim::Delete, Phase::Available) => Due::LetGo,
        (false, Reclaim::Keep, _) => Due::No(Ignore::Kept),
        (_, Reclaim::Delete, Phase::Released) => Due::Yes,
        (_, Reclaim::Delete, _) => Due::No(Ignore::NotReleased),
    }
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
    Ok(match other_part(volume, place, around.occupied) {
        Some(Part::Holds(holder, relation)) => {
            VolumePlan::KeepData(KeepData::new(holder, relation, place, share, trash))
        }
        Some(Part::GoesFirst(holder)) => VolumePlan::Wait(Wait::GoesLater(holder.name.clone())),
        None if archive => VolumePlan::Archive(Archive::new(volume, share, dir, around.occupied)),
        None => VolumePlan::Delete(Delete { share, dir, trash }),
    })
}

/// What part another volume has in the directory.
enum Part<'a> {
    Holds(&'a Volume, Relation),
    GoesFirst(&'a Volume),
}

/// The volume that has most to say about the directory. Of several that are all on their way out one takes the directory along: the outermost, and of
/// those with the same directory the last by name. Without that order each would leave it to the others, and it would stay for ever.
fn other_part<'a>(
    volume: &'a Volume,
    place: &'a Place,
    occupied: &'a Occupied,
) -> Option<Part<'a>> {
    let mut first = None;
    for (relation, other) in occupied.around(place, &volume.name) {
        let takes_it_along = match relation {
            Relation::Contains => true,
            Relation::Same => other.name > volume.name,
            Relation::Inside => false,
        };
        if takes_it_along || !matches!(due(other), Due::Yes) {
            return Some(Part::Holds(other, relation));
        }
        first.get_or_insert(Part::GoesFirst(other));
    }
    first
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

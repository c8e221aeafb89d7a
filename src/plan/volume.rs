//! What to do about a volume: above all, whether its directory goes.
//!
//! ```text
//! ours? ─ released? ─ on a share of ours? ─ what does its class say? ─ whose else is the directory? ──> Delete, Archive, Retain, KeepData
//! ```
//!
//! Nothing is deleted that is not provably ours and provably nobody else's. Whatever else is refused, with the reason and the cure.

use crate::plan::facts::{Class, Phase, Reclaim, Volume};
use crate::plan::occupied::Occupied;
use crate::plan::place::{Place, Relation};
use crate::plan::shares::{Served, Share};
use nfs_export::SubDir;
use others::{Part, other_part, taker};
use own::{Keeps, Own, own};
use reason::Reason;
use std::collections::HashMap;
use std::sync::Arc;

mod others;
mod outcome;
mod own;
mod reason;

/// All classes by name, whoever's they are.
pub type Classes = HashMap<Box<str>, Arc<Class>>;

/// What else the decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// `PROVISIONER_NAME`
    pub provisioner: &'a str,
    /// The shares.
    pub served: &'a Served,
    /// The classes: also those of the other volumes with a part in the directory.
    pub classes: &'a Classes,
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
    RemoveFinalizer(Farewell),
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
    /// This volume would take along what is to stay, and goes first: it leaves the directory for as long as this object says whose it is.
    LeavesLater(Arc<str>),
    /// As [`Wait::GoesLater`], but that one is refused: nothing happens until somebody sees to it.
    IsHeldUp(Refusal),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The event's message.
    pub message: String,
}

/// An object goes of which we know no directory that we could deal with, or none that we should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    /// What to say of the directory, as an event, where nobody else knows of it any more.
    pub message: Option<String>,
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
    /// What an earlier attempt may have left: it is nobody's.
    pub trash: SubDir,
    /// Whether that is to be archived by now, and not removed.
    pub is_archived: bool,
    /// The event's message.
    pub message: String,
}

/// A directory that was on its way out, and where it can go instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// The share.
    pub share: Share,
    /// Where it was.
    pub dir: SubDir,
    /// Where it is.
    pub trash: SubDir,
    /// Names of an archive, for where somebody else has the old name; the best first.
    pub archives: Vec<SubDir>,
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
    /// Renamed to this before it is removed, so that nothing written under the old name afterwards is hit. Its parent is [`crate::plan::names::hidden`].
    pub trash: SubDir,
}

/// Decides about one volume.
pub fn decide(volume: &Volume, around: &Surroundings<'_>) -> VolumePlan {
    match due(volume) {
        Due::No(ignore) => VolumePlan::Ignore(ignore),
        Due::LetGo => let_go(volume, around),
        Due::Yes => match own(volume, around) {
            Ok(own) => reclaim(volume, own, around),
            Err(reason) => refuse(volume, &reason),
        },
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
        // No claim has it, Kubernetes binds none to it any more, and somebody deletes the object. That says nothing about the data.
        (true, Reclaim::Keep, _)
        | (true, Reclaim::Delete, Phase::Pending | Phase::Available | Phase::Failed) => Due::LetGo,
        (false, Reclaim::Keep, _) => Due::No(Ignore::Kept),
        (_, Reclaim::Delete, Phase::Released) => Due::Yes,
        (_, Reclaim::Delete, _) => Due::No(Ignore::NotReleased),
    }
}

fn let_go(volume: &Volume, around: &Surroundings<'_>) -> VolumePlan {
    let kept = volume.place().filter(|_| volume.reclaim == Reclaim::Keep);
    let leaves = || VolumePlan::RemoveFinalizer(Farewell::unasked(volume));
    kept.map_or_else(leaves, |place| leave(volume, place, around, leaves))
}

/// Once its object is gone nobody knows that the directory is to stay: whoever would take it along goes first, and leaves it.
fn leave(
    volume: &Volume,
    place: &Place,
    around: &Surroundings<'_>,
    then: impl FnOnce() -> VolumePlan,
) -> VolumePlan {
    match taker(volume, place, Keeps::Directory, around) {
        Some(taker) => VolumePlan::Wait(Wait::LeavesLater(taker.name.clone())),
        None => then(),
    }
}

fn refuse(volume: &Volume, reason: &Reason) -> VolumePlan {
    let farewell = reason.farewell(volume).filter(|_| volume.deleting);
    match farewell {
        // Somebody has followed the advice.
        Some(message) => VolumePlan::RemoveFinalizer(Farewell {
            message: Some(message),
        }),
        None => VolumePlan::Refuse(Refusal {
            message: reason.to_string(),
        }),
    }
}

fn reclaim(volume: &Volume, own: Own<'_>, around: &Surroundings<'_>) -> VolumePlan {
    if own.keeps == Keeps::Directory {
        return leave(volume, own.place, around, || VolumePlan::Retain);
    }
    let mut arriving = around.arriving.iter();
    if let Some(other) = arriving.find(|other| other.relation(own.place).is_some()) {
        return VolumePlan::Wait(Wait::DirectoryIsArriving(other.clone()));
    }
    match other_part(volume, &own, around) {
        Some(Part::Holds(holder, relation, bearing)) => {
            VolumePlan::KeepData(KeepData::new(holder, relation, &bearing, own))
        }
        Some(Part::GoesFirst(other)) => VolumePlan::Wait(Wait::GoesLater(other.name.clone())),
        Some(Part::IsHeldUp(other, reason)) => {
            VolumePlan::Wait(Wait::IsHeldUp(Refusal::held_up(own.place, other, &reason)))
        }
        None if own.keeps == Keeps::Archive => {
            VolumePlan::Archive(Archive::new(volume, own, around.occupied))
        }
        None => VolumePlan::Delete(Delete {
            share: own.share,
            dir: own.dir,
            trash: own.trash,
        }),
    }
}

// === impl VolumePlan ===

impl VolumePlan {
    /// Whether it moves a directory out of its place, which must not be somebody else's by now.
    pub fn takes_directory_away(&self) -> bool {
        matches!(self, Self::Archive(_) | Self::Delete(_))
    }

    /// Whether the data is to be kept after all, should an earlier plan have begun to remove it.
    pub fn calls_removal_off(&self) -> bool {
        match self {
            Self::Ignore(Ignore::Kept | Ignore::NotReleased)
            | Self::Wait(Wait::LeavesLater(_))
            | Self::RemoveFinalizer(_)
            | Self::Retain
            | Self::Archive(_) => true,
            Self::KeepData(keep) => keep.is_archived,
            Self::Ignore(Ignore::Foreign | Ignore::Leaving)
            | Self::Wait(_)
            | Self::Refuse(_)
            | Self::Delete(_) => false,
        }
    }

    /// Whether somebody else has a part in the directory.
    pub fn shares_directory(&self) -> bool {
        matches!(self, Self::KeepData(_) | Self::Wait(_))
    }

    /// Whether the object goes although the data is to be kept: from then on nothing tells that.
    pub fn lets_go_of_what_is_kept(&self) -> bool {
        self.calls_removal_off() && !matches!(self, Self::Ignore(_) | Self::Wait(_))
    }
}

#[cfg(test)]
mod tests;

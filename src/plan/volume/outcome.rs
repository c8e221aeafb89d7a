//! What plans carry: which names, in which words.

use super::others::Bearing;
use super::own::{Keeps, Own, located};
use super::reason::Reason;
use super::{Archive, Farewell, KeepData, Refusal, Wait, WayBack};
use crate::plan::facts::{Phase, Reclaim, Volume};
use crate::plan::names;
use crate::plan::occupied::Occupied;
use crate::plan::place::{Place, Relation};
use crate::plan::shares::{Served, Share};
use nfs_export::SubDir;

/// `volume NAME (claim NAMESPACE/NAME)`
fn named(volume: &Volume) -> String {
    let claim = volume.claim.as_ref();
    let claim = claim.map(|claim| format!(" (claim {claim})"));
    format!("volume {}{}", volume.name, claim.unwrap_or_default())
}

/// What the other volume's directory does to this one.
fn verb(relation: Relation) -> &'static str {
    match relation {
        Relation::Same => "uses",
        Relation::Contains => "contains",
        Relation::Inside => "lies inside",
    }
}

// === impl Wait ===

impl Wait {
    /// What to say of `volume` where it lasts; `None` where others say it, or it cannot last.
    pub fn lasting(&self, volume: &Volume, occupied: &Occupied) -> Option<String> {
        let (first, takes) = match self {
            Self::GoesLater(first) => (first, ""),
            Self::LeavesLater(first) => (first, ", would take it along"),
            Self::DirectoryIsArriving(_) | Self::IsHeldUp(_) => return None,
        };
        let place = volume.place()?;
        let mut others = occupied.around(place, &volume.name);
        let (relation, other) = others.find(|(_, other)| other.name == *first)?;
        let (named, verb) = (named(other), verb(relation));
        Some(format!(
            "{place} waits: {named} {verb} this directory{takes} and goes first, but has not gone yet; \
             see what holds that one up (kubectl describe pv {first}): its events, or finalizers of a program that is not there any more"
        ))
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn held_up(place: &Place, first: &Volume, reason: &Reason) -> Self {
        Self {
            message: format!(
                "{place} waits: {} lies inside this directory and goes first, but is not deleted either: {reason}",
                named(first)
            ),
        }
    }
}

// === impl Farewell ===

impl Farewell {
    /// Nobody asked for the directory to go. Under `Retain` that is as it was wished; of a volume that was never bound the claim gets another one, with
    /// the same directory.
    pub(super) fn unasked(volume: &Volume) -> Self {
        let is_told = volume.reclaim == Reclaim::Delete && volume.phase != Phase::Pending;
        let place = volume.place().filter(|_| is_told);
        Self {
            message: place.map(|place| {
                format!(
                    "volume deleted by hand; the directory {place} stays where it is: no claim had the volume"
                )
            }),
        }
    }
}

// === impl KeepData ===

impl KeepData {
    pub(super) fn new(
        holder: &Volume,
        relation: Relation,
        bearing: &Bearing,
        own: Own<'_>,
    ) -> Self {
        let (place, named, verb) = (own.place, named(holder), verb(relation));
        let message = match bearing {
            Bearing::Due(keeps) => {
                let fate = match keeps {
                    Keeps::Nothing => "takes it along",
                    Keeps::Archive => "archives it",
                    Keeps::Directory => "leaves it there",
                };
                format!(
                    "the data in {place} is left to {named}, which {verb} this directory, is being deleted as well, and {fate}"
                )
            }
            Bearing::Refused(_) => format!(
                "the data in {place} stays: {named} {verb} this directory, and cannot be deleted now; its own events say why"
            ),
            Bearing::Stays | Bearing::Leaves | Bearing::Parts => {
                format!("the data in {place} stays: {named} {verb} this directory")
            }
        };
        Self {
            holder: holder.name.clone(),
            relation,
            share: own.share,
            trash: own.trash,
            is_archived: own.keeps != Keeps::Nothing,
            message,
        }
    }
}

// === impl WayBack ===

impl WayBack {
    /// The way back of the data of `volume`; `None` where it is not on a share that is served.
    pub fn of(volume: &Volume, served: &Served, occupied: &Occupied) -> Option<Self> {
        let (_, share, dir) = located(volume, served).ok()?;
        Some(Self {
            archives: free_archives(volume, &share, &dir, occupied),
            trash: names::trash(&volume.name).ok()?,
            share,
            dir,
        })
    }

    /// Whether the data of a volume whose object is gone was to be kept, going by the last that was seen of it.
    pub fn outlives(last_seen: &Volume) -> bool {
        last_seen.ours && last_seen.reclaim == Reclaim::Keep
    }
}

// === impl Archive ===

impl Archive {
    pub(super) fn new(volume: &Volume, own: Own<'_>, occupied: &Occupied) -> Self {
        Self {
            candidates: free_archives(volume, &own.share, &own.dir, occupied),
            share: own.share,
            from: own.dir,
        }
    }
}

/// Names for an archive of `dir` under which no volume is.
fn free_archives(volume: &Volume, share: &Share, dir: &SubDir, occupied: &Occupied) -> Vec<SubDir> {
    let mut names = names::archives(dir, &volume.name);
    names.retain(|name| {
        let place = share.place(name);
        let mut others = occupied.around(&place, &volume.name);
        others.all(|(relation, _)| relation == Relation::Contains)
    });
    names
}

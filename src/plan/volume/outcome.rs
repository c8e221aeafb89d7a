//! What plans carry: which names, in which words.

use super::others::Bearing;
use super::reason::Reason;
use super::{Archive, Farewell, KeepData, Keeps, Own, Refusal};
use crate::plan::facts::{Phase, Reclaim, Volume};
use crate::plan::names;
use crate::plan::occupied::Occupied;
use crate::plan::place::{Place, Relation};

/// `volume NAME (claim NAMESPACE/NAME)`
fn named(volume: &Volume) -> String {
    let claim = volume.claim.as_ref();
    let claim = claim.map(|claim| format!(" (claim {claim})"));
    format!("volume {}{}", volume.name, claim.unwrap_or_default())
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
        let (place, named) = (own.place, named(holder));
        let verb = match relation {
            Relation::Same => "uses",
            Relation::Contains => "contains",
            Relation::Inside => "lies inside",
        };
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
            message,
        }
    }
}

// === impl Archive ===

impl Archive {
    pub(super) fn new(volume: &Volume, own: Own<'_>, occupied: &Occupied) -> Self {
        let mut candidates = names::archives(&own.dir, &volume.name);
        candidates.retain(|name| {
            let place = own.share.place(name);
            occupied
                .around(&place, &volume.name)
                .all(|(relation, _)| relation == Relation::Contains)
        });
        Self {
            share: own.share,
            from: own.dir,
            candidates,
        }
    }
}

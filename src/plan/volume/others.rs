//! Whose else a directory is: which of several volumes with a part in it goes first, which takes the directory along, which one holds it.
//! Decided from what all volumes say, so that any process comes to the same answer.
//!
//! ```text
//! not on its way out                      holds it
//! on its way out, keeps more              holds it where it can; else it goes first
//! on its way out, keeps as much           the outermost takes it along, of those with the same directory the last by name
//! on its way out, keeps less              leaves it
//! ```

use super::own::{Keeps, Own, own};
use super::reason::Reason;
use super::{Due, Surroundings, due};
use crate::plan::facts::{Phase, Reclaim, Volume};
use crate::plan::place::{Place, Relation};

/// What part another volume has in the directory.
pub(super) enum Part<'a> {
    Holds(&'a Volume, Relation, Bearing),
    GoesFirst(&'a Volume),
    /// It goes first, and does not go.
    IsHeldUp(&'a Volume, Reason),
}

/// How another volume stands to its own directory.
#[derive(Debug)]
pub(super) enum Bearing {
    /// It is not to go.
    Stays,
    /// It is to go, and leaves so much behind.
    Due(Keeps),
    /// It is to go, and is not allowed to.
    Refused(Reason),
    /// It is leaving its directory to others just now, or is somebody else's and almost gone.
    Parts,
    /// What was to be done about its directory is done; its object has yet to go.
    Leaves,
}

/// The volume that has most to say about the directory. Of several that are all on their way out one takes the directory along. Without that order each
/// would leave it to the others, and it would stay for ever. Never one whose class keeps less than this one's: what is to be archived would be removed.
pub(super) fn other_part<'a>(
    volume: &'a Volume,
    mine: &Own<'a>,
    around: &Surroundings<'a>,
) -> Option<Part<'a>> {
    let (mut first, mut held_up) = (None, None);
    // What is left to one around it may be left by that one in turn, and then be had by one that keeps less.
    let taker = taker(volume, mine.place, mine.keeps, around);
    let contested = taker.is_some();
    for (relation, other) in around.occupied.around(mine.place, &volume.name) {
        let bearing = Bearing::of(other, around);
        let holds = match (&bearing, relation) {
            (Bearing::Parts, _) => false,
            // Kept, and its object about to go: then nothing would hold the one that keeps less back.
            (Bearing::Stays, Relation::Contains)
                if contested && matches!(due(other), Due::LetGo) =>
            {
                return taker.map(Part::GoesFirst);
            }
            (Bearing::Stays, _) | (Bearing::Refused(_), Relation::Same | Relation::Contains) => {
                true
            }
            (Bearing::Refused(_), Relation::Inside) => {
                held_up.get_or_insert((other, bearing));
                continue;
            }
            (Bearing::Due(theirs), Relation::Same) => {
                (*theirs, stays_longer(other)) > (mine.keeps, stays_longer(volume))
            }
            (Bearing::Due(theirs), Relation::Contains) if *theirs >= mine.keeps && !contested => {
                true
            }
            // Done with its directory; or it waits until this one is out of it.
            (Bearing::Leaves, _) | (Bearing::Due(_), Relation::Contains) => continue,
            // It cannot be moved out of the way.
            (Bearing::Due(theirs), Relation::Inside) => *theirs == Keeps::Directory,
        };
        if holds {
            return Some(Part::Holds(other, relation, bearing));
        }
        first.get_or_insert(other);
    }
    match held_up {
        Some((other, Bearing::Refused(reason))) => Some(Part::IsHeldUp(other, reason)),
        _ => first.map(|other| Part::GoesFirst(other)),
    }
}

/// A volume on its way out that keeps less, and would take the directory along if it did not see this volume. One that is leaving it to others just
/// now may fail to, and look again when this volume is gone.
pub(super) fn taker<'a>(
    volume: &'a Volume,
    place: &'a Place,
    keeps: Keeps,
    around: &Surroundings<'a>,
) -> Option<&'a Volume> {
    let others = around.occupied.around(place, &volume.name);
    let mut others = others.filter(|(relation, _)| *relation != Relation::Inside);
    let takes = |other: &Volume| matches!(Bearing::by_itself(other, around), Bearing::Due(theirs) if theirs < keeps);
    let found = others.find(|(_, other)| takes(other));
    found.map(|(_, other)| other.as_ref())
}

/// Of volumes with the same directory the last by name takes it along, but rather one whose object is not being deleted yet: one that is may have
/// been given up by a process that has died since, and be gone before it looks at its directory again.
fn stays_longer(volume: &Volume) -> (bool, &str) {
    (!volume.deleting, &volume.name)
}

/// Nobody has it any more and its object is being deleted. Not so where the data is to outlive the object: under `Retain`, and of one that was never
/// bound, whose claim gets another volume with the same directory.
fn is_leaving(volume: &Volume) -> bool {
    let is_nobodys = !matches!(volume.phase, Phase::Bound | Phase::Pending);
    volume.deleting && is_nobodys && volume.reclaim == Reclaim::Delete
}

// === impl Bearing ===

impl Bearing {
    fn of(volume: &Volume, around: &Surroundings<'_>) -> Self {
        if around.parting.contains(&volume.name) {
            return Self::Parts;
        }
        Self::by_itself(volume, around)
    }

    fn by_itself(volume: &Volume, around: &Surroundings<'_>) -> Self {
        match due(volume) {
            Due::Yes => match own(volume, around) {
                Ok(own) => Self::Due(own.keeps),
                Err(reason) => Self::Refused(reason),
            },
            // Somebody else's finalizer may keep an object of ours for as long as it likes: we are done with it. What another program has still to do
            // about an object of its own nobody here knows.
            Due::No(_) | Due::LetGo if !is_leaving(volume) => Self::Stays,
            Due::No(_) | Due::LetGo if volume.ours => Self::Leaves,
            Due::No(_) | Due::LetGo => Self::Parts,
        }
    }
}

#[cfg(test)]
mod tests;

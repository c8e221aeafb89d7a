//! Whose else a directory is: which of several volumes with a part in it goes first, which takes the directory along, which one holds it.
//! Decided from what all volumes say, so that any process comes to the same answer.

use super::{Due, Surroundings, due};
use crate::plan::facts::{Phase, Volume};
use crate::plan::place::{Place, Relation};

/// What part another volume has in the directory.
pub(super) enum Part<'a> {
    Holds(&'a Volume, Relation),
    GoesFirst(&'a Volume),
}

/// The volume that has most to say about the directory. Of several that are all on their way out one takes the directory along: the outermost, and of
/// those with the same directory the last by name. Without that order each would leave it to the others, and it would stay for ever.
pub(super) fn other_part<'a>(
    volume: &'a Volume,
    place: &'a Place,
    around: &Surroundings<'a>,
) -> Option<Part<'a>> {
    let mut first = None;
    for (relation, other) in around.occupied.around(place, &volume.name) {
        let takes_it_along = match relation {
            Relation::Contains => true,
            Relation::Same => stays_longer(other) > stays_longer(volume),
            Relation::Inside => false,
        };
        let is_due = matches!(due(other), Due::Yes);
        let has_decided = is_leaving(other) || around.parting.contains(&other.name);
        if !has_decided && (takes_it_along || !is_due) {
            return Some(Part::Holds(other, relation));
        }
        first.get_or_insert(Part::GoesFirst(other));
    }
    first
}

/// Of volumes with the same directory the last by name takes it along, but rather one whose object is not being deleted yet: one that is may have
/// been given up by a process that has died since, and be gone before it looks at its directory again.
fn stays_longer(volume: &Volume) -> (bool, &str) {
    (!volume.deleting, &volume.name)
}

/// Nobody has it any more and its object is being deleted: what was to be done about its directory is done, and it will be gone in a moment.
fn is_leaving(volume: &Volume) -> bool {
    volume.deleting && volume.phase != Phase::Bound && !matches!(due(volume), Due::Yes)
}

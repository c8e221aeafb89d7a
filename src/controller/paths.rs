//! Directories in flight: what a claim is about to own and what a deletion is about to move away never overlap.
//!
//! The stores lag behind the API server by a watch event, so they alone cannot say that a directory is nobody's. Between the
//! directory and the sight of its volume in the store, the claim's hold stands in for the volume.
//!
//! ```text
//! claim:    hold ── MKDIR ── create PV ── created ──(store shows the PV)── free
//! deletion:            move_away ── RENAME ── free ── empty ── RMDIR of a parent ── free
//! ```
//! Refuses to know shares: a place is a server and an absolute path.

mod guards;
mod searched;
mod trashed;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::plan::facts::Volume;
use crate::plan::leaving::Leaving;
use crate::plan::place::Place;

pub use guards::{Emptying, Hold, Moving, Parting};

/// The directories in flight.
#[derive(Debug, Clone, Default)]
pub struct Paths(Arc<Mutex<Inner>>);

/// Another volume holds the directory, contains it, or lies inside it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("volume {volume} is at work in {place}")]
pub struct Busy {
    /// The other volume's name.
    pub volume: Box<str>,
    /// Its directory.
    pub place: Place,
}

#[derive(Debug, Default)]
struct Inner {
    holds: HashMap<Box<str>, (Place, Stage)>,
    moving: Leaving,
    /// Those in `moving` of which nobody knows whether they were moved.
    unsettled: HashSet<Box<str>>,
    /// Those in `moving` that an earlier term may have asked the server to move, so that it may yet do it.
    inherited: HashSet<Box<str>>,
    emptying: HashMap<Box<str>, Emptied>,
    parting: HashSet<Arc<str>>,
    /// Volumes whose directory may be in the hidden folder, with the last that was seen of each.
    trashed: HashMap<Arc<str>, Arc<Volume>>,
    /// Roots of the shares whose hidden folder was read in this term; none before the first.
    searched: Option<HashSet<Place>>,
    /// Told of each change of one of those in `trashed`.
    told: Arc<Notify>,
    epoch: u64,
}

/// A parent that is being removed if it is empty.
#[derive(Debug)]
struct Emptied {
    place: Place,
    /// The attempt is over, and nobody knows whether it was removed.
    in_doubt: bool,
}

/// How far a claim's hold is. `Shown`: the store was quicker than the answer to the creation. `Created` carries the list epoch in which the volume was created: a list begun later shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Making,
    Shown,
    Created(u64),
}

// === impl Paths ===

impl Paths {
    /// A claim is about to make the directory of `volume`. Claims may share a directory; only deletions are in the way.
    ///
    /// # Errors
    /// [`Busy`] while a deletion moves an overlapping directory away, or removes this very one if it is empty.
    pub fn hold(&self, volume: &str, place: Place) -> Result<Hold, Busy> {
        let mut inner = self.lock();
        let emptying = inner.emptying.iter();
        let emptying = emptying.map(|(by, emptied)| (&**by, &emptied.place));
        let emptying = emptying.filter(|(_, at)| **at == place);
        if let Some((by, at)) = inner.moving.around(&place).chain(emptying).next() {
            return Err(Busy::new(by, at));
        }
        inner.holds.insert(volume.into(), (place, Stage::Making));
        Ok(Hold {
            paths: self.clone(),
            volume: volume.into(),
            created: false,
        })
    }

    /// A deletion is about to move the directory of `volume` away.
    ///
    /// # Errors
    /// [`Busy`] while another volume's claim or deletion is at work in an overlapping directory.
    pub fn move_away(&self, volume: &str, place: Place) -> Result<Moving, Busy> {
        let mut inner = self.lock();
        let held = inner
            .holds
            .iter()
            .find(|(by, (at, _))| by.as_ref() != volume && at.relation(&place).is_some());
        if let Some((by, (at, _))) = held {
            return Err(Busy::new(by, at));
        }
        let mut moving = inner.moving.around(&place);
        if let Some((by, at)) =
            moving.find(|(by, _)| *by != volume && !inner.inherited.contains(*by))
        {
            return Err(Busy::new(by, at));
        }
        drop(moving);
        inner.moving.insert(volume, place);
        Ok(Moving {
            paths: self.clone(),
            volume: volume.into(),
        })
    }

    /// The directory of `volume` is one to be moved away, and an earlier term may have asked for that: no claim gets it before the server has answered an
    /// attempt of this term, or it [`Paths::stayed`].
    pub fn inherit(&self, volume: &str, place: Place) {
        let mut inner = self.lock();
        inner.moving.insert(volume, place);
        inner.inherited.insert(volume.into());
    }

    /// The directory of `volume` is not going to be moved after all: an attempt that was left [`Moving::unsettled`] has no other, nor has one at a parent
    /// that was left [`Emptying::unsettled`].
    pub fn stayed(&self, volume: &str) {
        let mut inner = self.lock();
        if inner.emptying.get(volume).is_some_and(|at| at.in_doubt) {
            inner.emptying.remove(volume);
        }
        if inner.unsettled.remove(volume) | inner.inherited.remove(volume) {
            inner.moving.remove(volume);
        }
    }

    /// A parent of the directory of `volume` is about to be removed if it is empty. A claim for a directory in it makes it again; one for this very
    /// directory would find it there, and lose it.
    pub fn empty(&self, volume: &str, place: Place) -> Emptying {
        let emptied = Emptied {
            place,
            in_doubt: false,
        };
        self.lock().emptying.insert(volume.into(), emptied);
        Emptying {
            paths: self.clone(),
            volume: volume.into(),
        }
    }

    /// A volume is about to go without its directory. Until it is seen to go, the store still shows it as one that has not decided.
    pub fn part(&self, volume: &Arc<str>) -> Parting {
        self.lock().parting.insert(volume.clone());
        Parting {
            paths: self.clone(),
            volume: volume.clone(),
            gone: false,
        }
    }

    /// Volumes that are just leaving their directory to others.
    pub fn parting(&self) -> Vec<Arc<str>> {
        self.lock().parting.iter().cloned().collect()
    }

    /// The store shows that a volume goes, or that it is gone.
    pub fn left(&self, volume: &str) {
        self.lock().parting.remove(volume);
    }

    /// Whether a volume of this name was created and the store has not shown it yet.
    pub fn is_created(&self, volume: &str) -> bool {
        matches!(self.lock().holds.get(volume), Some((_, Stage::Created(_))))
    }

    /// What `ask` makes of the directories that deletions are moving away. It must not ask anything else of this.
    pub fn leaving<T>(&self, ask: impl FnOnce(&Leaving) -> T) -> T {
        ask(&self.lock().moving)
    }

    /// Directories that claims are making or have made a moment ago, but for the one of `volume`.
    pub fn arriving(&self, volume: &str) -> Vec<Place> {
        let inner = self.lock();
        let others = inner.holds.iter().filter(|(by, _)| by.as_ref() != volume);
        others.map(|(_, (place, _))| place.clone()).collect()
    }

    /// The store shows the volume (or its deletion): from here on the store speaks for the directory.
    pub fn seen(&self, volume: &str) {
        let mut inner = self.lock();
        match inner.holds.get_mut(volume) {
            Some((_, Stage::Created(_))) => {
                inner.holds.remove(volume);
            }
            Some((_, stage)) => *stage = Stage::Shown,
            None => {}
        }
    }

    /// A list of all volumes begins; the token goes to [`Paths::list_ended`].
    pub fn list_begins(&self) -> u64 {
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.epoch
    }

    /// Volumes that claims are making, or have made and the store has not shown.
    pub fn held(&self) -> Vec<Box<str>> {
        self.lock().holds.keys().cloned().collect()
    }

    /// The list that began with `token` is in the store, and what it shows was [`Paths::seen`]: what was created before it began and is held still is gone.
    /// Returns the names of those.
    pub fn list_ended(&self, token: u64) -> Vec<Box<str>> {
        let mut inner = self.lock();
        let gone = inner
            .holds
            .extract_if(|_, (_, stage)| matches!(stage, Stage::Created(epoch) if *epoch < token));
        gone.map(|(name, _)| name).collect()
    }

    /// Another process may have had the lead meanwhile: nothing is in flight here any more. What is in the hidden folder may still be there; of data that
    /// is to be kept, and whose volume's object is gone, no other process knows.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.holds.clear();
        inner.moving.clear();
        inner.unsettled.clear();
        inner.inherited.clear();
        inner.emptying.clear();
        inner.parting.clear();
        inner.searched = Some(HashSet::new());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Busy ===

impl Busy {
    fn new(volume: &str, place: &Place) -> Self {
        Self {
            volume: volume.into(),
            place: place.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_place(path: &str) -> Place {
        Place::new("nfs", path).expect("absolute")
    }

    #[test]
    fn a_claim_waits_while_a_deletion_moves_its_directory_or_one_around_it() {
        let paths = Paths::default();
        let moving = paths
            .move_away("old", mk_place("/data/a"))
            .expect("nobody is there");
        for taken in ["/data/a", "/data/a/b", "/data", "/data//a/"] {
            assert!(paths.hold("new", mk_place(taken)).is_err(), "{taken}");
        }
        assert!(paths.hold("new", mk_place("/data/ab")).is_ok());
        assert!(
            paths
                .hold(
                    "other",
                    Place::new("elsewhere", "/data/a").expect("absolute")
                )
                .is_ok()
        );
        drop(moving);
        assert!(paths.hold("new", mk_place("/data/a")).is_ok());
    }

    #[test]
    fn a_directory_of_which_nobody_knows_whether_it_was_moved_is_held_until_that_is_known() {
        let paths = Paths::default();
        let again = |paths: &Paths| {
            paths
                .move_away("old", mk_place("/data/a"))
                .expect("its own")
        };
        let settle: [fn(&Paths); 2] = [
            |paths| {
                let again = paths.move_away("old", mk_place("/data/a"));
                again.expect("its own").settled();
            },
            |paths| paths.stayed("old"),
        ];
        for settle in settle {
            let moving = paths
                .move_away("old", mk_place("/data/a"))
                .expect("nobody is there");
            moving.unsettled();
            drop(moving);
            assert!(paths.hold("new", mk_place("/data/a")).is_err());
            assert!(paths.move_away("other", mk_place("/data/a/b")).is_err());
            // An attempt that ends before it asks the server knows no more than the one before.
            drop(again(&paths));
            assert!(paths.hold("new", mk_place("/data/a")).is_err());
            settle(&paths);
            assert!(paths.hold("new", mk_place("/data/a")).is_ok());
        }
        let moving = paths.move_away("old", mk_place("/data/a")).expect("free");
        paths.stayed("old");
        assert!(paths.hold("new", mk_place("/data/a")).is_err());
        drop(moving);
    }

    #[test]
    fn a_claim_waits_while_its_directory_may_be_removed_as_an_empty_parent() {
        let paths = Paths::default();
        let emptying = paths.empty("old", mk_place("/data/a"));
        assert!(paths.hold("new", mk_place("/data/a")).is_err());
        for other in ["/data/a/b", "/data", "/data/ab"] {
            assert!(paths.hold("new", mk_place(other)).is_ok(), "{other}");
        }
        drop(emptying);
        assert!(paths.hold("new", mk_place("/data/a")).is_ok());
    }

    #[test]
    fn a_deletion_waits_for_a_claim_until_the_store_shows_its_volume() {
        let paths = Paths::default();
        let hold = paths
            .hold("new", mk_place("/data/a"))
            .expect("nobody is there");
        assert!(paths.move_away("old", mk_place("/data/a")).is_err());
        hold.created();
        assert!(paths.is_created("new"));
        assert!(paths.move_away("old", mk_place("/data/a")).is_err());
        paths.seen("new");
        assert!(paths.move_away("old", mk_place("/data/a")).is_ok());
    }

    #[test]
    fn a_volume_that_the_store_shows_before_its_creation_is_answered_is_not_held_for_ever() {
        let paths = Paths::default();
        let hold = paths
            .hold("new", mk_place("/data/a"))
            .expect("nobody is there");
        paths.seen("new");
        assert!(paths.move_away("old", mk_place("/data/a")).is_err());
        hold.created();
        assert!(!paths.is_created("new"));
        assert!(paths.move_away("old", mk_place("/data/a")).is_ok());
    }

    #[test]
    fn a_parting_volume_counts_until_it_is_seen_to_go_or_does_not_go_after_all() {
        let (paths, volume) = (Paths::default(), Arc::from("old"));
        drop(paths.part(&volume));
        assert!(paths.parting().is_empty());
        paths.part(&volume).gone();
        assert_eq!(paths.parting(), [volume]);
        paths.left("old");
        assert!(paths.parting().is_empty());
    }

    #[test]
    fn a_claim_given_up_frees_its_directory() {
        let paths = Paths::default();
        drop(
            paths
                .hold("new", mk_place("/data/a"))
                .expect("nobody is there"),
        );
        assert!(paths.move_away("old", mk_place("/data/a")).is_ok());
    }

    #[test]
    fn a_volume_created_and_deleted_between_two_lists_is_not_held_for_ever() {
        let paths = Paths::default();
        let before = paths.list_begins();
        paths
            .hold("new", mk_place("/data/a"))
            .expect("nobody is there")
            .created();
        paths.list_ended(before);
        assert!(
            paths.is_created("new"),
            "the list may have begun before the volume was created"
        );
        let after = paths.list_begins();
        paths.list_ended(after);
        assert!(!paths.is_created("new"));
    }
}

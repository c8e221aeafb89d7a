//! Directories on their way out, each with the volume that it is, or was to be.
//!
//! After a restart there may be as many as volumes were released, and each claim and each deletion asks what is around its own.

use std::collections::HashMap;

use crate::plan::place::Place;
use crate::plan::places::Places;

/// Volumes' names and the places of their directories, by either. One volume has one directory.
#[derive(Debug, Default)]
pub struct Leaving {
    by_volume: HashMap<Box<str>, Place>,
    places: Places<(Box<str>, Place)>,
}

// === impl Leaving ===

impl Leaving {
    /// The directory of `volume` is on its way out.
    pub fn insert(&mut self, volume: &str, place: Place) {
        self.remove(volume);
        let leaver = (volume.into(), place.clone());
        self.places
            .put(&place, leaver, |(known, _)| **known == *volume);
        self.by_volume.insert(volume.into(), place);
    }

    /// It is gone, or stays.
    pub fn remove(&mut self, volume: &str) {
        if let Some(place) = self.by_volume.remove(volume) {
            self.places.remove(&place, |(known, _)| **known == *volume);
        }
    }

    /// Nothing is on its way out any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The volumes whose directory is, contains or lies inside `place`, and their directories.
    pub fn around<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = (&'a str, &'a Place)> {
        let around = self.places.around(place);
        around.map(|(_, (volume, at))| (&**volume, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::mk_place;

    fn around(leaving: &Leaving, path: &str) -> Vec<String> {
        let place = mk_place(path);
        let around = leaving.around(&place);
        around
            .map(|(volume, at)| format!("{volume} {}", at.path()))
            .collect()
    }

    #[test]
    fn a_volume_has_one_directory_and_a_directory_may_have_many_volumes() {
        let mut leaving = Leaving::default();
        for (volume, path) in [
            ("pv-1", "/a"),
            ("pv-2", "/b/c"),
            ("pv-3", "/b"),
            ("pv-1", "/b"),
        ] {
            leaving.insert(volume, mk_place(path));
        }
        assert_eq!(around(&leaving, "/a"), <[&str; 0]>::default());
        assert_eq!(
            around(&leaving, "/b/c"),
            ["pv-2 /b/c", "pv-3 /b", "pv-1 /b"]
        );
        leaving.remove("pv-3");
        leaving.remove("pv-4");
        assert_eq!(around(&leaving, "/b/c"), ["pv-2 /b/c", "pv-1 /b"]);
        leaving.clear();
        assert_eq!(around(&leaving, "/b"), <[&str; 0]>::default());
    }
}

//! Which directories have volumes, so that none of them is deleted for the sake of another volume.
//!
//! Every volume counts, whoever made it.

use std::sync::Arc;

use crate::plan::facts::Volume;
use crate::plan::place::{Place, Relation};
use crate::plan::places::Places;

/// Volumes by the place of their directory.
#[derive(Debug, Default)]
pub struct Occupied(Places<Arc<Volume>>);

// === impl Occupied ===

impl Occupied {
    /// Adds a volume, or takes its new state. The place of a volume never changes; one that was deleted and made again must be removed first.
    pub fn put(&mut self, volume: &Arc<Volume>) {
        if let Some(place) = volume.place() {
            self.0
                .put(place, volume.clone(), |known| known.name == volume.name);
        }
    }

    /// Removes a volume.
    pub fn remove(&mut self, volume: &Volume) {
        if let Some(place) = volume.place() {
            self.0.remove(place, |known| known.name == volume.name);
        }
    }

    /// The volumes whose directory is, contains or lies inside `place`, with how theirs lies to it; but for the volume named `but`.
    pub fn around<'a>(
        &'a self,
        place: &'a Place,
        but: &'a str,
    ) -> impl Iterator<Item = (Relation, &'a Arc<Volume>)> {
        let around = self.0.around(place);
        around.filter(move |(_, volume)| &*volume.name != but)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::{mk_place, mk_volume};
    use serde_json::json;

    fn mk_tenant(number: usize, path: &str) -> Arc<Volume> {
        Arc::new(mk_volume(&format!("pv-{number}"), path, json!({})))
    }

    fn names(occupied: &Occupied, path: &str, but: &str) -> Vec<(Relation, String)> {
        let place = mk_place(path);
        let mut found: Vec<_> = occupied
            .around(&place, but)
            .map(|(relation, volume)| (relation, volume.name.to_string()))
            .collect();
        found.sort_by(|one, other| one.1.cmp(&other.1));
        found
    }

    #[test]
    fn a_volume_is_found_until_it_is_removed_and_never_finds_itself() {
        let mut occupied = Occupied::default();
        let volume = mk_tenant(1, "/a");
        occupied.put(&volume);
        occupied.put(&volume);
        assert_eq!(
            names(&occupied, "/a", "other"),
            [(Relation::Same, "pv-1".to_owned())]
        );
        assert_eq!(names(&occupied, "/a", "pv-1"), []);
        occupied.remove(&volume);
        occupied.remove(&volume);
        assert_eq!(names(&occupied, "/a", "other"), []);
    }

    #[test]
    fn the_new_state_of_a_volume_takes_the_place_of_the_old() {
        let mut occupied = Occupied::default();
        occupied.put(&mk_tenant(1, "/a"));
        occupied.put(&Arc::new(mk_volume(
            "pv-1",
            "/a",
            json!({"metadata": {"uid": "new"}}),
        )));
        let place = mk_place("/a");
        assert_eq!(
            occupied
                .around(&place, "")
                .map(|(_, volume)| &*volume.uid)
                .collect::<Vec<_>>(),
            ["new"]
        );
    }
}

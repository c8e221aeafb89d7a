//! Which directories have volumes, so that none of them is deleted for the sake of another volume.
//!
//! ```text
//! "SERVER NUL /data/nfs/a" -> [pvc-1, pvc-2]
//! ```
//!
//! Every volume counts, whoever made it. Asking costs a few look-ups, not a walk over all volumes: above a directory there are as many places as its
//! path has components, and all below it stand side by side.

use crate::plan::facts::Volume;
use crate::plan::place::{Place, Relation};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Volumes by the place of their directory.
#[derive(Debug, Default)]
pub struct Occupied {
    places: BTreeMap<Arc<str>, Vec<Arc<Volume>>>,
}

// === impl Occupied ===

impl Occupied {
    /// Adds a volume, or takes its new state. The place of a volume never changes; one that was deleted and made again must be removed first.
    pub fn put(&mut self, volume: &Arc<Volume>) {
        let Some(place) = volume.place() else { return };
        let tenants = self.places.entry(place.key().clone()).or_default();
        if let Some(tenant) = tenants.iter_mut().find(|tenant| tenant.name == volume.name) {
            *tenant = volume.clone();
        } else {
            // Nearly every directory has one tenant, and there are very many.
            tenants.reserve_exact(1);
            tenants.push(volume.clone());
        }
    }

    /// Removes a volume.
    pub fn remove(&mut self, volume: &Volume) {
        let Some(place) = volume.place() else { return };
        let Some(tenants) = self.places.get_mut(place.key()) else {
            return;
        };
        tenants.retain(|tenant| tenant.name != volume.name);
        if tenants.is_empty() {
            self.places.remove(place.key());
        }
    }

    /// The volumes whose directory is, contains or lies inside `place`, with how theirs lies to it; but for the volume named `but`.
    pub fn around<'a>(
        &'a self,
        place: &'a Place,
        but: &'a str,
    ) -> impl Iterator<Item = (Relation, &'a Arc<Volume>)> {
        let same = self
            .places
            .get(place.key())
            .map(|tenants| (Relation::Same, tenants));
        let above = above(place)
            .filter_map(|key| self.places.get(key.as_str()))
            .map(|tenants| (Relation::Contains, tenants));
        let below = self.below(place).map(|tenants| (Relation::Inside, tenants));
        let found = same.into_iter().chain(above).chain(below);
        found
            .flat_map(|(relation, tenants)| tenants.iter().map(move |tenant| (relation, tenant)))
            .filter(move |(_, tenant)| &*tenant.name != but)
    }

    fn below(&self, place: &Place) -> impl Iterator<Item = &Vec<Arc<Volume>>> {
        let stem = place.key().strip_suffix('/').unwrap_or(place.key());
        // '0' comes next after '/', so that between the two bounds is all that begins with the stem and a slash.
        let (from, to) = (format!("{stem}/"), format!("{stem}0"));
        // The server's root alone ends in a slash, and would find itself.
        let bounds = (Bound::Excluded(from.as_str()), Bound::Excluded(to.as_str()));
        self.places
            .range::<str, _>(bounds)
            .map(|(_, tenants)| tenants)
    }
}

/// The keys of all places above one, the nearest first.
fn above(place: &Place) -> impl Iterator<Item = String> {
    let (server, path) = (place.server(), place.path());
    let ends = path
        .char_indices()
        .rev()
        .filter(|(at, character)| *character == '/' && path.len() > at + 1)
        .map(|(at, _)| at);
    ends.map(move |at| format!("{server}\0{}", if at == 0 { "/" } else { &path[..at] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::{mk_place, mk_volume};
    use proptest::prelude::*;
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
        assert!(occupied.places.is_empty());
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

    proptest! {
        #[test]
        fn finds_what_a_walk_over_all_volumes_finds(paths in proptest::collection::vec("(/[ab!0.-]{1,2}){0,3}", 0..12), asked in "(/[ab!0.-]{1,2}){0,3}") {
            let (asked, mut occupied) = (format!("/{asked}"), Occupied::default());
            let volumes: Vec<_> = paths.iter().enumerate().map(|(number, path)| mk_tenant(number, &format!("/{path}"))).collect();
            for volume in &volumes { occupied.put(volume); }
            let mut expected: Vec<_> = volumes.iter()
                .filter_map(|volume| Some((volume.place()?.relation(&mk_place(&asked))?, volume.name.to_string()))).collect();
            expected.sort_by(|one, other| one.1.cmp(&other.1));
            prop_assert_eq!(names(&occupied, &asked, ""), expected);
        }
    }
}

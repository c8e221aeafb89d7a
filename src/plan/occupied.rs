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
        match tenants.iter_mut().find(|tenant| tenant.name == volume.name) {
            Some(tenant) => *tenant = volume.clone(),
            None => {
                // Nearly every directory has one tenant, and there are very many.
                tenants.reserve_exact(1);
                tenants.push(volume.clone());
            }
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

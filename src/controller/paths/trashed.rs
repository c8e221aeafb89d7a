//! Volumes whose directory may be in the hidden folder, with the last that was seen of each: their objects may go first.

use std::sync::Arc;

use super::Paths;
use crate::plan::facts::Volume;

// === impl Paths ===

impl Paths {
    /// The directory of `volume` is, or may be, in the hidden folder.
    pub fn trashed(&self, volume: &Volume) {
        let mut inner = self.lock();
        let known = inner.trashed.entry(volume.name.clone());
        known.or_insert_with(|| Arc::new(volume.clone()));
    }

    /// It is not there any more.
    pub fn emptied(&self, volume: &str) {
        self.lock().trashed.remove(volume);
    }

    /// Whether the directory of `volume` may be in the hidden folder.
    pub fn is_trashed(&self, volume: &str) -> bool {
        self.lock().trashed.contains_key(volume)
    }

    /// The store shows a volume as it is, or as it was when it went; remembered of those whose directory may be in the hidden folder.
    pub fn last_seen(&self, volume: &Volume) {
        if let Some(seen) = self.lock().trashed.get_mut(&*volume.name) {
            *seen = Arc::new(volume.clone());
        }
    }

    /// The store shows something new of a volume whose directory may be in the hidden folder.
    pub fn tell(&self) {
        self.lock().told.notify_waiters();
    }

    /// Ends with the next [`Paths::tell`] from now on.
    pub fn told(&self) -> impl Future<Output = ()> + use<> {
        self.lock().told.clone().notified_owned()
    }

    /// What was last seen of a volume whose directory may be in the hidden folder.
    pub fn last_of(&self, volume: &str) -> Option<Arc<Volume>> {
        self.lock().trashed.get(volume).cloned()
    }

    /// Volumes whose directory may be in the hidden folder.
    pub fn all_trashed(&self) -> Vec<Arc<str>> {
        self.lock().trashed.keys().cloned().collect()
    }
}

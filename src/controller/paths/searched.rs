//! Which shares' hidden folders were read in this term: until its share's was, nobody here knows whether the data of a volume is in it.

use super::Paths;
use crate::plan::place::Place;

// === impl Paths ===

impl Paths {
    /// The hidden folder of the share with this root was read to its end, and every volume of ours that is in it was [`Paths::trashed`].
    pub fn searched(&self, root: &Place) {
        if let Some(roots) = &mut self.lock().searched {
            roots.insert(root.clone());
        }
    }

    /// Whether the hidden folder of the share with this root has yet to be read. Nobody waits for that in a process that has never led.
    pub fn is_unsearched(&self, root: &Place) -> bool {
        let inner = self.lock();
        inner
            .searched
            .as_ref()
            .is_some_and(|roots| !roots.contains(root))
    }
}

//! What the leader before did last: seen before the first directory is taken away, once a term.
//!
//! A standby's stores are kept by watches, and a watch may be behind without knowing it: then a directory that the leader before has handed out again
//! looks like nobody's. One list of all volumes, begun in this term, shows everything that earlier terms have made. It is not made before
//! a deletion needs it, so taking over costs no list, and provisioning never waits for it.
//!
//! So it is with a volume of this term whose creation got no answer, where others have a part in its directory: one more list shows it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::stores::Stores;

/// Whether the volumes were seen afresh since the last time that any may have been made unseen.
#[derive(Debug, Default)]
pub struct Hindsight(Mutex<Arc<OnceCell<()>>>);

// === impl Hindsight ===

impl Hindsight {
    /// Whether nothing that was made unseen can be missing any more.
    pub fn is_clear(&self) -> bool {
        self.cell().initialized()
    }

    /// Lists the volumes, whoever asks first; the others wait for the same list.
    pub async fn clear_up(&self, stores: &Stores) {
        let cell = self.cell();
        cell.get_or_init(|| stores.see_volumes_afresh()).await;
    }

    /// A term begins, or a volume may have been made that the store does not show.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    fn cell(&self) -> Arc<OnceCell<()>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

//! What the leader before did last: seen before the first directory is taken away, once a term.
//!
//! A standby's stores are kept by watches, and a watch may be behind without knowing it: then a directory that the leader before has handed out again
//! looks like nobody's. One list of all volumes, begun in this term, shows everything that earlier terms have made. It is not made before
//! a deletion needs it, so taking over costs no list, and provisioning never waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::stores::Stores;

/// Whether this term has seen the volumes afresh.
#[derive(Debug, Default)]
pub struct Hindsight(Mutex<Arc<OnceCell<()>>>);

// === impl Hindsight ===

impl Hindsight {
    /// Whether nothing of earlier terms can be missing any more.
    pub fn is_clear(&self) -> bool {
        self.cell().initialized()
    }

    /// Lists the volumes, whoever asks first; the others wait for the same list.
    pub async fn clear_up(&self, stores: &Stores) {
        let cell = self.cell();
        cell.get_or_init(|| stores.see_volumes_afresh()).await;
    }

    /// A term begins.
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

//! What a removal could not remove.

use std::sync::Arc;

use crate::{Cause, Leftover, Leftovers, error::Owner};

/// Leftovers described one by one.
const FIRST_MAX: usize = 16;
/// Names remembered so that they are not tried again; 255 bytes each at most.
const NAMES_MAX: usize = 16_384;

/// Leftovers so far.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u64,
    first: Vec<Leftover>,
    /// Names that the directories remember.
    pub(super) names: usize,
}

// === impl Failures ===

impl Failures {
    /// Whether one more name may be remembered.
    pub(super) fn has_room(&self) -> bool {
        self.names < NAMES_MAX
    }

    pub(super) fn add(&mut self, path: String, owner: Option<Owner>, cause: Cause) {
        self.count += 1;
        if self.first.len() < FIRST_MAX {
            self.first.push(Leftover {
                path: path.into(),
                owner,
                cause,
            });
        }
    }

    pub(super) fn finish(self) -> Result<(), Cause> {
        if self.count == 0 {
            return Ok(());
        }
        Err(Cause::Leftovers(Arc::new(Leftovers {
            count: self.count,
            first: self.first,
        })))
    }
}

//! Who is at work in a directory: each says so by living, and what becomes of it by how it ends.

use std::sync::Arc;

use super::{Emptied, Paths, Stage};

/// A claim's hold on its directory; dropped before [`Hold::created`], it frees the directory.
#[derive(Debug)]
pub struct Hold {
    pub(super) paths: Paths,
    pub(super) volume: Box<str>,
    pub(super) created: bool,
}

/// A deletion's hold on the directory that it moves away.
#[derive(Debug)]
pub struct Moving {
    pub(super) paths: Paths,
    pub(super) volume: Box<str>,
}

/// A deletion's hold on a parent that it removes if it is empty.
#[derive(Debug)]
pub struct Emptying {
    pub(super) paths: Paths,
    pub(super) volume: Box<str>,
}

/// A volume that leaves its directory to others; dropped before [`Parting::gone`], it has not left after all.
#[derive(Debug)]
pub struct Parting {
    pub(super) paths: Paths,
    pub(super) volume: Arc<str>,
    pub(super) gone: bool,
}

// === impl Hold ===

impl Hold {
    /// The volume exists in the API: the hold lasts until the store shows it.
    pub fn created(mut self) {
        let mut inner = self.paths.lock();
        let epoch = inner.epoch;
        match inner.holds.get_mut(&self.volume) {
            Some((_, Stage::Shown)) => {
                inner.holds.remove(&self.volume);
            }
            Some((_, stage)) => *stage = Stage::Created(epoch),
            None => {}
        }
        drop(inner);
        self.created = true;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.created {
            self.paths.lock().holds.remove(&self.volume);
        }
    }
}

// === impl Moving ===

impl Moving {
    /// Whether the directory was moved is not known: the hold outlives this attempt and all others, until one is [`Moving::settled`], or
    /// [`Paths::stayed`].
    pub fn unsettled(&self) {
        self.paths.lock().unsettled.insert(self.volume.clone());
    }

    /// It is known where the directory is.
    pub fn settled(&self) {
        let mut inner = self.paths.lock();
        inner.unsettled.remove(&self.volume);
        inner.inherited.remove(&self.volume);
    }

    /// The server has answered this term: what an earlier one asked of it is done, or will not be.
    pub fn answered(&self) {
        self.paths.lock().inherited.remove(&self.volume);
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        let mut inner = self.paths.lock();
        let is_open =
            inner.unsettled.contains(&self.volume) || inner.inherited.contains(&self.volume);
        if !is_open {
            inner.moving.remove(&self.volume);
        }
    }
}

// === impl Emptying ===

impl Emptying {
    /// Whether it was removed is not known: the hold lasts until the next one of the same volume, or [`Paths::stayed`].
    pub fn unsettled(self) {
        if let Some(emptied) = self.paths.lock().emptying.get_mut(&self.volume) {
            emptied.in_doubt = true;
        }
    }
}

impl Drop for Emptying {
    fn drop(&mut self) {
        let mut inner = self.paths.lock();
        let in_doubt = |emptied: &Emptied| emptied.in_doubt;
        if !inner.emptying.get(&self.volume).is_some_and(in_doubt) {
            inner.emptying.remove(&self.volume);
        }
    }
}

// === impl Parting ===

impl Parting {
    /// Its object is deleted: it counts until the store shows that.
    pub fn gone(mut self) {
        self.gone = true;
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        if !self.gone {
            self.paths.left(&self.volume);
        }
    }
}

//! Directories that a removal knows and has not done with.

use std::{
    collections::HashSet,
    ops::{Index, IndexMut},
};

use nfs3_types::nfs3::nfs_fh3;

use super::super::ops::Id;
use crate::{
    Cause,
    error::Owner,
    export::{course::Course, stat::Cookie},
};

/// Components shown at the end of a path that is too long to show.
const TAIL: usize = 8;
/// Components shown in full.
const SHOWN_MAX: usize = 64;

/// One directory.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Node {
    pub(super) parent: Option<Id>,
    pub(super) name: Vec<u8>,
    pub(super) handle: nfs_fh3,
    pub(super) owner: Owner,
    pub(super) depth: u32,
    pub(super) cookie: Cookie,
    pub(super) course: Course,
    /// The last page was the last.
    pub(super) eof: bool,
    /// Entries of the page without an answer.
    pub(super) outstanding: u32,
    /// Directories in it that are known.
    pub(super) children: u32,
    /// Something was removed, or found to be stuck, since the last pass began.
    pub(super) changed: bool,
    /// Of that, something that is not seen again by the next pass.
    pub(super) progressed: bool,
    /// It holds entries that were left for another pass.
    pub(super) again: bool,
    /// Passes in a row without progress.
    pub(super) idle: u32,
    /// Read to the end and left: it has more entries that cannot be removed than are remembered.
    pub(super) forward_only: bool,
    /// Why it could not be read, or not to its end.
    pub(super) unreadable: Option<Cause>,
    /// Names in it that cannot be removed.
    pub(super) stuck: HashSet<Vec<u8>>,
}

/// All of them, by index.
#[derive(Debug)]
pub(super) struct Nodes {
    slots: Vec<Option<Node>>,
    free: Vec<Id>,
    root: Box<str>,
}

// === impl Node ===

impl Node {
    pub(super) fn new(parent: Option<Id>, name: Vec<u8>, handle: nfs_fh3, owner: Owner) -> Self {
        Self {
            parent,
            name,
            handle,
            owner,
            depth: 0,
            cookie: Cookie::default(),
            course: Course::default(),
            eof: false,
            outstanding: 0,
            children: 0,
            changed: false,
            progressed: false,
            again: false,
            idle: 0,
            forward_only: false,
            unreadable: None,
            stuck: HashSet::new(),
        }
    }

    /// Back to cookie 0.
    pub(super) fn start_over(&mut self) {
        self.cookie = Cookie::default();
        self.course = Course::default();
        self.unreadable = None;
        self.eof = false;
        self.changed = false;
        self.progressed = false;
        self.again = false;
    }
}

// === impl Nodes ===

impl Nodes {
    pub(super) fn new(root: &str) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            root: root.into(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, node: Node) -> Id {
        if let Some(id) = self.free.pop() {
            self.slots[id] = Some(node);
            return id;
        }
        self.slots.push(Some(node));
        self.slots.len() - 1
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Node> {
        let node = self.slots[id].take()?;
        self.free.push(id);
        Some(node)
    }

    /// The path of directory `id`, or of `name` in it, from the share's root; the middle of a very deep one is left out.
    pub(super) fn path(&self, id: Id, name: Option<&[u8]>) -> String {
        let (mut components, mut at) = (Vec::from_iter(name), Some(id));
        let mut dropped = 0_usize;
        while let Some(id) = at {
            let node = &self[id];
            if node.parent.is_some() {
                if components.len() < SHOWN_MAX {
                    components.push(&node.name);
                } else {
                    dropped += 1;
                }
            }
            at = node.parent;
        }
        let mut path = self.root.to_string();
        if dropped > 0 {
            components.truncate(TAIL);
            path.push_str("/...");
        }
        for component in components.into_iter().rev() {
            path.push('/');
            path.push_str(&String::from_utf8_lossy(component));
        }
        path
    }
}

impl Index<Id> for Nodes {
    type Output = Node;

    #[expect(
        clippy::expect_used,
        reason = "ids come from `insert`, and a node is removed after its last answer only"
    )]
    fn index(&self, id: Id) -> &Node {
        self.slots[id]
            .as_ref()
            .expect("a directory that is still known")
    }
}

impl IndexMut<Id> for Nodes {
    #[expect(
        clippy::expect_used,
        reason = "ids come from `insert`, and a node is removed after its last answer only"
    )]
    fn index_mut(&mut self, id: Id) -> &mut Node {
        self.slots[id]
            .as_mut()
            .expect("a directory that is still known")
    }
}

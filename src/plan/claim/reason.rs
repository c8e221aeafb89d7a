//! Why a claim that is ours gets no volume, in one sentence with its cure, and what has to change first.

use super::{NameTaken, Refusal, Until, Wait};
use crate::plan::class::ClassError;
use crate::plan::names;
use crate::plan::pattern::TooLong;
use crate::plan::shares::Unserved;
use nfs_export::PathError;
use std::fmt::Display;

/// Why a claim that is ours gets no volume. Displayed as the last part of the event's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    // The last words are the Go provisioner's, so the cure stands before them.
    #[error(
        "a directory is made for each claim, none is chosen by labels: create the claim anew without spec.selector; \
         claim Selector is not supported"
    )]
    Selector,
    #[error(
        "filling a volume from {0} is not supported by this provisioner, and an empty one is not what was asked for; \
         create the claim anew without dataSource and dataSourceRef and copy the data in with a Job, or with a class whose driver can do it"
    )]
    DataSource(Box<str>),
    #[error(
        "the class is wrong: {0}; parameters cannot be edited, so delete the class and create it anew"
    )]
    Class(#[from] ClassError),
    #[error(
        "there is no such class; create it, or create the claim anew with the name of one that exists (kubectl get storageclass)"
    )]
    NoClass,
    #[error("the claim names no class; create it anew with spec.storageClassName")]
    Unnamed,
    #[error(
        "pathPattern \"{pattern}\" gives {result:?} for this claim: {why}; change the labels or annotations that the pattern uses, or the class"
    )]
    Pattern {
        pattern: String,
        result: String,
        why: Misplaced,
    },
    #[error(
        "pathPattern \"{0}\": {1}; change the labels or annotations that it uses, or the class"
    )]
    Endless(String, TooLong),
    #[error("directory {0:?}: {1}; give the claim a shorter name, or the class a pathPattern")]
    Directory(String, Misplaced),
    #[error(transparent)]
    Taken(#[from] NameTaken),
}

/// Why a directory is not one for a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misplaced {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Share(#[from] Unserved),
    #[error("the folder {} belongs to the provisioner", names::HIDDEN)]
    Hidden,
}

fn failed(class: &str, why: &dyn Display) -> String {
    format!("failed to provision volume with StorageClass \"{class}\": {why}")
}

/// An event's message has room for 1,024 bytes, and what to do stands near its end.
pub(super) fn shorten(text: &str) -> String {
    const ROOM: usize = 200;
    let kept = &text[..text.floor_char_boundary(ROOM)];
    let rest = if kept.len() < text.len() { "…" } else { "" };
    format!("{kept}{rest}")
}

// === impl Wait ===

impl Wait {
    /// What to say where it lasts; `None` where others say it, or it cannot last.
    pub fn lasting(&self, class: &str) -> Option<String> {
        let why = match self {
            Self::ClassMayFollow | Self::NodeNotSelected => return None,
            Self::DirectoryIsLeaving { place, volume } => format!(
                "the directory {place} is on its way out with volume {volume}, and no claim gets it before that is done; \
                 see what holds that up (kubectl describe pv {volume}), and whether the share's server answers"
            ),
            Self::VolumeIsLeaving(volume) => format!(
                "a PersistentVolume {volume} is there already, and is being deleted; this claim's volume can have no other name: \
                 see which finalizers hold that one (kubectl describe pv {volume}), or delete the claim and create it anew"
            ),
        };
        Some(failed(class, &why))
    }
}

// === impl Refusal ===

impl Refusal {
    /// The first words are the Go library's, which names no class here.
    pub(super) fn block(provisioner: &str) -> Self {
        Self {
            message: format!(
                "{provisioner} does not support block volume provisioning; create the claim anew with volumeMode: Filesystem"
            ),
            until: Until::ClaimChanges,
        }
    }
}

// === impl Reason ===

impl Reason {
    pub(super) fn refuse(self, class: &str) -> Refusal {
        Refusal {
            message: failed(class, &self),
            until: self.until(),
        }
    }

    fn until(&self) -> Until {
        match self {
            Self::Selector | Self::DataSource(_) | Self::Unnamed => Until::ClaimChanges,
            Self::Class(_) | Self::NoClass => Until::ClassChanges,
            Self::Pattern { .. } | Self::Endless(..) | Self::Directory(..) => Until::EitherChanges,
            Self::Taken(_) => Until::VolumeGoes,
        }
    }
}

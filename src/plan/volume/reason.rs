//! Why a volume that is ours and released is not dealt with, and what to do about it.

use crate::plan::facts::Volume;
use crate::plan::names;
use crate::plan::shares::Unserved;
use nfs_export::PathError;

/// Why a volume that is ours and released stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("{0}; this volume is not deleted: {cure}", cure = cure(.0))]
    Unserved(#[from] Unserved),
    #[error(
        "its path leaves the share: it has a component \"..\"; nothing is deleted there: delete the object and its directory by hand"
    )]
    Backsteps,
    #[error(
        "its directory is in the provisioner's own folder {}; delete the object by hand",
        names::HIDDEN
    )]
    Hidden,
    #[error(
        "it is not an NFS volume, and its data nothing that this provisioner could delete; delete the object and its data by hand"
    )]
    NotNfs,
    #[error("its name cannot name a directory: {0}; delete the object and its directory by hand")]
    Name(PathError),
    // The first words are the Go provisioner's.
    #[error(
        "strconv.ParseBool: parsing {0:?}: invalid syntax; archiveOnDelete of the class must be \"true\" or \"false\": create the class anew \
         with one of them, and this volume follows it"
    )]
    Unreadable(Box<str>),
}

fn cure(unserved: &Unserved) -> &'static str {
    match unserved {
        Unserved::Elsewhere(..) => {
            "serve its share again (NFS_SERVER and NFS_PATH, or a class with server and share), or delete the object and its directory by hand"
        }
        Unserved::IsShare(_) | Unserved::HoldsShare(_) | Unserved::Path(_) => {
            "delete the object by hand, and of its directory what is not needed"
        }
    }
}

// === impl Reason ===

impl Reason {
    /// What to say where the object goes all the same, because somebody has deleted it by hand; `None` where it does not: what is wrong with a class
    /// can be put right, and then the directory goes as it should.
    pub(super) fn farewell(&self, volume: &Volume) -> Option<String> {
        let finding = match self {
            Self::Unreadable(_) => return None,
            Self::Unserved(unserved) => unserved.to_string(),
            Self::Backsteps => "its path leaves the share".to_owned(),
            Self::Hidden => format!("it is in the provisioner's own folder {}", names::HIDDEN),
            Self::NotNfs => "it is not an NFS volume".to_owned(),
            Self::Name(why) => format!("its name cannot name a directory: {why}"),
        };
        let data = match volume.place() {
            Some(place) => format!("the directory {place}"),
            None => "its data".to_owned(),
        };
        Some(format!(
            "volume deleted by hand; {data} stays where it is: {finding}"
        ))
    }
}

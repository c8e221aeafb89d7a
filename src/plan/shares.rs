//! Which share a class means, and on which share a volume's directory lies.
//!
//! ```text
//! 192.168.10.14:/data/nfs           the default share
//! 192.168.10.14:/data/nfs/fast      a class's share, inside it: its directories belong to it, and it is no directory of the outer one
//! ```

use crate::plan::class::ShareParams;
use crate::plan::facts::Recorded;
use crate::plan::place::{Place, Relation};
use nfs_export::{PathError, SubDir, Target};

/// An export to make directories in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Share {
    /// Server as written, and the path of the export.
    pub root: Place,
    /// The server's NFS port; `None` asks the portmapper.
    pub nfs_port: Option<u16>,
    /// The server's MOUNT port; `None` asks the portmapper.
    pub mount_port: Option<u16>,
}

/// All shares that this process serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    default: Share,
    others: Vec<Share>,
}

/// Why a directory is not one that may be made or deleted here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// Below none of our shares.
    #[error("{0} is on no share that is served here ({1})")]
    Elsewhere(Place, String),
    /// The root of a share.
    #[error("{0} is a share itself, not a directory on one")]
    IsShare(Place),
    /// A share lies inside the directory.
    #[error("the share {0} lies inside it")]
    HoldsShare(Place),
    /// Not a path that the export can be asked for.
    #[error(transparent)]
    Path(#[from] PathError),
}

// === impl Share ===

impl Share {
    /// The place of a directory of this share.
    pub fn place(&self, dir: &SubDir) -> Place {
        self.root.join(dir.as_str())
    }
}

impl From<&Share> for Target {
    fn from(share: &Share) -> Self {
        Self {
            server: share.root.server().into(),
            path: share.root.path().into(),
            nfs_port: share.nfs_port,
            mount_port: share.mount_port,
        }
    }
}

// === impl Served ===

impl Served {
    /// The default share and those that classes of ours choose.
    pub fn new<'a>(default: Share, classes: impl IntoIterator<Item = &'a ShareParams>) -> Self {
        let mut served = Self {
            default,
            others: Vec::new(),
        };
        for params in classes {
            let share = served.chosen_by(params);
            if share != served.default && !served.others.contains(&share) {
                served.others.push(share);
            }
        }
        served
    }

    /// The share of `NFS_SERVER` and `NFS_PATH`.
    pub fn default_share(&self) -> &Share {
        &self.default
    }

    /// All of them, the default one first.
    pub fn all(&self) -> impl Iterator<Item = &Share> {
        std::iter::once(&self.default).chain(&self.others)
    }

    /// The share that a class means. What it does not say is as for the default share; ports only where the server is the same.
    pub fn chosen_by(&self, params: &ShareParams) -> Share {
        let default = &self.default;
        let server = params.server.as_deref().unwrap_or(default.root.server());
        let ports = if server == default.root.server() {
            (default.nfs_port, default.mount_port)
        } else {
            (None, None)
        };
        let path = params.root.as_deref().unwrap_or(default.root.path());
        Share {
            root: Place::new(server, path).unwrap_or_else(|| default.root.clone()),
            nfs_port: params.nfs_port.or(ports.0),
            mount_port: params.mount_port.or(ports.1),
        }
    }

    /// The share and directory of a place: the innermost share that holds it, among those served and the one recorded on the volume.
    ///
    /// # Errors
    /// [`Unserved`]: no share holds it, it is a share, a share lies inside it, or its path cannot be walked.
    pub fn locate(&self, place: &Place, recorded: &Recorded) -> Result<(Share, SubDir), Unserved> {
        let noted = recorded
            .share
            .as_deref()
            .and_then(|root| Place::new(place.server(), root));
        let noted = noted.map(|root| Share {
            root,
            nfs_port: recorded.nfs_port,
            mount_port: recorded.mount_port,
        });
        self.guard(place)?;
        let holding = self
            .all()
            .chain(&noted)
            .filter_map(|share| Some((share, place.below(&share.root)?)));
        // Of two shares with the same root the one recorded on the volume is the one that it was made on.
        let Some((share, rest)) =
            holding.min_by_key(|(share, rest)| (rest.len(), Some(*share) != noted.as_ref()))
        else {
            return Err(Unserved::Elsewhere(place.clone(), self.list()));
        };
        if rest.is_empty() {
            return Err(Unserved::IsShare(place.clone()));
        }
        Ok((share.clone(), SubDir::parse(rest)?))
    }

    /// Whether a directory at `place` can be ours: no share may be it or lie inside it.
    ///
    /// # Errors
    /// [`Unserved::IsShare`] and [`Unserved::HoldsShare`].
    pub fn guard(&self, place: &Place) -> Result<(), Unserved> {
        for share in self.all() {
            match share.root.relation(place) {
                Some(Relation::Same) => return Err(Unserved::IsShare(place.clone())),
                Some(Relation::Inside) => return Err(Unserved::HoldsShare(share.root.clone())),
                Some(Relation::Contains) | None => {}
            }
        }
        Ok(())
    }

    fn list(&self) -> String {
        self.all()
            .map(|share| share.root.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mk::{SERVER, mk_place, mk_served, mk_share};

    fn mk_params(server: Option<&str>, root: Option<&str>, nfs_port: Option<u16>) -> ShareParams {
        ShareParams {
            server: server.map(Into::into),
            root: root.map(Into::into),
            nfs_port,
            mount_port: None,
        }
    }

    #[test]
    fn what_a_class_does_not_say_is_as_for_the_default_share() {
        let default = Share {
            nfs_port: Some(2050),
            mount_port: Some(2051),
            ..mk_share("/data/nfs")
        };
        let served = Served::new(default.clone(), []);
        for (outcome, params, root, ports) in [
            (
                "nothing said",
                mk_params(None, None, None),
                "192.168.10.14:/data/nfs",
                (Some(2050), Some(2051)),
            ),
            (
                "another share",
                mk_params(None, Some("/srv"), None),
                "192.168.10.14:/srv",
                (Some(2050), Some(2051)),
            ),
            (
                "the default server by name",
                mk_params(Some(SERVER), Some("/srv"), None),
                "192.168.10.14:/srv",
                (Some(2050), Some(2051)),
            ),
            (
                "another server has ports of its own",
                mk_params(Some("nas2"), None, None),
                "nas2:/data/nfs",
                (None, None),
            ),
            (
                "another port",
                mk_params(None, None, Some(9)),
                "192.168.10.14:/data/nfs",
                (Some(9), Some(2051)),
            ),
        ] {
            let share = served.chosen_by(&params);
            assert_eq!(
                (
                    share.root.to_string().as_str(),
                    (share.nfs_port, share.mount_port)
                ),
                (root, ports),
                "{outcome}"
            );
        }
    }

    #[test]
    fn a_share_that_several_classes_choose_is_served_once() {
        let params = [
            mk_params(None, None, None),
            mk_params(None, Some("/srv"), None),
            mk_params(None, Some("/srv"), None),
        ];
        let served = Served::new(mk_share("/data/nfs"), &params);
        assert_eq!(
            served.all().cloned().collect::<Vec<_>>(),
            [mk_share("/data/nfs"), mk_share("/srv")]
        );
    }

    #[test]
    fn a_target_is_what_the_administrator_wrote() {
        let target = Target::from(&Share {
            root: Place::new("[fe80::1%eth0]", "/a/").unwrap(),
            nfs_port: Some(1),
            mount_port: None,
        });
        assert_eq!(
            (
                target.server.as_str(),
                target.path.as_str(),
                target.nfs_port,
                target.mount_port
            ),
            ("[fe80::1%eth0]", "/a", Some(1), None)
        );
    }

    #[test]
    fn places_are_found_on_the_innermost_share() {
        let served = mk_served(&["/data/nfs/fast", "/srv"]);
        for (path, root, dir) in [
            ("/data/nfs/d", "/data/nfs", "d"),
            ("/data/nfs/a/b", "/data/nfs", "a/b"),
            ("/data/nfs/fast/d", "/data/nfs/fast", "d"),
            ("/data/nfs/faster", "/data/nfs", "faster"),
            ("/srv/x", "/srv", "x"),
        ] {
            let (share, found) = served
                .locate(&mk_place(path), &Recorded::default())
                .unwrap();
            assert_eq!((share.root.path(), found.as_str()), (root, dir), "{path}");
            assert_eq!(share.place(&found), mk_place(path));
        }
    }

    #[test]
    fn a_recorded_share_is_a_share_too() {
        let (served, recorded) = (mk_served(&["/srv"]), |root: &str| Recorded {
            share: Some(root.into()),
            nfs_port: Some(7),
            ..Recorded::default()
        });
        let (share, dir) = served
            .locate(&mk_place("/old/d"), &recorded("/old"))
            .unwrap();
        assert_eq!(
            (share.root.path(), share.nfs_port, dir.as_str()),
            ("/old", Some(7), "d")
        );
        let (share, _) = served
            .locate(&mk_place("/srv/d"), &recorded("/srv"))
            .unwrap();
        assert_eq!(share.nfs_port, Some(7), "the ports that it was made with");
        assert_eq!(
            served.locate(&mk_place("/old"), &recorded("/old")),
            Err(Unserved::IsShare(mk_place("/old")))
        );
        assert!(matches!(
            served.locate(&mk_place("/older"), &recorded("/old")),
            Err(Unserved::Elsewhere(..))
        ));
        assert!(matches!(
            served.locate(&mk_place("/x"), &recorded("relative")),
            Err(Unserved::Elsewhere(..))
        ));
    }
}

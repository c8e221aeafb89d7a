//! The parameters of a class, parsed; and what becomes of a volume's data, which follows from them.
//!
//! Parsing never fails as a whole: a class with a bad port still says how its old volumes are to be deleted. What is wrong is kept where it will matter.

use crate::plan::facts::Class;
use crate::plan::place::clean;
use std::collections::BTreeMap;
use std::fmt;

/// What a class asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassParams {
    /// The directory's name as a template; see [`crate::plan::pattern`].
    pub path_pattern: Option<Box<str>>,
    /// `onDelete`, where it has a value that means something.
    pub on_delete: Option<OnDelete>,
    /// `archiveOnDelete`; what cannot be read as a bool is an error only when a volume is deleted.
    pub archive_on_delete: Option<Result<bool, Box<str>>>,
    /// Another share than the default one, or other ports.
    pub share: Result<ShareParams, ClassError>,
    /// What the administrator should know of: parameters that have no effect. For the log.
    pub notes: Box<[Note]>,
}

/// The parameters that choose a share. What is `None` is as for the default share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareParams {
    /// `server`
    pub server: Option<Box<str>>,
    /// `share`: absolute and clean.
    pub root: Option<Box<str>>,
    /// `nfsPort`
    pub nfs_port: Option<u16>,
    /// `mountPort`
    pub mount_port: Option<u16>,
}

/// The values of `onDelete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The directory goes.
    Delete,
    /// The directory stays.
    Retain,
}

/// What becomes of a volume's data when the volume is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposal {
    /// The directory is removed.
    Delete,
    /// It is left as it is.
    Retain,
    /// It is renamed.
    Archive,
    /// `archiveOnDelete` has this value, which is not a bool: nothing is done until somebody says what is meant.
    Unreadable(Box<str>),
}

/// Why a class cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClassError {
    /// `server: ""`
    #[error("parameter \"server\" is empty")]
    EmptyServer,
    /// `share` does not begin with a slash.
    #[error("parameter \"share\" is {0:?}, which is not an absolute path")]
    RelativeShare(Box<str>),
    /// Not 1 to 65535.
    #[error("parameter {0:?} is {1:?}, which is not a port number")]
    BadPort(&'static str, Box<str>),
}

/// A parameter that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// `onDelete` is neither `delete` nor `retain`.
    OnDeleteIgnored(Box<str>),
    /// No parameter of ours has this name.
    Unknown(Box<str>),
}

/// Go's `strconv.ParseBool`: `1 t T TRUE true True 0 f F FALSE false False`, and nothing else.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

// === impl ClassParams ===

impl ClassParams {
    /// Reads the parameters of a class.
    pub fn parse(parameters: &BTreeMap<String, String>) -> Self {
        let get = |key: &str| parameters.get(key).map(String::as_str);
        Self {
            path_pattern: get("pathPattern").map(Into::into),
            on_delete: get("onDelete").and_then(OnDelete::parse),
            archive_on_delete: get("archiveOnDelete")
                .map(|text| parse_bool(text).ok_or_else(|| text.into())),
            share: ShareParams::parse(get),
            notes: parameters
                .iter()
                .filter_map(|(key, value)| Note::on(key, value))
                .collect(),
        }
    }

    /// What becomes of the data of this class's volumes: `onDelete` decides, then `archiveOnDelete`, and without both it is archived.
    pub fn disposal(&self) -> Disposal {
        match (self.on_delete, &self.archive_on_delete) {
            (Some(OnDelete::Delete), _) | (None, Some(Ok(false))) => Disposal::Delete,
            (Some(OnDelete::Retain), _) => Disposal::Retain,
            (None, Some(Ok(true)) | None) => Disposal::Archive,
            (None, Some(Err(text))) => Disposal::Unreadable(text.clone()),
        }
    }
}

// === impl ShareParams ===

impl ShareParams {
    fn parse<'a>(get: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, ClassError> {
        let server = get("server").map(|text| {
            if text.is_empty() {
                Err(ClassError::EmptyServer)
            } else {
                Ok(text.into())
            }
        });
        let root = get("share").map(|text| {
            clean(text)
                .map(Into::into)
                .ok_or_else(|| ClassError::RelativeShare(text.into()))
        });
        let port = |key: &'static str| {
            get(key)
                .map(|text| parse_port(text).ok_or_else(|| ClassError::BadPort(key, text.into())))
                .transpose()
        };
        Ok(Self {
            server: server.transpose()?,
            root: root.transpose()?,
            nfs_port: port("nfsPort")?,
            mount_port: port("mountPort")?,
        })
    }
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

// === impl OnDelete ===

impl OnDelete {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "delete" => Some(Self::Delete),
            "retain" => Some(Self::Retain),
            _ => None,
        }
    }
}

// === impl Disposal ===

/// Stands before an unreadable value in the record, so that no value can pass for a policy.
const UNREADABLE: &str = "archiveOnDelete=";

impl Disposal {
    /// What decides about a volume: its class as it is now, else what was recorded when it was made, else archiving.
    pub fn of(class: Option<&Class>, recorded: Option<&Self>) -> Self {
        class
            .map(|class| class.params.disposal())
            .or_else(|| recorded.cloned())
            .unwrap_or(Self::Archive)
    }

    /// As it is recorded on a volume: `delete`, `retain`, `archive`, or `archiveOnDelete=VALUE` where the value is not a bool.
    pub fn record(&self) -> String {
        match self {
            Self::Delete => "delete".into(),
            Self::Retain => "retain".into(),
            Self::Archive => "archive".into(),
            Self::Unreadable(text) => format!("{UNREADABLE}{text}"),
        }
    }

    /// Reads what [`Disposal::record`] wrote; `None` for anything else, which then counts as no record.
    pub fn from_record(text: &str) -> Option<Self> {
        match text {
            "delete" => Some(Self::Delete),
            "retain" => Some(Self::Retain),
            "archive" => Some(Self::Archive),
            _ => text
                .strip_prefix(UNREADABLE)
                .map(|text| Self::Unreadable(text.into())),
        }
    }
}

// === impl Note ===

impl Note {
    fn on(key: &str, value: &str) -> Option<Self> {
        match key {
            "onDelete" if OnDelete::parse(value).is_none() => {
                Some(Self::OnDeleteIgnored(value.into()))
            }
            "onDelete" | "pathPattern" | "archiveOnDelete" | "server" | "share" | "nfsPort"
            | "mountPort" => None,
            // Read by the sidecars of CSI drivers; classes that once were of such a driver carry them along.
            _ if key.starts_with("csi.storage.k8s.io/") => None,
            _ => Some(Self::Unknown(key.into())),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnDeleteIgnored(value) => write!(
                f,
                "onDelete is {value:?}, neither \"delete\" nor \"retain\", and has no effect"
            ),
            Self::Unknown(key) => write!(f, "parameter {key:?} is not known and has no effect"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_params(pairs: &[(&str, &str)]) -> ClassParams {
        ClassParams::parse(
            &pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn on_delete_precedes_archive_on_delete_precedes_archiving() {
        let unreadable = |text: &str| Disposal::Unreadable(text.into());
        for (pairs, disposal) in [
            (&[][..], Disposal::Archive),
            (&[("archiveOnDelete", "true")], Disposal::Archive),
            (&[("archiveOnDelete", "false")], Disposal::Delete),
            (&[("archiveOnDelete", "nope")], unreadable("nope")),
            (&[("archiveOnDelete", "")], unreadable("")),
            (&[("onDelete", "delete")], Disposal::Delete),
            (&[("onDelete", "retain")], Disposal::Retain),
            (
                &[("onDelete", "delete"), ("archiveOnDelete", "true")],
                Disposal::Delete,
            ),
            (
                &[("onDelete", "retain"), ("archiveOnDelete", "false")],
                Disposal::Retain,
            ),
            (
                &[("onDelete", "retain"), ("archiveOnDelete", "nope")],
                Disposal::Retain,
            ),
            (&[("onDelete", "archive")], Disposal::Archive),
            (
                &[("onDelete", "archive"), ("archiveOnDelete", "false")],
                Disposal::Delete,
            ),
            (&[("onDelete", "Delete")], Disposal::Archive),
            (&[("onDelete", "")], Disposal::Archive),
        ] {
            assert_eq!(mk_params(pairs).disposal(), disposal, "{pairs:?}");
        }
    }

    #[test]
    fn archive_on_delete_is_read_as_go_reads_a_bool() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(parse_bool(text), Some(true), "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(parse_bool(text), Some(false), "{text}");
        }
        for text in ["", "yes", "no", "tRUE", " true", "true ", "2", "nope"] {
            assert_eq!(parse_bool(text), None, "{text}");
        }
    }

    #[test]
    fn a_record_survives_and_no_value_passes_for_a_policy() {
        for disposal in [
            Disposal::Delete,
            Disposal::Retain,
            Disposal::Archive,
            Disposal::Unreadable("nope".into()),
            Disposal::Unreadable("delete".into()),
            Disposal::Unreadable("".into()),
        ] {
            assert_eq!(Disposal::from_record(&disposal.record()), Some(disposal));
        }
        assert_eq!(Disposal::from_record("Delete"), None);
    }

    #[test]
    fn a_class_may_choose_another_share() {
        let params = mk_params(&[
            ("server", "nas2"),
            ("share", "/srv//x/"),
            ("nfsPort", "2049"),
            ("mountPort", "20048"),
        ]);
        let share = ShareParams {
            server: Some("nas2".into()),
            root: Some("/srv/x".into()),
            nfs_port: Some(2049),
            mount_port: Some(20048),
        };
        assert_eq!(params.share, Ok(share));
        assert_eq!(mk_params(&[]).share, Ok(ShareParams::default()));
    }

    #[test]
    fn a_bad_share_is_named_and_leaves_the_policy_readable() {
        for (pairs, error) in [
            (&[("server", "")], ClassError::EmptyServer),
            (&[("share", "srv")], ClassError::RelativeShare("srv".into())),
            (
                &[("nfsPort", "0")],
                ClassError::BadPort("nfsPort", "0".into()),
            ),
            (
                &[("mountPort", "65536")],
                ClassError::BadPort("mountPort", "65536".into()),
            ),
        ] {
            assert_eq!(mk_params(pairs).share, Err(error));
        }
        assert_eq!(
            mk_params(&[("nfsPort", "x"), ("archiveOnDelete", "false")]).disposal(),
            Disposal::Delete
        );
    }

    #[test]
    fn what_has_no_effect_is_noted() {
        let params = mk_params(&[
            ("csi.storage.k8s.io/fstype", "nfs"),
            ("onDelete", "keep"),
            ("pathpattern", "x"),
            ("pathPattern", "y"),
        ]);
        assert_eq!(
            *params.notes,
            [
                Note::OnDeleteIgnored("keep".into()),
                Note::Unknown("pathpattern".into())
            ]
        );
    }
}

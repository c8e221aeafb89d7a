//! The default share, and how its server is spoken to.

use super::ConfigError;
use super::value::{self, Set, duration, number, positive};
use crate::plan::place::Place;
use crate::plan::shares::Share;
use nfs_export::Options;

/// Where the default share is.
pub(super) fn share(
    server: Option<String>,
    path: Option<String>,
    nfs_port: Option<String>,
    mount_port: Option<String>,
) -> Result<Share, ConfigError> {
    let set = Set::new("NFS_SERVER", server);
    let server = set.required("give the host name or address of the NFS server")?;
    let is_host = |text: &str| {
        !text
            .contains(|letter: char| letter == '/' || letter.is_whitespace() || letter.is_control())
    };
    let server = set.check(
        server,
        "a host name or address (the path goes into NFS_PATH)",
        |text| is_host(text).then(|| text.to_owned()),
    )?;
    let set = Set::new("NFS_PATH", path);
    let path = set.required("give the absolute path of the share on the NFS server")?;
    let root = set.check(path, "an absolute path", |text| {
        Place::new(&server, text).filter(|_| !text.contains('\0'))
    })?;
    let port = |name, text| {
        Set::new(name, text)
            .unless_service_link()
            .parse(value::PORT, value::port)
    };
    Ok(Share {
        root,
        nfs_port: port("NFS_PORT", nfs_port)?,
        mount_port: port("MOUNT_PORT", mount_port)?,
    })
}

/// As whom, and how patiently.
pub(super) fn nfs(
    uid: Option<String>,
    gid: Option<String>,
    in_flight: Option<String>,
    timeout: Option<String>,
) -> Result<Options, ConfigError> {
    let default = Options::default();
    Ok(Options {
        uid: Set::new("NFS_UID", uid).parse_or(default.uid, "a user number", number)?,
        gid: Set::new("NFS_GID", gid).parse_or(default.gid, "a group number", number)?,
        in_flight: Set::new("NFS_IN_FLIGHT", in_flight).parse_or(
            default.in_flight,
            "a count from 1",
            positive,
        )?,
        deadline: Set::new("NFS_CALL_TIMEOUT", timeout).parse_or(
            default.deadline,
            value::DURATION,
            duration,
        )?,
        ..default
    })
}

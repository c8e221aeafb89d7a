//! The names that we give: all follow from what they are for, so that whoever comes after a crash finds them again.
//!
//! ```text
//! SHARE/default-data-kafka-0-pvc-UID                      a volume's directory
//! SHARE/archived-default-data-kafka-0-pvc-UID             the same, archived
//! SHARE/.nfs-subdir-external-provisioner/pvc-UID          the same, on its way out
//! ```

use nfs_export::{PathError, SubDir};

/// The folder at a share's root that is ours alone.
pub const HIDDEN: &str = ".nfs-subdir-external-provisioner";

/// Bytes of one name on a share, at most.
const LONGEST: usize = 255;

/// How many names an archive tries before it asks for help.
const ARCHIVE_TRIES: usize = 32;

/// The volume's name: `pvc-UID`.
pub fn volume(claim_uid: &str) -> String {
    format!("pvc-{claim_uid}")
}

/// The UID of the claim whose volume a name is, or would be.
pub fn claim_uid(volume: &str) -> Option<&str> {
    volume.strip_prefix("pvc-")
}

/// The directory where the class has no pattern: `NAMESPACE-CLAIM-VOLUME`.
pub fn default_directory(namespace: &str, claim: &str, volume: &str) -> String {
    format!("{namespace}-{claim}-{volume}")
}

/// The folder [`HIDDEN`].
///
/// # Errors
/// None that can happen: the name is a good one.
pub fn hidden() -> Result<SubDir, PathError> {
    SubDir::parse(HIDDEN)
}

/// Where a volume's directory goes before it is removed.
///
/// # Errors
/// [`PathError`] for a volume name that no API server would take.
pub fn trash(volume: &str) -> Result<SubDir, PathError> {
    hidden()?.join(volume)
}

/// Whether a directory is in a hidden folder, at whatever depth: the folder of a share inside the share is at none that we know.
pub fn is_hidden(dir: &SubDir) -> bool {
    dir.components().any(|component| component == HIDDEN)
}

/// Names for the archive of `dir`, to be tried in this order: `archived-LAST`, then with the volume's name, then with numbers as well. All at the root of
/// the share. A name that would be too long is cut before the volume's name, which is then always there.
pub fn archives(dir: &SubDir, volume: &str) -> Vec<SubDir> {
    let last = dir.name();
    let numbered = (2..ARCHIVE_TRIES).map(|number| format!("-{volume}-{number}"));
    let tails = [String::new(), format!("-{volume}")]
        .into_iter()
        .chain(numbered);
    tails.filter_map(|tail| archive(last, &tail)).collect()
}

/// Whether a name at the root of a share is an archive's.
pub fn is_archive(name: &[u8]) -> bool {
    name.starts_with(b"archived-")
}

/// `source.component` of our events: `PROVISIONER_IDENTITY`.
pub fn event_component(provisioner: &str, identity: &str) -> String {
    format!("{provisioner}_{identity}")
}

/// Who holds the lock: `HOSTNAME_UUID`.
pub fn identity(hostname: &str, uuid: &str) -> String {
    format!("{hostname}_{uuid}")
}

/// The lock's name: the provisioner's, with `-` for `/`. What a provisioner may be called and an object may not be is mended; Go's lock has no such name.
pub fn lock(provisioner: &str) -> String {
    provisioner.replace(['/', '_'], "-").to_lowercase()
}

fn archive(last: &str, tail: &str) -> Option<SubDir> {
    let whole = format!("archived-{last}{tail}");
    if whole.len() <= LONGEST {
        return SubDir::parse(&whole).ok();
    }
    // Two long names may be cut to the same one: without the volume's name that would be a collision.
    let room = LONGEST
        .checked_sub("archived-".len() + tail.len())
        .filter(|_| !tail.is_empty())?;
    SubDir::parse(&format!(
        "archived-{}{tail}",
        &last[..last.floor_char_boundary(room)]
    ))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_archives(dir: &str) -> Vec<String> {
        archives(&SubDir::parse(dir).unwrap(), "pvc-1")
            .iter()
            .map(|dir| dir.as_str().to_owned())
            .collect()
    }

    #[test]
    fn archive_name_is_the_last_component_then_with_the_volume() {
        let names = mk_archives("team/web/data");
        assert_eq!(
            names[..3],
            [
                "archived-data",
                "archived-data-pvc-1",
                "archived-data-pvc-1-2"
            ]
        );
    }

    #[test]
    fn archive_names_are_distinct_and_fit() {
        for last in ["x".repeat(255), "ü".repeat(127), "y".repeat(246)] {
            let mut names = mk_archives(&last);
            assert!(
                names
                    .iter()
                    .all(|name| name.len() <= 255 && name.starts_with("archived-")),
                "{last}"
            );
            assert!(names.len() >= ARCHIVE_TRIES - 1, "{last}");
            names.sort();
            names.dedup();
            assert!(names.len() >= ARCHIVE_TRIES - 1, "{last}");
        }
        assert!(
            mk_archives(&"x".repeat(255))[0].ends_with("-pvc-1"),
            "a name that was cut has the volume's name"
        );
    }

    #[test]
    fn names_follow_from_what_they_are_for() {
        assert_eq!(
            lock("Cluster.Local/Release_nfs"),
            "cluster.local-release-nfs"
        );
        assert_eq!(volume("d52b"), "pvc-d52b");
        assert_eq!(
            default_directory("default", "plain", "pvc-d52b"),
            "default-plain-pvc-d52b"
        );
        assert_eq!(
            trash("pvc-1").unwrap().as_str(),
            ".nfs-subdir-external-provisioner/pvc-1"
        );
        assert_eq!(
            lock("k8s-sigs.io/nfs-subdir-external-provisioner"),
            "k8s-sigs.io-nfs-subdir-external-provisioner"
        );
        assert_eq!(
            event_component("a.io/b", &identity("host", "uuid")),
            "a.io/b_host_uuid"
        );
    }

    #[test]
    fn the_hidden_folder_is_known_at_any_depth() {
        for (dir, hidden) in [
            (".nfs-subdir-external-provisioner", true),
            (".nfs-subdir-external-provisioner/pvc-1", true),
            ("a/.nfs-subdir-external-provisioner/b", true),
            ("nfs-subdir-external-provisioner", false),
            ("a/.nfs-subdir-external-provisioner-2", false),
        ] {
            assert_eq!(is_hidden(&SubDir::parse(dir).unwrap()), hidden, "{dir}");
        }
    }
}

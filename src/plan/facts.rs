//! What the provisioner keeps of the objects that it watches: as little as a decision needs, because a cluster has tens of thousands of them.
//!
//! Parsed once, where the watch delivers them; past that, nothing is looked up in annotations again.

mod claim;
mod class;
mod volume;

pub use claim::{Claim, Pairs, Request, Standing};
pub use class::Class;
pub use volume::{Named, Phase, Reclaim, Recorded, Source, Volume};

/// On a claim: which provisioner it is for.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// On a claim: the older name of [`STORAGE_PROVISIONER`].
pub const BETA_STORAGE_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
/// On a claim or volume: its class, before there was a field for it; still wins over the field.
pub const BETA_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// On a claim: the node that the scheduler chose for its first consumer.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a volume: which provisioner made it.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a volume: which provisioner has taken it over.
pub const MIGRATED_TO: &str = "pv.kubernetes.io/migrated-to";
/// On a volume: a provisioner has yet to clean up behind it.
pub const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";

/// On a volume of ours: what becomes of its data, as its class said when it was made. See [`crate::plan::class::Disposal::record`].
pub const RECORDED_ON_DELETE: &str = "nfs-subdir-external-provisioner.io/on-delete";
/// On a volume of ours: the root of its share, where that is not the default share.
pub const RECORDED_SHARE: &str = "nfs-subdir-external-provisioner.io/share";
/// On a volume of ours: the server's NFS port, where it is not asked of the portmapper.
pub const RECORDED_NFS_PORT: &str = "nfs-subdir-external-provisioner.io/nfs-port";
/// On a volume of ours: the server's MOUNT port, where it is not asked of the portmapper.
pub const RECORDED_MOUNT_PORT: &str = "nfs-subdir-external-provisioner.io/mount-port";

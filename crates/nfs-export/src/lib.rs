//! The verbs of one NFSv3 export: make, rename, remove and look at directories.
#![allow(
    clippy::similar_names,
    reason = "made and mode, last and lost: short words that say what they mean"
)]

mod error;
mod export;
mod path;
mod rpc;
mod session;
mod stats;

pub use error::{Cause, Error, Leftover, Leftovers, MountRefusal, Operation, Owner, Recovery};
pub use export::{
    Created, Entry, Export, FsStat, Kind, Options, Progress, Removed, Renamed, Stat, State, Target,
};
pub use nfs3_types::{mount::mountstat3, nfs3::nfsstat3, rpc::auth_stat};
pub use path::{PathError, SubDir};
pub use rpc::{Broken, Malformed, RecordError, Refusal};
pub use stats::{DURATION_BUCKETS, Durations, Stats};

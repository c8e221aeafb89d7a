//! The verbs of one NFSv3 export: make, rename, remove and look at directories.
mod error;
mod export;
mod path;

pub use error::{Error, Recovery};
pub use export::{
    Created, Entry, Export, FsStat, Kind, Options, Removed, Renamed, Stat, State, Target,
};
pub use path::{PathError, SubDir};

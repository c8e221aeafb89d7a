//! What a volume is by itself: where its directory lies, and how much of it is to be left.

use super::Surroundings;
use super::reason::Reason;
use crate::plan::class::Disposal;
use crate::plan::facts::{Class, Source, Volume};
use crate::plan::names;
use crate::plan::place::Place;
use crate::plan::shares::{Served, Share};
use nfs_export::SubDir;

/// How much of the data a volume leaves behind that is due: the less first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keeps {
    Nothing,
    Archive,
    Directory,
}

/// What a volume that is due is by itself, whatever surrounds it.
#[derive(Debug)]
pub(super) struct Own<'a> {
    pub(super) place: &'a Place,
    pub(super) share: Share,
    pub(super) dir: SubDir,
    pub(super) trash: SubDir,
    pub(super) keeps: Keeps,
}

/// The class that decides about a volume is the one of its name. Where the volume remembers what its class said, one of that name that is another
/// provisioner's today is a stranger.
pub(super) fn deciding<'a>(volume: &Volume, around: &Surroundings<'a>) -> Option<&'a Class> {
    let class = around.classes.get(&volume.class).map(AsRef::as_ref);
    class.filter(|class| {
        volume.recorded.disposal.is_none() || *class.provisioner == *around.provisioner
    })
}

pub(super) fn own<'a>(volume: &'a Volume, around: &Surroundings<'_>) -> Result<Own<'a>, Reason> {
    let (place, share, dir) = located(volume, around.served)?;
    let keeps = match Disposal::of(deciding(volume, around), volume.recorded.disposal.as_ref()) {
        Disposal::Retain => Keeps::Directory,
        Disposal::Archive => Keeps::Archive,
        Disposal::Delete => Keeps::Nothing,
        Disposal::Unreadable(text) => return Err(Reason::Unreadable(text)),
    };
    Ok(Own {
        place,
        share,
        dir,
        trash: names::trash(&volume.name).map_err(Reason::Name)?,
        keeps,
    })
}

pub(super) fn located<'a>(
    volume: &'a Volume,
    served: &Served,
) -> Result<(&'a Place, Share, SubDir), Reason> {
    let (place, backsteps) = match &volume.source {
        Source::Nfs { place, backsteps } => (place, *backsteps),
        Source::CsiNfs { .. } | Source::Other => return Err(Reason::NotNfs),
    };
    if backsteps {
        return Err(Reason::Backsteps);
    }
    let (share, dir) = served.locate(place, &volume.recorded)?;
    if names::is_hidden(&dir) {
        return Err(Reason::Hidden);
    }
    Ok((place, share, dir))
}

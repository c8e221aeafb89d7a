//! A volume's directory goes away: under the name of an archive, or into the hidden folder and from there for good.
//!
//! Each step can be repeated. Refuses to decide where a directory goes, and to touch the API.

use std::time::Duration;

use nfs_export::{Cause, Error, Export, Removed, Renamed, SubDir, Target};
use tokio::time::Instant;
use tracing::{debug, info};

use super::failure::Failure;
use super::paths::Moving;
use super::volume::{Decided, Site};
use super::{Context, parents};
use crate::plan::facts::Volume;
use crate::plan::place::Place;
use crate::plan::shares::Share;
use crate::plan::volume::{Archive, Delete, KeepData, WayBack};

/// Renames the directory to the first name that is free. A directory that is gone already needs no archive.
pub(super) async fn archive(
    ctx: &Context,
    decided: &Decided<'_>,
    archive: &Archive,
) -> Result<(), Failure> {
    let volume = decided.volume();
    let (_, export) = open(ctx, &archive.share);
    let moving = ctx
        .paths
        .move_away(&volume.name, archive.share.place(&archive.from))?;
    decided.still_holds(ctx).await?;
    for to in &archive.candidates {
        ctx.fence()?;
        match moved(ctx, &export, &moving, &archive.from, to).await? {
            Renamed::Done => info!(
                dir = archive.from.as_str(),
                archive = to.as_str(),
                "directory archived"
            ),
            Renamed::NoSource => info!(dir = archive.from.as_str(), "directory is gone already"),
            Renamed::TargetExists => {
                debug!(archive = to.as_str(), "name is taken by another archive");
                continue;
            }
        }
        drop(moving);
        parents::remove_empty(ctx, &archive.share, &archive.from, &volume.name).await?;
        return Ok(());
    }
    Err(Failure::NoArchiveName(archive.from.as_str().to_owned()))
}

/// Renames the directory away, so that nothing written under its name from here on can be hit, then removes it.
pub(super) async fn remove(
    ctx: &Context,
    decided: &Decided<'_>,
    delete: &Delete,
) -> Result<(), Failure> {
    let volume = decided.volume();
    let (target, export) = open(ctx, &delete.share);
    let moving = ctx
        .paths
        .move_away(&volume.name, delete.share.place(&delete.dir))?;
    ctx.fence()?;
    if let Some(hidden) = delete.trash.parent() {
        let made = export.create_dir_all(&hidden, HIDDEN_MODE).await;
        made.inspect_err(|error| heard(&moving, error))
            .map_err(Failure::share(&target))?;
    }
    // Only now: a share that was down has kept the call above waiting.
    decided.still_holds(ctx).await?;
    ctx.fence()?;
    ctx.paths.trashed(volume);
    let removed = match moved(ctx, &export, &moving, &delete.dir, &delete.trash).await {
        Err(failure) if failure.is_between_file_systems() => {
            remove_in_place(ctx, decided, &export, &delete.dir, &moving).await?
        }
        renamed => {
            drop(moving);
            remove_moved(ctx, decided, &export, &delete.trash, renamed?).await?
        }
    };
    info!(
        dir = delete.dir.as_str(),
        directories = removed.directories,
        files = removed.files,
        "directory removed"
    );
    parents::remove_empty(ctx, &delete.share, &delete.dir, &volume.name).await
}

async fn remove_moved(
    ctx: &Context,
    decided: &Decided<'_>,
    export: &Export,
    trash: &SubDir,
    renamed: Renamed,
) -> Result<Removed, Failure> {
    debug!(?renamed, "directory moved away");
    let removed = clear(ctx, decided, export, trash, Site::Hidden).await?;
    if renamed == Renamed::TargetExists {
        // An earlier attempt moved the data there. What bears the old name now was made since then: a volume's that left it to this one, or
        // somebody else's. The plan says which, when it is asked anew.
        return Err(Failure::NameTakenAnew);
    }
    Ok(removed)
}

/// A file system of its own inside the share, or a quota of its own, as of a namespace: nothing can be renamed out of it. No claim gets the directory
/// until all of it is gone. After a crash the next attempt comes here again; of one that is taken back, what is left is where it was.
async fn remove_in_place(
    ctx: &Context,
    decided: &Decided<'_>,
    export: &Export,
    dir: &SubDir,
    moving: &Moving,
) -> Result<Removed, Failure> {
    decided.still_holds(ctx).await?;
    debug!("directory is on another file system than the hidden folder");
    // What an attempt leaves half removed, and what it asked for without an answer, outlives it.
    moving.unsettled();
    let removed = clear(ctx, decided, export, dir, Site::Own).await?;
    moving.settled();
    Ok(removed)
}

/// Removes a directory of a volume that no claim can get meanwhile, unless somebody takes that back.
async fn clear(
    ctx: &Context,
    decided: &Decided<'_>,
    export: &Export,
    dir: &SubDir,
    site: Site,
) -> Result<Removed, Failure> {
    let begun = Instant::now();
    let removal = empty(ctx, export, export.target(), dir);
    let removed = decided.until_called_off(ctx, site, removal).await?;
    if begun.elapsed() >= LONG {
        decided.was_not_called_off(ctx, site).await?;
    }
    ctx.paths.emptied(&decided.volume().name);
    Ok(removed)
}

/// A removal that takes longer outlasts the word of the API server that it began on.
const LONG: Duration = Duration::from_secs(2);

/// Renames. Where it is not known whether that was done, a server that wakes may yet do it: nobody gets the directory until another renaming has
/// an answer.
async fn moved(
    ctx: &Context,
    export: &Export,
    moving: &Moving,
    from: &SubDir,
    to: &SubDir,
) -> Result<Renamed, Failure> {
    let target = export.target();
    let renamed = export.rename(from, to).await;
    // The same place may be served under another port, or inside another share, by a connection that knows the directory by its old name.
    for other in ctx.shares.all() {
        if other.target() != target && other.target().server == target.server {
            other.forget();
        }
    }
    match &renamed {
        Ok(_) => moving.settled(),
        Err(error) if error.is_in_doubt() => moving.unsettled(),
        // Not even sent, or refused: that says nothing about one that this term has sent before.
        Err(error) => heard(moving, error),
    }
    renamed.map_err(Failure::share(target))
}

/// A server that answers this term, if only to refuse, has done with what it was asked by connections that are gone.
fn heard(moving: &Moving, error: &Error) {
    if matches!(error.cause(), Cause::Nfs(_)) {
        moving.answered();
    }
}

/// What became of a directory that was on its way out.
pub(super) enum Back {
    /// It is here, under its own name or an archive's.
    At(Place),
    /// It was never moved, or the name is another's by now.
    Untouched,
    /// Nothing was left of it.
    Lost,
}

/// Renames what is on its way out back, or to the first name of an archive that is free where somebody has its own.
pub(super) async fn bring_back(
    ctx: &Context,
    volume: &Volume,
    way: &WayBack,
) -> Result<Back, Failure> {
    let (target, export) = open(ctx, &way.share);
    let failed = Failure::share(&target);
    let moving = ctx
        .paths
        .move_away(&volume.name, way.share.place(&way.dir))?;
    if export.stat(&way.trash).await.map_err(&failed)?.is_none() {
        let own = export.stat(&way.dir).await.map_err(&failed)?;
        return Ok(own.map_or(Back::Lost, |_| Back::Untouched));
    }
    if let Some(parent) = way.dir.parent() {
        ctx.fence()?;
        let made = export.create_dir_all(&parent, PARENT_MODE).await;
        made.map_err(&failed)?;
    }
    for to in std::iter::once(&way.dir).chain(&way.archives) {
        ctx.fence()?;
        match moved(ctx, &export, &moving, &way.trash, to).await? {
            Renamed::Done => return Ok(Back::At(way.share.place(to))),
            Renamed::NoSource => return Ok(Back::Lost),
            Renamed::TargetExists => {}
        }
    }
    Err(Failure::NoArchiveName(way.dir.as_str().to_owned()))
}

/// As when they were made.
const PARENT_MODE: u32 = 0o777;

/// Nobody but the provisioner looks into the hidden folder: what is on its way out may have been private.
const HIDDEN_MODE: u32 = 0o700;

/// Removes what an earlier attempt may have left of a directory that is others' now.
pub(super) async fn drop_leftovers(
    ctx: &Context,
    decided: &Decided<'_>,
    keep: &KeepData,
) -> Result<(), Failure> {
    let (_, export) = open(ctx, &keep.share);
    ctx.paths.trashed(decided.volume());
    let cleared = clear(ctx, decided, &export, &keep.trash, Site::Hidden).await;
    cleared.map(drop)
}

/// Removes what was renamed away.
pub(super) async fn empty(
    ctx: &Context,
    export: &Export,
    target: &Target,
    trash: &SubDir,
) -> Result<Removed, Failure> {
    ctx.fence()?;
    export
        .remove_dir_all(trash)
        .await
        .map_err(Failure::share(target))
}

/// The export of a share.
pub(super) fn open(ctx: &Context, share: &Share) -> (Target, Export) {
    let target = Target::from(share);
    let export = ctx.shares.export(&target);
    (target, export)
}

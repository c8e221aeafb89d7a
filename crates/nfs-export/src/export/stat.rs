//! Looking: LOOKUP, READDIRPLUS and FSSTAT (RFC 1813 sections 3.3.3, 3.3.17, 3.3.18). Nothing here changes the share.

use std::sync::Arc;

use nfs3_types::nfs3::{
    FSSTAT3args, Nfs3Option, READDIR3args, READDIRPLUS3args, cookieverf3, fattr3, ftype3, nfs_fh3,
    nfsstat3,
};

use super::{FsStat, Kind, Run, Stat};
use crate::{
    Cause, SubDir,
    session::{Directory, Live, Session},
};

/// Where in a directory a page starts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cookie {
    pub(super) at: u64,
    pub(super) verifier: cookieverf3,
}

/// Some entries of a directory.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<PageEntry>,
    pub(super) next: Cookie,
    pub(super) eof: bool,
}

/// One entry of a page; `.` and `..` are left out.
#[derive(Debug)]
pub(super) struct PageEntry {
    pub(super) name: Vec<u8>,
    pub(super) handle: Option<nfs_fh3>,
    pub(super) attributes: Option<fattr3>,
}

pub(super) async fn stat(session: &Session, dir: &SubDir) -> Result<Option<Stat>, Cause> {
    let mut run = Run::new(session);
    loop {
        let live = session.live().await?;
        let attempt = stat_once(session, &live, dir).await;
        if let Some(found) = run.settle(&live, attempt).await? {
            return Ok(found);
        }
    }
}

async fn stat_once(
    session: &Session,
    live: &Arc<Live>,
    dir: &SubDir,
) -> Result<Option<Stat>, Cause> {
    let Some(parent) = session.walk(live, dir.parent().as_ref()).await? else {
        return Ok(None);
    };
    let found = session
        .lookup(&parent.handle, dir.name().as_bytes())
        .await?;
    Ok(found.map(|found| Stat::from(&found.attributes)))
}

/// One page of a directory, by READDIR where the server has no READDIRPLUS, or none that can be decoded.
pub(super) async fn page(
    session: &Session,
    directory: &nfs_fh3,
    cookie: Cookie,
    bytes: u32,
) -> Result<Page, Cause> {
    let args = READDIRPLUS3args {
        dir: directory.clone(),
        cookie: cookie.at,
        cookieverf: cookie.verifier,
        dircount: bytes,
        maxcount: bytes,
    };
    let body = match session.call(&args).await {
        Ok(answer) => match answer.result {
            Ok(body) => body,
            Err((nfsstat3::NFS3ERR_NOTSUPP, _)) => {
                return plain_page(session, directory, cookie, bytes).await;
            }
            Err((status, _)) => return Err(Cause::Nfs(status)),
        },
        // One entry that cannot be decoded would hide all others of its page.
        Err(Cause::Refused(crate::Refusal::ProcedureUnavailable) | Cause::Malformed(_)) => {
            return plain_page(session, directory, cookie, bytes).await;
        }
        Err(cause) => return Err(cause),
    };
    let eof = body.reply.eof;
    let entries = body.reply.entries.into_inner();
    let next = Cookie {
        at: entries.last().map_or(cookie.at, |last| last.cookie),
        verifier: body.cookieverf,
    };
    let entries = entries.into_iter().map(|entry| PageEntry {
        name: entry.name.0.into_owned(),
        handle: option(entry.name_handle),
        attributes: option(entry.name_attributes),
    });
    Ok(Page {
        entries: entries.filter(PageEntry::is_real).collect(),
        next,
        eof,
    })
}

/// One page of a directory by READDIR, which spares the server a look at each entry.
pub(super) async fn plain_page(
    session: &Session,
    directory: &nfs_fh3,
    cookie: Cookie,
    bytes: u32,
) -> Result<Page, Cause> {
    let args = READDIR3args {
        dir: directory.clone(),
        cookie: cookie.at,
        cookieverf: cookie.verifier,
        count: bytes,
    };
    let body = session.call(&args).await?.ok()?;
    let eof = body.reply.eof;
    let entries = body.reply.entries.into_inner();
    let next = Cookie {
        at: entries.last().map_or(cookie.at, |last| last.cookie),
        verifier: body.cookieverf,
    };
    let entries = entries.into_iter().map(|entry| PageEntry {
        name: entry.name.0.into_owned(),
        handle: None,
        attributes: None,
    });
    Ok(Page {
        entries: entries.filter(PageEntry::is_real).collect(),
        next,
        eof,
    })
}

pub(super) async fn fsstat(session: &Session) -> Result<FsStat, Cause> {
    let mut run = Run::new(session);
    loop {
        let live = session.live().await?;
        let attempt = fsstat_once(session, &live.root).await;
        if let Some(room) = run.settle(&live, attempt).await? {
            return Ok(room);
        }
    }
}

async fn fsstat_once(session: &Session, root: &Directory) -> Result<FsStat, Cause> {
    let room = session
        .call(&FSSTAT3args {
            fsroot: root.handle.clone(),
        })
        .await?
        .ok()?;
    Ok(FsStat {
        total_bytes: room.tbytes,
        available_bytes: room.abytes,
        total_files: room.tfiles,
        available_files: room.afiles,
    })
}

// === impl PageEntry ===

impl PageEntry {
    fn is_real(&self) -> bool {
        !matches!(&*self.name, b"." | b"..")
    }
}

// === impl Kind ===

impl From<ftype3> for Kind {
    fn from(kind: ftype3) -> Self {
        match kind {
            ftype3::NF3DIR => Self::Directory,
            ftype3::NF3LNK => Self::Symlink,
            ftype3::NF3REG
            | ftype3::NF3BLK
            | ftype3::NF3CHR
            | ftype3::NF3SOCK
            | ftype3::NF3FIFO => Self::File,
        }
    }
}

// === impl Stat ===

impl From<&fattr3> for Stat {
    fn from(attributes: &fattr3) -> Self {
        Self {
            kind: attributes.type_.into(),
            mode: attributes.mode & 0o7777,
            uid: attributes.uid,
            gid: attributes.gid,
            file_id: attributes.fileid,
        }
    }
}

fn option<T: nfs3_types::xdr_codec::Pack + nfs3_types::xdr_codec::Unpack>(
    option: Nfs3Option<T>,
) -> Option<T> {
    match option {
        Nfs3Option::Some(value) => Some(value),
        Nfs3Option::None => None,
    }
}

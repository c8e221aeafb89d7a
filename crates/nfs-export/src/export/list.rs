//! What a directory holds, a page at a time (RFC 1813 sections 3.3.16 and 3.3.17). Nothing here changes the share.
//!
//! A server whose cookies went bad is begun with anew, and one that goes in circles is an error; what is asked for is bounded by the caller.

use std::sync::Arc;

use nfs3_types::nfs3::nfsstat3;

use super::{
    Entry, Kind, Run,
    course::Course,
    stat::{Cookie, Page, PageEntry, page, plain_page},
};
use crate::{
    Cause, SubDir,
    session::{Live, Session},
};

/// How often a server may say that its own cookie is bad.
const RESTARTS_MAX: u32 = 8;

/// What a reader of pages is told.
enum Turn {
    /// From the first entry on, whatever was told before.
    Anew,
    /// Some entries.
    Page(Page),
}

/// How pages are asked for.
#[derive(Debug, Clone, Copy)]
enum Ask {
    /// READDIRPLUS: the kinds of the entries too.
    Kinds,
    /// READDIR.
    Names,
}

pub(super) async fn list(
    session: &Session,
    dir: Option<&SubDir>,
    limit: usize,
) -> Result<Vec<Entry>, Cause> {
    let mut run = Run::new(session);
    loop {
        let live = session.live().await?;
        let mut entries: Vec<Entry> = Vec::new();
        let attempt = read(session, &live, dir, Ask::Kinds, |turn| {
            match turn {
                Turn::Anew => entries.clear(),
                Turn::Page(page) => entries.extend(page.entries.into_iter().map(Entry::from)),
            }
            entries.len() < limit
        })
        .await;
        if run.settle(&live, attempt).await?.is_some() {
            entries.truncate(limit);
            return Ok(entries);
        }
    }
}

/// Holds no more than a page at a time.
pub(super) async fn count(
    session: &Session,
    dir: Option<&SubDir>,
    limit: u64,
    is_one: impl Fn(&[u8]) -> bool,
) -> Result<u64, Cause> {
    let mut run = Run::new(session);
    loop {
        let live = session.live().await?;
        let (mut seen, mut counted) = (0, 0);
        let attempt = read(session, &live, dir, Ask::Names, |turn| {
            match turn {
                Turn::Anew => (seen, counted) = (0, 0),
                Turn::Page(page) => {
                    for entry in &page.entries {
                        seen += 1;
                        counted += u64::from(is_one(&entry.name));
                    }
                }
            }
            seen < limit
        })
        .await;
        if run.settle(&live, attempt).await?.is_some() {
            return Ok(counted);
        }
    }
}

/// Reads on until `take` has enough or the directory ends. A missing one has no pages.
async fn read(
    session: &Session,
    live: &Arc<Live>,
    dir: Option<&SubDir>,
    ask: Ask,
    mut take: impl FnMut(Turn) -> bool,
) -> Result<(), Cause> {
    let Some(directory) = session.walk(live, dir).await? else {
        return Ok(());
    };
    let (mut cookie, mut course, mut restarts) = (Cookie::default(), Course::default(), 0);
    loop {
        let answer = match ask {
            Ask::Kinds => page(session, &directory.handle, cookie, live.page).await,
            Ask::Names => plain_page(session, &directory.handle, cookie, live.page).await,
        };
        let page = match answer {
            Err(Cause::Nfs(nfsstat3::NFS3ERR_BAD_COOKIE)) if restarts < RESTARTS_MAX => {
                restarts += 1;
                take(Turn::Anew);
                (cookie, course) = Default::default();
                continue;
            }
            Err(Cause::Nfs(nfsstat3::NFS3ERR_NOENT)) => {
                take(Turn::Anew);
                return Ok(());
            }
            page => page?,
        };
        let (next, eof, leads_on) = (page.next, page.eof, course.leads_on(&page));
        if !take(Turn::Page(page)) || eof {
            return Ok(());
        }
        if !leads_on {
            let path = dir.map_or(&*session.target().path, SubDir::as_str);
            return Err(Cause::Endless(path.into()));
        }
        cookie = next;
    }
}

// === impl Entry ===

impl From<PageEntry> for Entry {
    fn from(entry: PageEntry) -> Self {
        Self {
            name: entry.name,
            kind: entry
                .attributes
                .map(|attributes| Kind::from(attributes.type_)),
        }
    }
}

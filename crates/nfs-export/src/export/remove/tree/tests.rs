//! The tree against a file system that exists in this test only, with answers in any order.

use std::collections::{BTreeMap, HashMap};

use nfs3_types::nfs3::nfstime3;

use super::*;
use crate::{export::remove::ops::Emptied, session::Found};

const WIDTH: usize = 96;
const PAGE: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Child {
    File,
    Dir(u64),
    /// The root of another file system.
    Mount(u64),
    /// A file that cannot be removed.
    Sticky,
}

/// Directories by handle; 1 is the one to remove, `v` in 0.
#[derive(Debug)]
struct Sim {
    dirs: HashMap<u64, BTreeMap<Vec<u8>, Child>>,
    next: u64,
    /// READDIRPLUS says nothing but names.
    terse: bool,
    unreadable: Vec<u64>,
    /// A file that appears in this directory each time it is to be removed, so many times.
    haunted: Option<(u64, u32)>,
    /// What RMDIR is answered with.
    no_rmdir: Option<nfsstat3>,
    calls: u64,
}

/// The most that the tree held at once.
#[derive(Debug, Default)]
struct Held {
    nodes: usize,
    calls: usize,
    names: usize,
}

fn mk_sim() -> Sim {
    let dirs = HashMap::from([
        (0, BTreeMap::from([(b"v".to_vec(), Child::Dir(1))])),
        (1, BTreeMap::new()),
    ]);
    Sim {
        dirs,
        next: 2,
        terse: false,
        unreadable: vec![],
        haunted: None,
        no_rmdir: None,
        calls: 0,
    }
}

fn handle(dir: u64) -> nfs_fh3 {
    nfs_fh3 {
        data: dir.to_be_bytes().to_vec().into(),
    }
}

fn number(handle: &nfs_fh3) -> u64 {
    u64::from_be_bytes(handle.data.as_ref().try_into().unwrap())
}

fn attributes(child: Child) -> fattr3 {
    let type_ = if matches!(child, Child::Dir(_) | Child::Mount(_)) {
        ftype3::NF3DIR
    } else {
        ftype3::NF3REG
    };
    let fsid = if matches!(child, Child::Mount(_)) {
        8
    } else {
        7
    };
    let time = nfstime3::default();
    fattr3 {
        type_,
        mode: 0o40755,
        nlink: 1,
        uid: 1000,
        gid: 100,
        size: 0,
        used: 0,
        rdev: nfs3_types::nfs3::specdata3::default(),
        fsid,
        fileid: 0,
        atime: time,
        mtime: time,
        ctime: time,
    }
}

fn nfs<T>(status: nfsstat3) -> Result<T, Cause> {
    Err(Cause::Nfs(status))
}

impl Sim {
    fn dir(&mut self, parent: u64, name: &str) -> u64 {
        let id = self.next;
        self.next += 1;
        self.dirs.insert(id, BTreeMap::new());
        self.add(parent, name, Child::Dir(id));
        id
    }

    fn add(&mut self, parent: u64, name: &str, child: Child) {
        self.dirs
            .get_mut(&parent)
            .unwrap()
            .insert(name.as_bytes().to_vec(), child);
    }

    fn perform(&mut self, op: Op) -> Done {
        self.calls += 1;
        match op {
            Op::Scan {
                dir,
                handle,
                cookie,
            } => Done::Scanned(dir, self.scan(number(&handle), cookie)),
            Op::Unlink { dir, handle, name } => {
                let children = self.dirs.get_mut(&number(&handle)).unwrap();
                let result = match children.get(&name) {
                    None => Ok(false),
                    Some(Child::File) => Ok(children.remove(&name).is_some()),
                    Some(Child::Sticky) => nfs(nfsstat3::NFS3ERR_ACCES),
                    Some(Child::Dir(_) | Child::Mount(_)) => panic!("REMOVE of directory {name:?}"),
                };
                Done::Unlinked(dir, name, result)
            }
            Op::Look {
                dir,
                handle: parent,
                name,
            } => {
                let child = self.dirs[&number(&parent)].get(&name).copied();
                let found = child.map(|child| Found {
                    handle: if let Child::Dir(id) | Child::Mount(id) = child {
                        handle(id)
                    } else {
                        handle(u64::MAX)
                    },
                    attributes: attributes(child),
                });
                Done::Looked(dir, name, Ok(found))
            }
            Op::Rmdir { dir, parent, name } => {
                let result = match self.no_rmdir {
                    Some(status) => nfs(status),
                    None => Ok(self.rmdir(number(&parent), &name)),
                };
                Done::Rmdired(dir, result)
            }
        }
    }

    /// Cookies are places, so they are wrong as soon as something was removed.
    fn scan(&self, dir: u64, cookie: crate::export::stat::Cookie) -> Result<Page, Cause> {
        if self.unreadable.contains(&dir) {
            return nfs(nfsstat3::NFS3ERR_ACCES);
        }
        let Some(children) = self.dirs.get(&dir) else {
            return nfs(nfsstat3::NFS3ERR_STALE);
        };
        let start = usize::try_from(cookie.at).unwrap();
        let entries: Vec<_> = children
            .iter()
            .skip(start)
            .take(PAGE)
            .map(|(name, child)| self.entry(name, *child))
            .collect();
        let mut next = cookie;
        next.at += entries.len() as u64;
        let eof = start + entries.len() >= children.len();
        Ok(Page { entries, next, eof })
    }

    fn entry(&self, name: &[u8], child: Child) -> PageEntry {
        let known = (!self.terse).then(|| attributes(child));
        let to = if let Child::Dir(id) | Child::Mount(id) = child {
            Some(handle(id))
        } else {
            None
        };
        PageEntry {
            name: name.to_vec(),
            handle: to.filter(|_| !self.terse),
            attributes: known,
        }
    }

    fn rmdir(&mut self, parent: u64, name: &[u8]) -> Emptied {
        let Some(Child::Dir(id)) = self.dirs[&parent].get(name).copied() else {
            panic!("RMDIR of {name:?}")
        };
        if let Some((dir, times)) = &mut self.haunted
            && *dir == id
            && *times > 0
        {
            *times -= 1;
            self.add(id, "ghost", Child::File);
        }
        if !self.dirs[&id].is_empty() {
            return Emptied::NotEmpty;
        }
        self.dirs.remove(&id);
        self.dirs.get_mut(&parent).unwrap().remove(name);
        Emptied::Removed
    }
}

/// Removes `v`, answering in an order that `seed` decides.
fn remove(sim: &mut Sim, seed: u64) -> (Result<(), Cause>, Removed, Held) {
    let owner = Owner {
        uid: 0,
        gid: 0,
        mode: 0o777,
    };
    let directory = Directory {
        handle: handle(1),
        fsid: 7,
    };
    let mut tree = Tree::new(Root {
        parent: handle(0),
        path: "v",
        name: b"v",
        owner,
        directory,
    });
    let (mut dice, mut flight) = (fastrand::Rng::with_seed(seed), Vec::new());
    let (mut removed, mut held) = (Removed::default(), Held::default());
    loop {
        while flight.len() < WIDTH
            && let Some(op) = tree.next(WIDTH)
        {
            flight.push(op);
        }
        if flight.is_empty() {
            return (tree.finish(), removed, held);
        }
        let op = flight.swap_remove(dice.usize(..flight.len()));
        if let Err(cause) = tree.done(sim.perform(op)) {
            return (Err(cause), removed, held);
        }
        let more = tree.take_removed();
        removed.directories += more.directories;
        removed.files += more.files;
        held.nodes = held.nodes.max(tree.nodes.len());
        held.calls = held.calls.max(tree.calls.len());
        held.names = held.names.max(tree.failures.names);
    }
}

fn left(result: Result<(), Cause>) -> Vec<(String, u64)> {
    let Err(Cause::Leftovers(left)) = result else {
        panic!("{result:?}")
    };
    let paths = left
        .first
        .iter()
        .map(|entry| (entry.path.to_string(), left.count));
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}

#[test]
fn a_tree_goes_whatever_the_order_of_answers_and_whatever_is_said_of_entries() {
    for seed in 0..50 {
        let mut sim = mk_sim();
        sim.terse = seed % 2 == 1;
        let mut dirs = vec![1];
        let mut dice = fastrand::Rng::with_seed(seed);
        for n in 0..2000 {
            let parent = dirs[dice.usize(..dirs.len())];
            if dice.u32(..4) == 0 {
                let dir = sim.dir(parent, &format!("d{n}"));
                dirs.push(dir);
            } else {
                sim.add(parent, &format!("f{n}"), Child::File);
            }
        }
        let want = Removed {
            directories: dirs.len() as u64,
            files: 2001 - dirs.len() as u64,
        };
        let (result, removed, _) = remove(&mut sim, seed);
        result.unwrap();
        assert_eq!(removed, want, "seed {seed}");
        assert!(sim.dirs[&0].is_empty() && sim.dirs.len() == 1);
    }
}

#[test]
fn a_million_entries_are_never_held_at_once() {
    let mut sim = mk_sim();
    for n in 0..1_000_000 {
        sim.add(1, &format!("{n}"), Child::File);
    }
    let (result, removed, held) = remove(&mut sim, 1);
    result.unwrap();
    assert_eq!(removed.files, 1_000_000);
    assert!(
        held.nodes == 1 && held.calls <= PAGE && held.names == 0,
        "{held:?}"
    );
}

#[test]
fn many_directories_are_never_known_at_once() {
    let mut sim = mk_sim();
    for n in 0..300 {
        let dir = sim.dir(1, &format!("{n}"));
        for m in 0..300 {
            let below = sim.dir(dir, &format!("{m}"));
            sim.add(below, "file", Child::File);
        }
    }
    let (result, removed, held) = remove(&mut sim, 2);
    result.unwrap();
    assert_eq!(
        removed,
        Removed {
            directories: 90_301,
            files: 90_000
        }
    );
    assert!(held.nodes <= NODES_MAX + 300, "{held:?}");
    assert!(held.calls <= WIDTH + (SCANS_MAX + 1) * PAGE, "{held:?}");
}

#[test]
fn ten_thousand_levels_cost_one_directory_each() {
    let mut sim = mk_sim();
    let mut at = 1;
    for _ in 0..10_000 {
        sim.add(at, "file", Child::File);
        at = sim.dir(at, "d");
    }
    let (result, removed, held) = remove(&mut sim, 3);
    result.unwrap();
    assert_eq!(
        removed,
        Removed {
            directories: 10_001,
            files: 10_000
        }
    );
    assert_eq!(held.nodes, 10_001);
}

#[test]
fn a_tree_deeper_than_the_limit_is_left_with_a_short_path() {
    let mut sim = mk_sim();
    let mut at = 1;
    for _ in 0..DEPTH_MAX + 10 {
        at = sim.dir(at, "d");
    }
    let (result, _, held) = remove(&mut sim, 3);
    let left = left(result);
    assert!(left.len() == 1 && left[0].0.len() < 1000, "{left:?}");
    assert_eq!(held.nodes, DEPTH_MAX as usize + 1);
}

#[test]
fn what_has_to_stay_is_told_once_and_the_rest_goes() {
    for terse in [false, true] {
        let mut sim = mk_sim();
        sim.terse = terse;
        let (a, b) = (sim.dir(1, "a"), sim.dir(1, "b"));
        for n in 0..350 {
            sim.add(a, &format!("{n}"), Child::File);
        }
        sim.add(a, "00-sticky", Child::Sticky);
        sim.add(a, "99-sticky", Child::Sticky);
        let (empty, full) = (sim.dir(b, "empty"), sim.dir(b, "full"));
        sim.add(full, "file", Child::File);
        sim.unreadable = vec![empty, full];
        sim.dirs
            .insert(500, BTreeMap::from([(b"precious".to_vec(), Child::File)]));
        sim.add(1, "mnt", Child::Mount(500));
        let (result, removed, _) = remove(&mut sim, 4);
        let want = ["v/a/00-sticky", "v/a/99-sticky", "v/b/full", "v/mnt"]
            .map(|path| (path.to_owned(), 4));
        assert_eq!(left(result), want, "terse {terse}");
        assert_eq!(
            removed,
            Removed {
                directories: 1,
                files: 350
            }
        );
        assert_eq!(sim.dirs[&500].len(), 1, "another file system was touched");
    }
}

#[test]
fn more_leftovers_than_are_remembered_do_not_keep_the_rest() {
    let mut sim = mk_sim();
    for n in 0..20_000 {
        sim.add(1, &format!("a{n}"), Child::Sticky);
    }
    let (result, _, held) = remove(&mut sim, 5);
    let left = left(result);
    assert_eq!((left.len(), left[0].1), (16, 20_000));
    assert!(held.names <= 16_384, "{held:?}");
}

#[test]
fn files_that_appear_are_removed_too() {
    let mut sim = mk_sim();
    let dir = sim.dir(1, "d");
    sim.haunted = Some((dir, 5));
    let (result, removed, _) = remove(&mut sim, 6);
    result.unwrap();
    assert_eq!(
        removed,
        Removed {
            directories: 2,
            files: 5
        }
    );
}

#[test]
fn a_directory_that_vanishes_is_nothing_to_worry_about() {
    let mut sim = mk_sim();
    let gone = sim.dir(1, "gone");
    let owner = Owner {
        uid: 0,
        gid: 0,
        mode: 0o777,
    };
    let directory = Directory {
        handle: handle(1),
        fsid: 7,
    };
    let mut tree = Tree::new(Root {
        parent: handle(0),
        path: "v",
        name: b"v",
        owner,
        directory,
    });
    let op = tree.next(WIDTH).unwrap();
    let done = sim.perform(op);
    tree.done(done).unwrap();
    // Somebody else is quicker.
    sim.dirs.remove(&gone);
    sim.dirs.get_mut(&1).unwrap().clear();
    while let Some(op) = tree.next(WIDTH) {
        let done = sim.perform(op);
        tree.done(done).unwrap();
    }
    tree.finish().unwrap();
    assert!(sim.dirs[&0].is_empty());
}

#[test]
fn a_stale_root_and_a_read_only_share_end_it_at_once() {
    let rows = [
        (nfsstat3::NFS3ERR_STALE, nfsstat3::NFS3ERR_STALE),
        (nfsstat3::NFS3ERR_BADHANDLE, nfsstat3::NFS3ERR_STALE),
        (nfsstat3::NFS3ERR_ROFS, nfsstat3::NFS3ERR_ROFS),
        (nfsstat3::NFS3ERR_JUKEBOX, nfsstat3::NFS3ERR_JUKEBOX),
    ];
    for (status, want) in rows {
        let owner = Owner {
            uid: 0,
            gid: 0,
            mode: 0o777,
        };
        let directory = Directory {
            handle: handle(1),
            fsid: 7,
        };
        let mut tree = Tree::new(Root {
            parent: handle(0),
            path: "v",
            name: b"v",
            owner,
            directory,
        });
        let Some(Op::Scan { dir, .. }) = tree.next(WIDTH) else {
            panic!("a scan first")
        };
        let end = tree.done(Done::Scanned(dir, nfs(status)));
        assert!(
            matches!(end, Err(Cause::Nfs(status)) if status == want),
            "{end:?}"
        );
    }
}

#[test]
fn a_root_that_could_not_be_asked_for_is_not_taken_for_gone() {
    for status in [
        nfsstat3::NFS3ERR_STALE,
        nfsstat3::NFS3ERR_BADHANDLE,
        nfsstat3::NFS3ERR_NOTDIR,
    ] {
        let mut sim = mk_sim();
        sim.add(1, "file", Child::File);
        sim.no_rmdir = Some(status);
        let (result, removed, _) = remove(&mut sim, 3);
        assert!(
            matches!(&result, Err(cause) if cause.is_stale()),
            "{status}: {result:?}"
        );
        assert_eq!((removed.directories, removed.files), (0, 1), "{status}");
    }
}

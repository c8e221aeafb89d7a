use std::{
    ffi::OsStr,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, symlink},
        net::UnixListener,
    },
    path::Path,
};

use std::time::Duration;

use nfs_export::{Cause, Options, Progress, Recovery, Removed, nfsstat3};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, makedev, mkdirat, mknodat, openat},
    io::Errno,
};
use testkit::nfs::{Effect, Procedure, Rule};

use crate::world::{mk_lab, mk_world, sub};

fn mk_files(dir: &Path, count: usize) {
    std::fs::create_dir_all(dir).unwrap();
    for n in 0..count {
        std::fs::write(dir.join(format!("file-{n}")), "").unwrap();
    }
}

/// A fifo, and the two kinds of device where this process may make them; how many.
fn mk_nodes(dir: &Path) -> u64 {
    let mode = Mode::from_raw_mode(0o644);
    mknodat(CWD, dir.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    // What Linux has as /dev/null and /dev/loop0.
    let devices = [
        ("character", FileType::CharacterDevice, makedev(1, 3)),
        ("block", FileType::BlockDevice, makedev(7, 0)),
    ];
    let mut count = 1;
    for (name, kind, number) in devices {
        match mknodat(CWD, dir.join(name), kind, mode, number) {
            Ok(()) => count += 1,
            Err(Errno::PERM) => println!("left out: a {name} device may not be made here"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    count
}

#[tokio::test]
async fn a_tree_goes_with_all_kinds_of_entries() {
    let world = mk_world("kinds").await;
    let tree = world.real("tree");
    mk_files(&tree.join("a/b"), 10);
    mk_files(&tree.join("c"), 3);
    std::fs::create_dir(world.real("outside")).unwrap();
    std::fs::write(world.real("outside/kept"), "").unwrap();
    symlink("../outside", tree.join("link")).unwrap();
    symlink("loop", tree.join("loop")).unwrap();
    std::fs::write(tree.join(OsStr::from_bytes(b"not\xffutf8")), "").unwrap();
    std::fs::create_dir(tree.join(OsStr::from_bytes(b"dir\xfe"))).unwrap();
    std::fs::write(tree.join("x".repeat(255)), "").unwrap();
    let _socket = UnixListener::bind(tree.join("socket")).unwrap();
    let nodes = mk_nodes(&tree);
    let progress = Progress::default();
    let removed = world
        .export
        .remove_dir_all_with(&world.sub("tree"), &progress)
        .await
        .unwrap();
    assert_eq!(
        removed,
        Removed {
            directories: 5,
            files: 18 + nodes
        }
    );
    assert_eq!(progress.removed(), removed);
    assert!(!tree.exists() && world.real("outside/kept").exists());
    assert_eq!(world.export.stats().entries_removed(), 23 + nodes);
    assert_eq!(world.export.stats().removals(), 0);
}

#[tokio::test]
async fn what_is_missing_is_removed_already() {
    let world = mk_world("missing").await;
    for path in ["none", "none/below"] {
        assert_eq!(
            world.export.remove_dir_all(&world.sub(path)).await.unwrap(),
            Removed::default()
        );
    }
}

#[tokio::test]
async fn a_link_in_place_of_the_directory_is_removed_and_not_followed() {
    let world = mk_world("link").await;
    mk_files(&world.real("other"), 3);
    symlink("other", world.real("link")).unwrap();
    let removed = world
        .export
        .remove_dir_all(&world.sub("link"))
        .await
        .unwrap();
    assert_eq!(
        removed,
        Removed {
            directories: 0,
            files: 1
        }
    );
    assert_eq!(std::fs::read_dir(world.real("other")).unwrap().count(), 3);
}

#[tokio::test]
async fn a_wide_tree_goes() {
    let world = mk_world("wide").await;
    for n in 0..20 {
        mk_files(&world.real(&format!("tree/d{n}")), 500);
    }
    let removed = world
        .export
        .remove_dir_all(&world.sub("tree"))
        .await
        .unwrap();
    assert_eq!(
        removed,
        Removed {
            directories: 21,
            files: 10_000
        }
    );
    assert!(!world.real("tree").exists());
}

#[tokio::test]
async fn a_deep_tree_goes() {
    // testkit's server walks from the root for each call, so ten thousand levels are for a real one.
    let levels = if std::env::var_os("NFS_EXPORT_TEST").is_some() {
        10_000
    } else {
        1_000
    };
    let world = mk_world("deep").await;
    std::fs::create_dir(world.real("tree")).unwrap();
    let mut at = rustix::fs::open(world.real("tree"), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 1..levels {
        mkdirat(&at, "d", Mode::from_raw_mode(0o755)).unwrap();
        at = openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let removed = world
        .export
        .remove_dir_all(&world.sub("tree"))
        .await
        .unwrap();
    assert_eq!(
        removed,
        Removed {
            directories: levels,
            files: 0
        }
    );
}

#[tokio::test]
async fn a_removal_that_was_dropped_is_finished_by_the_next() {
    let world = mk_world("resume").await;
    for n in 0..10 {
        mk_files(&world.real(&format!("tree/d{n}")), 200);
    }
    let progress = Progress::default();
    let dir = world.sub("tree");
    let half = async {
        while progress.removed().files < 500 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        removed = world.export.remove_dir_all_with(&dir, &progress) => panic!("too quick to be dropped: {removed:?}"),
        () = half => {}
    }
    assert_eq!(world.export.stats().removals(), 0);
    let left = progress.removed().files;
    let rest = world.export.remove_dir_all(&dir).await.unwrap();
    assert!(
        rest.files > 0 && left + rest.files <= 2000,
        "{left} and {rest:?}"
    );
    assert!(!world.real("tree").exists());
}

#[tokio::test]
async fn what_may_not_be_removed_is_reported_and_the_rest_is_gone() {
    let lab = mk_lab().await;
    mk_files(&lab.real("v/a"), 20);
    std::fs::write(lab.real("v/a/keep"), "").unwrap();
    let export = lab.export(Options::default());
    let rule = lab
        .server
        .faults()
        .inject(Rule::on(Procedure::REMOVE, Effect::Status(nfsstat3::NFS3ERR_ACCES)).named("keep"));
    let error = export.remove_dir_all(&sub("v")).await.unwrap_err();
    let Cause::Leftovers(left) = error.cause() else {
        panic!("{error:?}")
    };
    assert_eq!((left.count, &*left.first[0].path), (1, "v/a/keep"));
    assert_eq!(error.recovery(), Recovery::TellUser);
    assert_eq!(std::fs::read_dir(lab.real("v/a")).unwrap().count(), 1);
    lab.server.faults().clear(rule);
    assert_eq!(
        export.remove_dir_all(&sub("v")).await.unwrap(),
        Removed {
            directories: 2,
            files: 1
        }
    );
}

#[tokio::test]
async fn an_unreadable_directory_is_reported_with_its_owner() {
    let lab = mk_lab().await;
    mk_files(&lab.real("v/secret"), 1);
    // Whose it is, root may choose.
    match std::os::unix::fs::chown(lab.real("v/secret"), Some(1001), Some(1002)) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
        changed => changed.unwrap(),
    }
    let owner = std::fs::metadata(lab.real("v/secret")).unwrap();
    let owner = format!("owner {}:{}, mode 0755", owner.uid(), owner.gid());
    let export = lab.export(Options::default());
    lab.server.faults().inject(
        Rule::on(
            Procedure::READDIRPLUS,
            Effect::Status(nfsstat3::NFS3ERR_ACCES),
        )
        .after(1),
    );
    let error = export.remove_dir_all(&sub("v")).await.unwrap_err();
    let told = format!("\"v/secret\" ({owner}): permission denied");
    assert!(error.to_line().contains(&told), "{}", error.to_line());
}

#[tokio::test]
async fn bad_cookies_and_servers_without_readdirplus_are_coped_with() {
    let statuses = [
        (nfsstat3::NFS3ERR_BAD_COOKIE, 3),
        (nfsstat3::NFS3ERR_NOTSUPP, 10_000),
        (nfsstat3::NFS3ERR_JUKEBOX, 2),
    ];
    for (status, times) in statuses {
        let lab = mk_lab().await;
        mk_files(&lab.real("v/a"), 300);
        let export = lab.export(Options::default());
        lab.server
            .faults()
            .inject(Rule::on(Procedure::READDIRPLUS, Effect::Status(status)).times(times));
        assert_eq!(
            export.remove_dir_all(&sub("v")).await.unwrap(),
            Removed {
                directories: 2,
                files: 300
            },
            "{status}"
        );
    }
}

#[tokio::test]
async fn files_that_appear_while_it_is_removed_go_with_the_directory() {
    const ROUNDS: u64 = 5;
    let lab = mk_lab().await;
    mk_files(&lab.real("v/d"), 20);
    let export = lab.export(Options::default());
    // Each attempt to remove the directory itself is held up, so that something may appear in it after it was last read.
    let held = Effect::ExecuteLate(Duration::from_millis(200));
    let rule = Rule::on(Procedure::RMDIR, held).named("d").times(ROUNDS);
    lab.server.faults().inject(rule);
    let others = async {
        let (mut appeared, log) = (0, lab.server.log());
        for round in 1..=ROUNDS {
            let attempts = usize::try_from(round).unwrap();
            let attempted = log.wait_for(Procedure::RMDIR, attempts, crate::world::CAP);
            attempted.await.unwrap();
            match std::fs::write(lab.real(&format!("v/d/late-{round}")), "") {
                Ok(()) => appeared += 1,
                // This thread was held up for longer than the attempt.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
                Err(error) => panic!("{error}"),
            }
        }
        appeared
    };
    let v = sub("v");
    let (removed, appeared) = tokio::join!(export.remove_dir_all(&v), others);
    assert_eq!(
        removed.unwrap(),
        Removed {
            directories: 2,
            files: 20 + appeared
        }
    );
    assert!(!lab.real("v").exists());
}

#[tokio::test]
async fn a_restart_in_mid_removal_is_got_over() {
    let mut lab = mk_lab().await;
    for n in 0..10 {
        mk_files(&lab.real(&format!("v/d{n}")), 100);
    }
    let export = lab.export(Options::default());
    let removal = tokio::spawn({
        let export = export.clone();
        async move {
            loop {
                match export.remove_dir_all(&sub("v")).await {
                    Ok(_) => return,
                    Err(error) => {
                        assert_ne!(error.recovery(), Recovery::TellUser, "{}", error.to_line());
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    lab.server
        .log()
        .wait_for(Procedure::REMOVE, 300, crate::world::CAP)
        .await
        .unwrap();
    lab.server.restart().await.unwrap();
    tokio::time::timeout(crate::world::CAP, removal)
        .await
        .unwrap()
        .unwrap();
    assert!(!lab.real("v").exists());
    // An entry whose removal the dying server did and could not answer for is found gone, and not counted: at most those in flight.
    let removed = export.stats().entries_removed();
    let in_flight = Options::default().in_flight as u64;
    assert!((1011 - in_flight..=1011).contains(&removed), "{removed}");
}

#[tokio::test]
async fn read_only_ends_a_removal_and_writable_finishes_it() {
    let lab = mk_lab().await;
    mk_files(&lab.real("v"), 5);
    let export = lab.export(Options::default());
    lab.server.set_read_only(true);
    let error = export.remove_dir_all(&sub("v")).await.unwrap_err();
    assert!(
        matches!(error.cause(), Cause::Nfs(nfsstat3::NFS3ERR_ROFS)),
        "{error:?}"
    );
    lab.server.set_read_only(false);
    assert_eq!(export.remove_dir_all(&sub("v")).await.unwrap().files, 5);
}

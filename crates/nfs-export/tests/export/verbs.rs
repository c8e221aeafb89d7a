use std::{
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    time::Duration,
};

use nfs_export::{Cause, Created, Kind, Renamed, State, nfsstat3};

use crate::world::mk_world;

fn mode(path: &std::path::Path) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o7777
}

#[tokio::test]
async fn a_directory_is_made_with_its_parents_and_exactly_the_mode() {
    let world = mk_world("mkdir").await;
    assert_eq!(
        world
            .export
            .create_dir_all(&world.sub("a/b/c"), 0o777)
            .await
            .unwrap(),
        Created::New
    );
    for path in ["a", "a/b", "a/b/c"] {
        assert_eq!(mode(&world.real(path)), 0o777, "{path}");
    }
    assert_eq!(
        world
            .export
            .create_dir_all(&world.sub("a/d"), 0o2750)
            .await
            .unwrap(),
        Created::New
    );
    assert_eq!(mode(&world.real("a/d")), 0o2750);
}

#[tokio::test]
async fn an_existing_directory_gets_the_mode_and_its_parents_keep_theirs() {
    let world = mk_world("existed").await;
    for dir in ["a", "a/b"] {
        std::fs::create_dir(world.real(dir)).unwrap();
        std::fs::set_permissions(world.real(dir), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    assert_eq!(
        world
            .export
            .create_dir_all(&world.sub("a/b"), 0o777)
            .await
            .unwrap(),
        Created::Existed
    );
    assert_eq!(
        (mode(&world.real("a")), mode(&world.real("a/b"))),
        (0o700, 0o777)
    );
}

#[tokio::test]
async fn what_is_no_directory_is_named() {
    let world = mk_world("occupied").await;
    std::fs::write(world.real("file"), "x").unwrap();
    symlink("/", world.real("link")).unwrap();
    for (path, blamed) in [
        ("file", "file"),
        ("file/below", "file"),
        ("link", "link"),
        ("link/below", "link"),
        ("link/a/b", "link"),
    ] {
        let error = world
            .export
            .create_dir_all(&world.sub(path), 0o777)
            .await
            .unwrap_err();
        let Cause::NotADirectory(found) = error.cause() else {
            panic!("{path}: {error:?}")
        };
        assert_eq!(**found, *world.sub(blamed).as_str(), "{path}");
    }
}

#[tokio::test]
async fn many_directories_are_made_at_once() {
    let world = mk_world("many").await;
    let made = futures::future::join_all((0..300).map(|n| {
        let (export, dir) = (
            world.export.clone(),
            world.sub(&format!("ns{}/claim-{n}", n % 7)),
        );
        async move { export.create_dir_all(&dir, 0o777).await }
    }));
    assert!(
        made.await
            .into_iter()
            .all(|made| made.unwrap() == Created::New)
    );
    let count: usize = (0..7)
        .map(|n| {
            std::fs::read_dir(world.real(&format!("ns{n}")))
                .unwrap()
                .count()
        })
        .sum();
    assert_eq!(count, 300);
    assert!(matches!(*world.export.state().borrow(), State::Up));
    assert_eq!(world.export.stats().in_flight(), 0);
}

#[tokio::test]
async fn a_known_parent_that_was_removed_is_made_again() {
    let world = mk_world("gone").await;
    world
        .export
        .create_dir_all(&world.sub("ns/a"), 0o777)
        .await
        .unwrap();
    std::fs::remove_dir_all(world.real("ns")).unwrap();
    assert_eq!(
        world
            .export
            .create_dir_all(&world.sub("ns/a"), 0o777)
            .await
            .unwrap(),
        Created::New
    );
    assert!(world.real("ns/a").is_dir());
}

#[tokio::test]
async fn a_known_parent_is_looked_at_again_in_time_however_much_is_made_in_it() {
    let world = mk_world("trusted").await;
    for claim in ["x", "y"] {
        let dir = world.sub(&format!("ns/{claim}/data"));
        world.export.create_dir_all(&dir, 0o777).await.unwrap();
        // Less than a known directory is trusted for, twice more.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(20)).await;
        tokio::time::resume();
    }
    // By way of the server: what happens behind its back it need not notice.
    let (from, to) = (world.sub("ns"), world.sub("elsewhere"));
    let renamed = world.stranger.rename(&from, &to).await.unwrap();
    assert_eq!(renamed, Renamed::Done);
    let dir = world.sub("ns/z/data");
    world.export.create_dir_all(&dir, 0o777).await.unwrap();
    assert!(world.real("ns/z/data").is_dir());
    assert!(!world.real("elsewhere/z").exists());
}

#[tokio::test]
async fn a_rename_never_lands_on_something() {
    let world = mk_world("rename").await;
    for dir in ["a", "b", "sub"] {
        std::fs::create_dir(world.real(dir)).unwrap();
    }
    std::fs::write(world.real("file"), "").unwrap();
    let rows = [
        ("onto an empty directory", "a", "b", Renamed::TargetExists),
        ("onto a file", "a", "file", Renamed::TargetExists),
        ("to a free name", "a", "sub/c", Renamed::Done),
        ("again, when it is done", "a", "sub/c", Renamed::Done),
        ("of nothing", "nothing", "x", Renamed::NoSource),
        (
            "of something in a missing directory",
            "no/thing",
            "x",
            Renamed::NoSource,
        ),
    ];
    for (name, from, to, want) in rows {
        assert_eq!(
            world
                .export
                .rename(&world.sub(from), &world.sub(to))
                .await
                .unwrap(),
            want,
            "{name}"
        );
    }
    assert!(world.real("sub/c").is_dir() && world.real("b").is_dir());
    let error = world
        .export
        .rename(&world.sub("b"), &world.sub("no/parent"))
        .await
        .unwrap_err();
    assert!(
        matches!(error.cause(), Cause::Nfs(nfsstat3::NFS3ERR_NOENT)),
        "{error:?}"
    );
}

#[tokio::test]
async fn only_an_empty_directory_is_removed_as_one() {
    let world = mk_world("rmdir").await;
    std::fs::create_dir_all(world.real("full/x")).unwrap();
    std::fs::write(world.real("file"), "").unwrap();
    assert!(
        !world
            .export
            .remove_empty_dir(&world.sub("full"))
            .await
            .unwrap()
    );
    assert!(
        world
            .export
            .remove_empty_dir(&world.sub("full/x"))
            .await
            .unwrap()
    );
    assert!(
        world
            .export
            .remove_empty_dir(&world.sub("full"))
            .await
            .unwrap()
    );
    assert!(
        world
            .export
            .remove_empty_dir(&world.sub("full"))
            .await
            .unwrap()
    );
    assert!(
        world
            .export
            .remove_empty_dir(&world.sub("no/such"))
            .await
            .unwrap()
    );
    let error = world
        .export
        .remove_empty_dir(&world.sub("file"))
        .await
        .unwrap_err();
    assert!(
        matches!(error.cause(), Cause::NotADirectory(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn stat_and_list_show_what_is_there() {
    let world = mk_world("stat").await;
    std::fs::create_dir(world.real("dir")).unwrap();
    std::fs::write(world.real("dir/file"), "").unwrap();
    symlink("file", world.real("dir/link")).unwrap();
    let dir = world.export.stat(&world.sub("dir")).await.unwrap().unwrap();
    let meta = std::fs::metadata(world.real("dir")).unwrap();
    assert_eq!(
        (dir.kind, dir.mode, dir.uid, dir.gid),
        (
            Kind::Directory,
            meta.mode() & 0o7777,
            meta.uid(),
            meta.gid()
        )
    );
    let link = world
        .export
        .stat(&world.sub("dir/link"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(link.kind, Kind::Symlink);
    assert_eq!(
        world.export.stat(&world.sub("dir/none")).await.unwrap(),
        None
    );
    assert_eq!(
        world.export.stat(&world.sub("none/none")).await.unwrap(),
        None
    );

    let mut names = world
        .export
        .list(Some(&world.sub("dir")), 10)
        .await
        .unwrap();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(
        names.iter().map(|entry| &*entry.name).collect::<Vec<_>>(),
        [&b"file"[..], b"link"]
    );
    assert_eq!(
        world
            .export
            .list(Some(&world.sub("dir")), 1)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        world
            .export
            .list(Some(&world.sub("none")), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!world.export.list(None, 100_000).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_listing_goes_over_many_pages() {
    let world = mk_world("pages").await;
    for n in 0..3000 {
        std::fs::write(
            world.real(&format!("a-name-that-is-not-very-short-at-all-{n:05}")),
            "",
        )
        .unwrap();
    }
    let dir = nfs_export::SubDir::parse(world.sub("x").parent().unwrap().as_str()).unwrap();
    let names: std::collections::HashSet<_> = world
        .export
        .list(Some(&dir), 10_000)
        .await
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    assert_eq!(names.len(), 3000);

    let count = async |dir, limit, end: &'static str| {
        let is_one = |name: &[u8]| name.ends_with(end.as_bytes());
        world.export.count(dir, limit, is_one).await.unwrap()
    };
    assert_eq!(count(Some(&dir), 10_000, "").await, 3000);
    assert_eq!(count(Some(&dir), 10_000, "7").await, 300);
    let some = count(Some(&dir), 1, "").await;
    assert!((1..3000).contains(&some), "a page: {some}");
    let none = world.sub("none");
    assert_eq!(count(Some(&none), 10, "").await, 0);
    assert!(count(None, 100_000, "").await > 0);
}

#[tokio::test]
async fn the_share_says_how_much_room_it_has() {
    let world = mk_world("fsstat").await;
    let room = world.export.fsstat().await.unwrap();
    assert!(
        room.total_bytes > 0 && room.available_bytes <= room.total_bytes,
        "{room:?}"
    );
    assert!(world.export.probe().await.unwrap() > std::time::Duration::ZERO);
    assert!(world.export.stats().last_round_trip().is_some());
}

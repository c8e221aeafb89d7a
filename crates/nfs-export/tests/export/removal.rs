use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::Path,
};

use nfs_export::{Progress, Removed};

use crate::world::mk_world;

fn mk_files(dir: &Path, count: usize) {
    std::fs::create_dir_all(dir).unwrap();
    for n in 0..count {
        std::fs::write(dir.join(format!("file-{n}")), "").unwrap();
    }
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
            files: 18
        }
    );
    assert_eq!(progress.removed(), removed);
    assert!(!tree.exists() && world.real("outside/kept").exists());
    assert_eq!(world.export.stats().entries_removed(), 23);
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

//! Stopping, starting, hanging, and becoming another file system.

use std::net::Ipv6Addr;
use std::time::Duration;

use nfs3_client::nfs3_types::mount::mountstat3;
use nfs3_client::nfs3_types::nfs3::nfsstat3;
use testkit::nfs::{Procedure, Server};
use tokio::net::TcpStream;

use crate::client::{
    CAP, EXPORT, lookup, mk_client, mk_root, mk_world, mkdir, mount, mount_status,
};

#[tokio::test]
async fn a_stopped_server_refuses_and_a_restarted_one_honours_its_old_handles() {
    let mut world = mk_world(|b| b).await;
    let addr = world.server.addr();
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let (dir, _) = mkdir(&mut client, &root, b"d", 0o777).await.unwrap();
    world.server.stop().await;
    assert!(TcpStream::connect(addr).await.is_err());
    assert!(client.null().await.is_err());
    world.server.restart().await.unwrap();
    assert_eq!(world.server.addr(), addr);
    let mut client = mk_client(&world.server).await;
    mkdir(&mut client, &dir, b"inner", 0o777).await.unwrap();
    assert!(world.dir.path().join("d/inner").is_dir());
}

#[tokio::test]
async fn another_server_over_the_same_directory_honours_handles_it_never_gave_out() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let (dir, _) = mkdir(&mut client, &root, b"d", 0o777).await.unwrap();
    let (deep, _) = mkdir(&mut client, &dir, b"deep", 0o777).await.unwrap();
    let other = Server::builder(world.dir.path()).export(EXPORT);
    let other = other.start().await.unwrap();
    let mut client = mk_client(&other).await;
    mkdir(&mut client, &deep, b"x", 0o777).await.unwrap();
    assert!(world.dir.path().join("d/deep/x").is_dir());
}

#[tokio::test]
async fn handles_of_the_file_system_that_was_are_stale_until_mounted_again() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let (_, before) = mkdir(&mut client, &root, b"d", 0o777).await.unwrap();
    world.server.replace_file_system();
    let stale = lookup(&mut client, &root, b"d").await.map(drop);
    assert_eq!(stale, Err(nfsstat3::NFS3ERR_STALE));
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let (_, after) = lookup(&mut client, &root, b"d").await.unwrap();
    assert_ne!(before.fsid, after.fsid);
}

#[tokio::test]
async fn a_withdrawn_export_is_stale_and_not_mountable_until_it_is_back() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    world.server.set_exported(false);
    let stale = mkdir(&mut client, &root, b"d", 0o777).await.map(drop);
    assert_eq!(stale, Err(nfsstat3::NFS3ERR_STALE));
    let denied = mount_status(mount(&world.server, EXPORT, mk_root()).await);
    assert_eq!(denied as u32, mountstat3::MNT3ERR_NOENT as u32);
    world.server.set_exported(true);
    mkdir(&mut client, &root, b"d", 0o777).await.unwrap();
}

#[tokio::test]
async fn a_read_only_export_says_so_and_recovers() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    world.server.set_read_only(true);
    let refused = mkdir(&mut client, &root, b"d", 0o777).await.map(drop);
    assert_eq!(refused, Err(nfsstat3::NFS3ERR_ROFS));
    world.server.set_read_only(false);
    mkdir(&mut client, &root, b"d", 0o777).await.unwrap();
}

#[tokio::test]
async fn a_paused_server_takes_calls_and_serves_them_when_it_resumes() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    world.server.pause();
    let asked = tokio::spawn(async move { mkdir(&mut client, &root, b"d", 0o777).await.map(drop) });
    let log = world.server.log();
    log.wait_for(Procedure::MKDIR, 1, CAP).await.unwrap();
    assert_eq!(log.in_flight(), 1);
    assert!(!asked.is_finished());
    assert!(!world.dir.path().join("d").exists());
    world.server.resume();
    asked.await.unwrap().unwrap();
    assert!(world.dir.path().join("d").is_dir());
    log.wait_until(CAP, |log| log.in_flight() == 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn dropped_connections_can_be_made_again() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    client.null().await.unwrap();
    world.server.drop_connections();
    assert!(client.null().await.is_err());
    mk_client(&world.server).await.null().await.unwrap();
}

#[tokio::test]
async fn names_of_calls_stand_in_the_log_in_order() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    for name in ["a", "b", "c"] {
        mkdir(&mut client, &root, name.as_bytes(), 0o777)
            .await
            .unwrap();
    }
    let log = world.server.log();
    assert_eq!(log.names_of(Procedure::MKDIR), ["a", "b", "c"]);
    assert_eq!(log.names_of(Procedure::MNT), [EXPORT]);
    assert_eq!(log.count(Procedure::MKDIR), 3);
    assert_eq!(log.most_in_flight(), 1);
    let missed = log
        .wait_for(Procedure::MKDIR, 4, Duration::from_millis(20))
        .await;
    assert!(missed.is_err());
    log.clear();
    assert_eq!((log.count(Procedure::MKDIR), log.total()), (0, 0));
}

#[tokio::test]
async fn a_server_on_an_ipv6_address_serves() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::builder(dir.path())
        .bind(Ipv6Addr::LOCALHOST)
        .export(EXPORT);
    let server = server.start().await.unwrap();
    assert!(server.addr().is_ipv6());
    let mut client = mk_client(&server).await;
    let root = client.root_nfs_fh3();
    mkdir(&mut client, &root, b"d", 0o777).await.unwrap();
}

/// Ports come back while a server still remembers what came from them.
#[tokio::test]
async fn each_of_many_connections_is_answered() {
    let world = mk_world(|b| b).await;
    for number in 0..500 {
        let answered = tokio::time::timeout(CAP, mk_client(&world.server)).await;
        assert!(answered.is_ok(), "connection {number} got no answer");
    }
}

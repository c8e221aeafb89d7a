//! Who is let in, and to what.

use nfs3_client::RpcError;
use nfs3_client::nfs3_types::mount::mountstat3;
use nfs3_client::nfs3_types::nfs3::{GETATTR3args, Nfs3Result, nfsstat3};
use nfs3_client::nfs3_types::rpc::{auth_stat, opaque_auth};
use testkit::nfs::{Credential, Ports, Procedure};

use crate::client::{
    Dialler, EXPORT, lookup, mk_client, mk_root, mk_world, mkdir, mount, mount_status, status,
};

#[tokio::test]
async fn the_export_and_directories_below_it_mount_and_nothing_else() {
    let world = mk_world(|b| b).await;
    std::fs::create_dir_all(world.dir.path().join("team/a")).unwrap();
    std::fs::write(world.dir.path().join("file"), b"").unwrap();
    for (path, expected) in [
        ("/data/nfs", mountstat3::MNT3_OK),
        ("/data/nfs/", mountstat3::MNT3_OK),
        ("/data/nfs/team/a", mountstat3::MNT3_OK),
        ("/data/nfs/team/b", mountstat3::MNT3ERR_NOENT),
        ("/data/nfs/file", mountstat3::MNT3ERR_NOTDIR),
        ("/data/nfs/file/x", mountstat3::MNT3ERR_NOTDIR),
        ("/data/nfsteam", mountstat3::MNT3ERR_NOENT),
        ("/data", mountstat3::MNT3ERR_NOENT),
        ("/", mountstat3::MNT3ERR_NOENT),
        ("", mountstat3::MNT3ERR_NOENT),
    ] {
        let found = mount_status(mount(&world.server, path, mk_root()).await);
        assert_eq!(found as u32, expected as u32, "{path}");
    }
    let mut below = mount(&world.server, "/data/nfs/team", mk_root())
        .await
        .unwrap();
    let root = below.root_nfs_fh3();
    lookup(&mut below, &root, b"a").await.unwrap();
}

#[tokio::test]
async fn an_ordinary_source_port_is_refused_where_reserved_ones_are_required() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    world.server.set_require_reserved_ports(true);
    let denied = mount_status(mount(&world.server, EXPORT, mk_root()).await);
    assert_eq!(denied as u32, mountstat3::MNT3ERR_ACCES as u32);
    let object = client.root_nfs_fh3();
    let refused = client.getattr(&GETATTR3args { object }).await.unwrap();
    assert!(matches!(
        refused,
        Nfs3Result::Err((nfsstat3::NFS3ERR_PERM, _))
    ));
    client.null().await.unwrap();
}

#[tokio::test]
async fn auth_null_is_too_weak_where_auth_sys_is_required() {
    let world = mk_world(|b| b.require_auth_sys(true)).await;
    let mut client = mount(&world.server, EXPORT, opaque_auth::default())
        .await
        .unwrap();
    let object = client.root_nfs_fh3();
    let denied = client.getattr(&GETATTR3args { object }).await;
    assert!(matches!(
        denied,
        Err(RpcError::Auth(auth_stat::AUTH_TOOWEAK))
    ));
    let mut client = mk_client(&world.server).await;
    let object = client.root_nfs_fh3();
    let known = status(&client.getattr(&GETATTR3args { object }).await.unwrap());
    assert_eq!(known, nfsstat3::NFS3_OK);
    let call = world
        .server
        .log()
        .calls_of(Procedure::GETATTR)
        .pop()
        .unwrap();
    let machine = b"here".to_vec();
    assert_eq!(
        call.credential,
        Credential::Sys {
            uid: 0,
            gid: 0,
            machine
        }
    );
}

#[tokio::test]
async fn a_squashed_root_is_refused_in_a_directory_of_root() {
    let world = mk_world(|b| b.root_squash(true)).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let refused = mkdir(&mut client, &root, b"d", 0o777).await.map(drop);
    assert_eq!(refused, Err(nfsstat3::NFS3ERR_ACCES));
    world.server.set_root_squash(false);
    mkdir(&mut client, &root, b"d", 0o777).await.unwrap();
}

#[tokio::test]
async fn three_ports_serve_a_program_each() {
    let free = Ports {
        portmap: 0,
        mount: 0,
        nfs: 0,
    };
    let world = mk_world(|b| b.ports(free)).await;
    let ports = world.server.ports();
    assert_ne!(ports.portmap, ports.mount);
    assert_ne!(ports.mount, ports.nfs);
    let mut client = mk_client(&world.server).await;
    assert_eq!(
        (client.mount_port, client.nfs3_port),
        (ports.mount, ports.nfs)
    );
    let root = client.root_nfs_fh3();
    mkdir(&mut client, &root, b"d", 0o777).await.unwrap();
    let wrong_door = nfs3_client::Nfs3ConnectionBuilder::new(Dialler, "127.0.0.1", EXPORT)
        .connect_from_privileged_port(false)
        .mount_port(ports.nfs)
        .nfs3_port(ports.nfs)
        .mount()
        .await;
    assert!(wrong_door.is_err());
}

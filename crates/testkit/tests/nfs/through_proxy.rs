//! The server and the proxy together, as tests of a client use them.

use std::time::Duration;

use nfs3_client::Nfs3ConnectionBuilder;
use nfs3_client::nfs3_types::nfs3::MKDIR3args;
use testkit::nfs::Procedure;
use testkit::proxy::Proxy;

use crate::client::{Client, Dialler, EXPORT, mk_mode, mk_name, mk_root, mk_world, mkdir};

async fn mk_client(proxy: &Proxy) -> Client {
    let port = proxy.addr().port();
    Nfs3ConnectionBuilder::new(Dialler, "127.0.0.1", EXPORT)
        .mount_port(port)
        .nfs3_port(port)
        .connect_from_privileged_port(false)
        .credential(mk_root())
        .mount()
        .await
        .unwrap()
}

#[tokio::test]
async fn calls_in_crumbs_are_put_together_again() {
    let world = mk_world(|b| b).await;
    let proxy = Proxy::start(world.server.addr(), 3).await.unwrap();
    for link in proxy.links() {
        link.split(3, Duration::ZERO);
    }
    let mut client = mk_client(&proxy).await;
    let root = client.root_nfs_fh3();
    for number in 0..20 {
        let name = format!("d{number}");
        mkdir(&mut client, &root, name.as_bytes(), 0o777)
            .await
            .unwrap();
    }
    assert_eq!(std::fs::read_dir(world.dir.path()).unwrap().count(), 20);
}

#[tokio::test]
async fn an_answer_cut_in_the_middle_leaves_the_call_executed() {
    let world = mk_world(|b| b).await;
    let proxy = Proxy::start(world.server.addr(), 3).await.unwrap();
    let mut client = mk_client(&proxy).await;
    proxy.to_client().cut_in_record(0);
    let args = MKDIR3args {
        where_: mk_name(&client.root_nfs_fh3(), b"d"),
        attributes: mk_mode(0o777),
    };
    assert!(client.mkdir(&args).await.is_err());
    assert!(world.dir.path().join("d").is_dir());
    assert_eq!(world.server.log().count(Procedure::MKDIR), 1);
}

#[tokio::test]
async fn a_call_cut_in_the_middle_never_reaches_the_server() {
    let world = mk_world(|b| b).await;
    let proxy = Proxy::start(world.server.addr(), 3).await.unwrap();
    let mut client = mk_client(&proxy).await;
    proxy.to_server().cut_in_record(0);
    let args = MKDIR3args {
        where_: mk_name(&client.root_nfs_fh3(), b"d"),
        attributes: mk_mode(0o777),
    };
    assert!(client.mkdir(&args).await.is_err());
    assert_eq!(proxy.cuts(), 1);
    assert!(!world.dir.path().join("d").exists());
    assert_eq!(world.server.log().count(Procedure::MKDIR), 0);
}

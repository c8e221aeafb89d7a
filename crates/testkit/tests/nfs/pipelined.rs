//! Many calls in flight on one connection, as bare records: `nfs3_client` has but one at a time.

use std::collections::HashSet;

use nfs3_client::nfs3_types::nfs3::{
    MKDIR3args, MKDIR3res, NFS_PROGRAM, Nfs3Result, PROGRAM, VERSION, nfs_fh3,
};
use nfs3_client::nfs3_types::rpc::{RPC_VERSION_2, call_body, msg_body, opaque_auth, rpc_msg};
use nfs3_client::nfs3_types::xdr_codec::{Pack, Unpack};
use testkit::nfs::{Effect, Procedure, Rule};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{mk_client, mk_mode, mk_name, mk_root, mk_world};

fn mk_mkdir(xid: u32, root: &nfs_fh3, name: &str) -> Vec<u8> {
    let call = call_body {
        rpcvers: RPC_VERSION_2,
        prog: PROGRAM,
        vers: VERSION,
        proc: NFS_PROGRAM::NFSPROC3_MKDIR as u32,
        cred: mk_root(),
        verf: opaque_auth::default(),
    };
    let body = msg_body::CALL(call);
    let args = MKDIR3args {
        where_: mk_name(root, name.as_bytes()),
        attributes: mk_mode(0o777),
    };
    let mut record = Vec::new();
    rpc_msg { xid, body }.pack(&mut record).unwrap();
    args.pack(&mut record).unwrap();
    let header = u32::try_from(record.len()).unwrap() | 0x8000_0000;
    [&header.to_be_bytes()[..], &record].concat()
}

/// The xid of the next reply, which must be of one fragment and say that the directory was made.
async fn read_made(stream: &mut TcpStream) -> u32 {
    let length = stream.read_u32().await.unwrap() & 0x7fff_ffff;
    let mut reply = vec![0; length as usize];
    stream.read_exact(&mut reply).await.unwrap();
    let (head, at) = rpc_msg::unpack(&mut reply.as_slice()).unwrap();
    let (made, _) = MKDIR3res::unpack(&mut &reply[at..]).unwrap();
    assert!(matches!(made, Nfs3Result::Ok(_)), "{made:?}");
    head.xid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_calls_at_once_are_each_answered_once() {
    const CALLS: u32 = 2000;
    let world = mk_world(|b| b).await;
    let root = mk_client(&world.server).await.root_nfs_fh3();
    let mut stream = TcpStream::connect(world.server.addr()).await.unwrap();
    let calls: Vec<_> = (0..CALLS)
        .flat_map(|xid| mk_mkdir(xid, &root, &format!("d{xid}")))
        .collect();
    stream.write_all(&calls).await.unwrap();
    let mut answered = HashSet::new();
    for _ in 0..CALLS {
        assert!(answered.insert(read_made(&mut stream).await));
    }
    assert_eq!(answered.len(), CALLS as usize);
    assert!(world.server.log().most_in_flight() > 1);
    let made = std::fs::read_dir(world.dir.path()).unwrap().count();
    assert_eq!(made, CALLS as usize);
}

#[tokio::test]
async fn a_retransmission_under_the_same_xid_is_executed_again() {
    let world = mk_world(|b| b).await;
    let root = mk_client(&world.server).await.root_nfs_fh3();
    let mut stream = TcpStream::connect(world.server.addr()).await.unwrap();
    let rule = Rule::on(Procedure::MKDIR, Effect::Ignore).times(1);
    world.server.faults().inject(rule);
    for _ in 0..2 {
        stream.write_all(&mk_mkdir(9, &root, "d")).await.unwrap();
    }
    assert_eq!(read_made(&mut stream).await, 9);
    let calls = world.server.log().calls_of(Procedure::MKDIR);
    assert_eq!(
        calls.iter().map(|call| call.xid).collect::<Vec<_>>(),
        [9, 9]
    );
}

#[tokio::test]
async fn a_stranger_s_bytes_end_its_connection_and_nobody_else_s() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let too_long = 0xffff_ffff_u32.to_be_bytes().to_vec();
    let no_call = [&0x8000_0008_u32.to_be_bytes()[..], b"nonsense"].concat();
    for bytes in [too_long, no_call] {
        let mut stream = TcpStream::connect(world.server.addr()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let end = stream.read(&mut [0; 1]).await;
        assert!(matches!(end, Ok(0) | Err(_)));
    }
    client.null().await.unwrap();
}

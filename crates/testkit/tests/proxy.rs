//! Each way of the proxy to misbehave, between a bare client and a bare server, and between NFS ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use testkit::proxy::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

const CAP: Duration = Duration::from_secs(10);
const SEED: u64 = 42;

/// Sends back what it gets, to the end of each connection.
async fn mk_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                // Whatever ends the connection is the business of the test's client.
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    addr
}

async fn mk_world() -> (Proxy, TcpStream) {
    let proxy = Proxy::start(mk_echo().await, SEED).await.unwrap();
    let client = TcpStream::connect(proxy.addr()).await.unwrap();
    client.set_nodelay(true).unwrap();
    (proxy, client)
}

fn mk_bytes(length: u32) -> Vec<u8> {
    (0..length)
        .map(|n| (n.wrapping_mul(31) >> 3).to_le_bytes()[0])
        .collect()
}

/// RPC records of such lengths, one after the other.
fn mk_records(lengths: &[u32]) -> Vec<u8> {
    let record = |length: &u32| {
        let header = (length | 0x8000_0000).to_be_bytes();
        [header.to_vec(), mk_bytes(*length)].concat()
    };
    lengths.iter().flat_map(record).collect()
}

async fn echo(client: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut back = vec![0; bytes.len()];
    let (mut from, mut to) = client.split();
    let (sent, read) = tokio::join!(to.write_all(bytes), from.read_exact(&mut back));
    sent.unwrap();
    read.unwrap();
    back
}

/// What arrives before the end, however that looks.
async fn read_to_the_end(client: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = timeout(CAP, client.read_to_end(&mut all)).await.unwrap();
    all
}

#[tokio::test]
async fn bytes_pass_unchanged_both_ways_and_are_counted() {
    let (proxy, mut client) = mk_world().await;
    let bytes = mk_bytes(300_000);
    assert_eq!(echo(&mut client, &bytes).await, bytes);
    assert_eq!(proxy.to_server().bytes(), 300_000);
    assert_eq!(proxy.to_client().bytes(), 300_000);
    assert_eq!((proxy.accepted(), proxy.open()), (1, 1));
    client.shutdown().await.unwrap();
    assert!(read_to_the_end(&mut client).await.is_empty());
    proxy
        .wait_until(CAP, |proxy| proxy.open() == 0)
        .await
        .unwrap();
    assert_eq!((proxy.cuts(), proxy.failed()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_direction_is_delayed_by_itself_and_waiting_overlaps() {
    let (proxy, mut client) = mk_world().await;
    let second = Duration::from_secs(1);
    for (there, back) in [
        (second, Duration::ZERO),
        (Duration::ZERO, second),
        (second, second),
    ] {
        proxy.to_server().delay(there);
        proxy.to_client().delay(back);
        let start = Instant::now();
        for _ in 0..10 {
            client.write_all(b"ping").await.unwrap();
        }
        client.read_exact(&mut [0; 40]).await.unwrap();
        let took = start.elapsed();
        assert!(took >= there + back, "{took:?}");
        assert!(took < there + back + second, "{took:?}");
    }
    proxy.to_client().clear();
    proxy.to_client().jitter(second);
    proxy.to_server().clear();
    let start = Instant::now();
    assert_eq!(echo(&mut client, b"order").await, b"order");
    assert!(start.elapsed() <= second);
}

#[tokio::test]
async fn split_bytes_arrive_in_small_pieces_and_whole() {
    let (proxy, mut client) = mk_world().await;
    proxy.to_server().split(7, Duration::ZERO);
    proxy.to_client().split(1, Duration::from_millis(1));
    let bytes = mk_bytes(50);
    assert_eq!(echo(&mut client, &bytes).await, bytes);
    assert!(proxy.to_server().pieces() >= 50 / 7);
    assert_eq!(proxy.to_client().pieces(), 50);
}

#[tokio::test]
async fn the_same_bytes_are_corrupted_under_the_same_seed_however_they_arrive() {
    let bytes = mk_bytes(20_000);
    let mut seen = Vec::new();
    for chunk in [20_000, 333] {
        let (proxy, mut client) = mk_world().await;
        proxy.to_server().corrupt_every(500);
        let mut back = Vec::new();
        for chunk in bytes.chunks(chunk) {
            back.extend(echo(&mut client, chunk).await);
        }
        let changed = back.iter().zip(&bytes).filter(|(a, b)| a != b).count() as u64;
        assert_eq!(proxy.to_server().corrupted(), changed);
        assert!((10..160).contains(&changed), "{changed} of about 40");
        proxy.to_server().clear();
        assert_eq!(echo(&mut client, b"clean").await, b"clean");
        seen.push(back);
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_stalled_direction_loses_nothing() {
    let (proxy, mut client) = mk_world().await;
    proxy.to_client().stall();
    client.write_all(b"ping").await.unwrap();
    let back = proxy.to_server();
    proxy.wait_until(CAP, |_| back.bytes() == 4).await.unwrap();
    let mut read = [0; 4];
    let stalled = timeout(Duration::from_millis(50), client.read_exact(&mut read)).await;
    assert!(stalled.is_err());
    proxy.to_client().clear();
    timeout(CAP, client.read_exact(&mut read))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&read, b"ping");
}

#[tokio::test]
async fn a_blackhole_swallows_bytes_and_the_end() {
    let (proxy, mut client) = mk_world().await;
    proxy.to_client().blackhole();
    client.write_all(b"ping").await.unwrap();
    client.shutdown().await.unwrap();
    let swallowed = |proxy: &Proxy| proxy.to_client().swallowed() == 4;
    proxy.wait_until(CAP, swallowed).await.unwrap();
    let silent = timeout(Duration::from_millis(50), client.read(&mut [0; 4])).await;
    assert!(silent.is_err());
    assert_eq!(proxy.open(), 1);
}

#[tokio::test]
async fn a_connection_is_cut_after_so_many_bytes_and_the_next_is_not() {
    let (proxy, mut client) = mk_world().await;
    proxy.to_client().cut_after(10);
    client.write_all(&mk_bytes(100)).await.unwrap();
    assert_eq!(read_to_the_end(&mut client).await, mk_bytes(10));
    assert_eq!(proxy.cuts(), 1);
    let mut next = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(echo(&mut next, b"whole").await, b"whole");
}

#[tokio::test]
async fn a_connection_is_cut_in_the_middle_of_a_record() {
    for pieces in [None, Some(1), Some(5)] {
        let (proxy, mut client) = mk_world().await;
        if let Some(longest) = pieces {
            proxy.to_client().split(longest, Duration::ZERO);
        }
        let records = mk_records(&[8, 0, 12, 40, 40]);
        proxy.to_client().cut_in_record(3);
        client.write_all(&records).await.unwrap();
        let whole = 12 + 4 + 16;
        assert_eq!(
            read_to_the_end(&mut client).await,
            records[..whole + 4 + 20]
        );
        assert_eq!(proxy.to_client().records(), 3);
    }
}

#[tokio::test]
async fn open_connections_are_closed_or_reset_now() {
    let (proxy, mut client) = mk_world().await;
    assert_eq!(echo(&mut client, b"a").await, b"a");
    proxy.cut();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(echo(&mut client, b"a").await, b"a");
    proxy.reset();
    let reset = client.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn new_connections_are_refused_until_they_are_accepted_again() {
    let (mut proxy, mut client) = mk_world().await;
    assert_eq!(echo(&mut client, b"a").await, b"a");
    proxy.refuse().await;
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(echo(&mut client, b"still here").await, b"still here");
    let before = proxy.addr();
    proxy.accept().await.unwrap();
    assert_eq!(proxy.addr(), before);
    let mut next = TcpStream::connect(before).await.unwrap();
    assert_eq!(echo(&mut next, b"b").await, b"b");
}

#[tokio::test]
async fn an_upstream_that_is_gone_closes_and_another_one_takes_over() {
    let (proxy, mut client) = mk_world().await;
    assert_eq!(echo(&mut client, b"a").await, b"a");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    proxy.set_upstream(gone.local_addr().unwrap());
    drop(gone);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert!(read_to_the_end(&mut client).await.is_empty());
    proxy
        .wait_until(CAP, |proxy| proxy.failed() == 1)
        .await
        .unwrap();
    proxy.set_upstream(mk_echo().await);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(echo(&mut client, b"a").await, b"a");
}

#[tokio::test]
async fn a_dropped_proxy_closes_everything() {
    let (proxy, mut client) = mk_world().await;
    assert_eq!(echo(&mut client, b"a").await, b"a");
    let addr = proxy.addr();
    drop(proxy);
    assert!(read_to_the_end(&mut client).await.is_empty());
    let mut listening = true;
    let until = Instant::now() + CAP;
    while listening && Instant::now() < until {
        listening = TcpStream::connect(addr).await.is_ok();
    }
    assert!(!listening);
}

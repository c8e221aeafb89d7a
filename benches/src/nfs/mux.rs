//! What a call costs in CPU: through the client, and over a blocking socket that does nothing but send and receive.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::ensure;

use super::{Outcome, own_worker, words};
use crate::series::median;
use crate::table::{Table, number};
use crate::world::World;

/// Calls in flight, and how many are made.
const DEPTHS: [(usize, usize); 3] = [(1, 20_000), (32, 100_000), (128, 100_000)];
/// The last fragment's mark in a record's header.
const LAST: u32 = 0x8000_0000;

pub(crate) fn run(world: &World, rounds: usize) -> anyhow::Result<()> {
    let (server, path, port) = (
        world.get("NFS_SERVER")?,
        world.get("NFS_PATH_OPEN")?,
        world.get("NFS_PORT")?,
    );
    let address = format!("{server}:{port}");
    let head = [
        "in flight",
        "client, CPU µs a call",
        "bare socket",
        "client to bare",
        "client, calls/s",
        "bare, calls/s",
    ];
    let mut table = Table::new(
        format!("CPU of a NULL call (nfs-ganesha, median of {rounds} rounds)"),
        &head,
    );
    for (depth, count) in DEPTHS {
        let (depth, count) = (depth.to_string(), count.to_string());
        let (mut client, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            client.push(own_worker(&words(&["null", server, path, &depth, &count]))?);
            bare.push(own_worker(&words(&[
                "bare-null",
                &address,
                &depth,
                &count,
            ]))?);
        }
        let middle = |all: &[Outcome], of: fn(&Outcome) -> f64| {
            median(&all.iter().map(of).collect::<Vec<_>>())
        };
        let (ours, theirs) = (
            middle(&client, Outcome::microseconds),
            middle(&bare, Outcome::microseconds),
        );
        table.row([
            depth,
            number(ours),
            number(theirs),
            number(ours / theirs),
            number(middle(&client, Outcome::rate)),
            number(middle(&bare, Outcome::rate)),
        ]);
    }
    table.print();
    Ok(())
}

/// Makes `count` NULL calls (RFC 1813 section 3.3.0): `depth` go out in one write, then as many replies are read.
pub(super) fn bare_calls(address: &str, depth: usize, count: usize) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (mut xid, mut left) = (0, count);
    let (mut batch, mut reply) = (Vec::new(), Vec::new());
    while left > 0 {
        let calls = left.min(depth);
        batch.clear();
        for _ in 0..calls {
            xid += 1;
            null_call(&mut batch, xid)?;
        }
        stream.write_all(&batch)?;
        for _ in 0..calls {
            read_record(&mut stream, &mut reply)?;
            ensure!(reply.get(4..8) == Some(&[0, 0, 0, 1]), "not a reply");
        }
        left -= calls;
    }
    Ok(())
}

/// RFC 5531 section 9, with AUTH_SYS as our client sends it.
fn null_call(batch: &mut Vec<u8>, xid: u32) -> anyhow::Result<()> {
    // xid, CALL, RPC 2, NFS, version 3, NULL; AUTH_SYS of 28 bytes: stamp, "bench" and padding, uid, gid, no groups; AUTH_NONE.
    let name = [
        u32::from_be_bytes(*b"benc"),
        u32::from_be_bytes(*b"h\0\0\0"),
    ];
    let call = [
        xid, 0, 2, 100_003, 3, 0, 1, 28, 0, 5, name[0], name[1], 0, 0, 0, 0, 0,
    ];
    let length = u32::try_from(call.len() * 4)?;
    for word in std::iter::once(length | LAST).chain(call) {
        batch.extend_from_slice(&word.to_be_bytes());
    }
    Ok(())
}

fn read_record(stream: &mut TcpStream, record: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let length = u32::from_be_bytes(header);
    ensure!(
        length & LAST != 0 && length & !LAST < 4096,
        "no record of one small fragment"
    );
    record.resize(usize::try_from(length & !LAST)?, 0);
    Ok(stream.read_exact(record)?)
}

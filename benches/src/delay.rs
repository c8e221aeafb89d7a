//! A TCP proxy that lets every byte arrive later, in order, at full rate.
//!
//! Threads and no runtime: its delays are exact to some 60 µs, where a runtime's timers step by a millisecond.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Chunks on their way in one direction at most.
const UNDER_WAY: usize = 4096;
const CHUNK: usize = 64 * 1024;

/// Listens on a port of its own for as long as the process lives; what comes is passed on to `target` and back, half of `rtt` late each way.
pub(crate) fn proxy(target: SocketAddr, rtt: Duration) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A connection that cannot be passed on is closed, which its client sees.
            let _ = join(client, target, rtt / 2);
        }
    });
    Ok(address)
}

fn join(client: TcpStream, target: SocketAddr, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    pass(client.try_clone()?, server.try_clone()?, delay);
    pass(server, client, delay);
    Ok(())
}

fn pass(from: TcpStream, to: TcpStream, delay: Duration) {
    let (sender, receiver) = sync_channel(UNDER_WAY);
    std::thread::spawn(move || take(from, &sender, delay));
    std::thread::spawn(move || give(to, &receiver));
}

fn take(mut from: TcpStream, line: &SyncSender<(Instant, Vec<u8>)>, delay: Duration) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        if line
            .send((Instant::now() + delay, chunk[..length].to_vec()))
            .is_err()
        {
            return;
        }
    }
}

fn give(mut to: TcpStream, line: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, chunk)) = line.recv() {
        #[expect(
            clippy::disallowed_methods,
            reason = "this thread belongs to no runtime"
        )]
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
    // Closed by now, or about to be: either way the other side learns of it.
    let _ = to.shutdown(Shutdown::Both);
}

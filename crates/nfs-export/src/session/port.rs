//! TCP connections, from a reserved port where that can be had.
//!
//! Exports are `secure` unless said otherwise: the server then takes calls only from ports below 1024, which only a privileged process
//! can bind. A port that is in use, or in TIME_WAIT, is skipped: `SO_REUSEADDR` stays off.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use crate::Cause;

/// Below 512 are well-known services.
const RESERVED: RangeInclusive<u16> = 512..=1023;
/// Unanswered data or keepalive probes for this long mean that the peer is gone.
const PEER_GONE: Duration = Duration::from_secs(10);

/// A connection, and the port that it came to be bound to.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    /// `None`: an ordinary one, because none of the reserved could be bound.
    pub(super) reserved: Option<u16>,
}

/// Whether to ask for a reserved port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The one given first, where there is one: a server's duplicate-request cache knows a client by its port.
    Reserved(Option<u16>),
    Anywhere,
}

/// Connects to `address`.
pub(super) async fn connect(
    address: SocketAddr,
    from: From,
    patience: Duration,
) -> Result<Connected, Cause> {
    let failed = |source: io::Error| Cause::Connect {
        address,
        source: Arc::new(source),
    };
    match tokio::time::timeout(patience, attempt(address, from)).await {
        Ok(connected) => connected.map_err(failed),
        Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
    }
}

async fn attempt(address: SocketAddr, from: From) -> io::Result<Connected> {
    let mut ports = candidates(from).into_iter();
    loop {
        let (socket, reserved) = match bind(&mut ports, |port| bound(address, port))? {
            Some((socket, port)) => (socket, Some(port)),
            None => (unbound(address)?, None),
        };
        match socket.connect(address).await {
            Ok(stream) => {
                settle(&stream)?;
                return Ok(Connected { stream, reserved });
            }
            // The same four-tuple is still remembered somewhere: another port is another tuple.
            Err(error) if reserved.is_some() && is_taken(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The reserved ports in random order, the preferred one first.
fn candidates(from: From) -> Vec<u16> {
    let From::Reserved(preferred) = from else {
        return Vec::new();
    };
    let mut ports: Vec<u16> = RESERVED.filter(|port| Some(*port) != preferred).collect();
    fastrand::shuffle(&mut ports);
    preferred.into_iter().chain(ports).collect()
}

/// The first port that can be bound; `None` where none can: they are all in use, or binding them is not permitted.
fn bind<S>(
    ports: &mut impl Iterator<Item = u16>,
    mut bind: impl FnMut(u16) -> io::Result<S>,
) -> io::Result<Option<(S, u16)>> {
    for port in ports {
        match bind(port) {
            Ok(socket) => return Ok(Some((socket, port))),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
    )
}

fn bound(peer: SocketAddr, port: u16) -> io::Result<TcpSocket> {
    let any = if peer.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let socket = unbound(peer)?;
    // There are 512 of these ports. Closed in the usual way each would stay in TIME_WAIT for a minute, and a server that refuses every
    // mount would soon have them all; reset, it is free at once. Whoever closes has all the answers that it will wait for.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    socket.bind(SocketAddr::new(any, port))?;
    Ok(socket)
}

fn unbound(peer: SocketAddr) -> io::Result<TcpSocket> {
    if peer.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
}

/// Small calls go out at once, and a peer that is gone is noticed whether or not something is being sent.
fn settle(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let probe = PEER_GONE / 5;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(PEER_GONE)
            .with_interval(probe),
    )?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(PEER_GONE))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener, time::Instant};

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn outcome(kind: Option<io::ErrorKind>) -> io::Result<&'static str> {
        kind.map_or(Ok("socket"), |kind| Err(kind.into()))
    }

    #[test]
    fn a_port_in_use_is_skipped_and_a_forbidden_one_ends_the_search() {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, OutOfMemory, PermissionDenied};
        let rows = [
            ("the first is free", vec![None], Ok(Some(("socket", 600)))),
            (
                "two are taken",
                vec![Some(AddrInUse), Some(AddrNotAvailable), None],
                Ok(Some(("socket", 602))),
            ),
            ("all are taken", vec![Some(AddrInUse); 3], Ok(None)),
            (
                "not permitted",
                vec![Some(AddrInUse), Some(PermissionDenied), None],
                Ok(None),
            ),
            ("out of memory", vec![Some(OutOfMemory)], Err(OutOfMemory)),
        ];
        for (name, outcomes, want) in rows {
            let mut outcomes = outcomes.into_iter();
            let got = bind(&mut (600..603), |_| outcome(outcomes.next().unwrap()));
            assert_eq!(got.map_err(|e| e.kind()), want, "{name}");
        }
    }

    #[test]
    fn the_last_port_is_asked_for_first_and_each_once() {
        let ports = candidates(From::Reserved(Some(700)));
        assert_eq!((ports[0], ports.len()), (700, 512));
        assert_eq!(
            ports.iter().collect::<std::collections::HashSet<_>>().len(),
            512
        );
        assert_ne!(
            candidates(From::Reserved(None)),
            candidates(From::Reserved(None))
        );
        assert!(candidates(From::Anywhere).is_empty());
    }

    /// A reserved port in TIME_WAIT, after a connection to `listener`; `None` where such ports may not be bound.
    fn mk_time_wait(listener: &TcpListener) -> Option<u16> {
        let peer = listener.local_addr().unwrap();
        let (socket, port) = bind(&mut candidates(From::Reserved(None)).into_iter(), |port| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            // Whoever else says the same may have the port in spite of it.
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
            Ok(socket)
        })
        .unwrap()?;
        socket.connect(&peer.into()).unwrap();
        let mut accepted = listener.accept().unwrap().0;
        // Who closes first is the one that waits.
        drop(socket);
        assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
        drop(accepted);
        let state = format!(" 0100007F:{port:04X} 0100007F:{:04X} 06 ", peer.port());
        let patience = Instant::now() + Duration::from_secs(5);
        while !std::fs::read_to_string("/proc/net/tcp")
            .unwrap()
            .contains(&state)
        {
            assert!(Instant::now() < patience, "port {port} is in TIME_WAIT");
            std::thread::yield_now();
        }
        Some(port)
    }

    #[tokio::test]
    async fn a_port_in_time_wait_is_left_alone_and_another_one_taken() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let Some(port) = mk_time_wait(&listeners[0]) else {
            println!("left out: no port below 1024 may be bound here");
            return;
        };
        // Also for a server that it is not waiting for: nothing is known of what else it was used for.
        for listener in &listeners {
            let address = listener.local_addr().unwrap();
            let from = From::Reserved(Some(port));
            let connected = connect(address, from, Duration::from_secs(5)).await;
            let reserved = connected.unwrap().reserved.unwrap();
            assert!(RESERVED.contains(&reserved));
            assert_ne!(reserved, port);
        }
    }

    #[tokio::test]
    async fn small_calls_go_out_at_once_and_a_peer_that_is_gone_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for from in [From::Anywhere, From::Reserved(None)] {
            let connected = connect(address, from, Duration::from_secs(5))
                .await
                .unwrap();
            assert!(connected.stream.nodelay().unwrap());
            let socket = SockRef::from(&connected.stream);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), PEER_GONE);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), PEER_GONE / 5);
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(PEER_GONE));
        }
    }
}

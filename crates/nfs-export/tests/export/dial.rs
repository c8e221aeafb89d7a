use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use nfs_export::{Cause, Export, Options, Recovery, State, Target, mountstat3};
use rustix::thread::{CapabilitySet, CapabilitySets};
use testkit::nfs::{AcceptError, Credential, Effect, Ports, Procedure, Rule};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::logs::Logs;
use crate::world::{CAP, down, may_bind_reserved_ports, mk_lab, mk_lab_with, sub, up};

fn zero() -> Ports {
    Ports {
        portmap: 0,
        mount: 0,
        nfs: 0,
    }
}

#[tokio::test]
async fn the_portmapper_leads_to_mount_and_nfs() {
    let reserved = may_bind_reserved_ports();
    let lab = mk_lab_with(|b| {
        b.ports(zero())
            .require_reserved_ports(reserved)
            .require_auth_sys(true)
    })
    .await;
    let export = lab.export(Options {
        uid: 0,
        gid: 7,
        hostname: Some("tester".into()),
        ..Options::default()
    });
    assert!(matches!(*export.state().borrow(), State::Idle));
    assert_eq!(
        lab.server.log().connections(),
        0,
        "no I/O before the first verb"
    );
    export.create_dir_all(&sub("a"), 0o777).await.unwrap();
    let calls = lab.server.log().calls();
    let made: Vec<_> = calls.iter().map(|call| call.procedure).collect();
    assert_eq!(
        made,
        [
            Procedure::GETPORT,
            Procedure::GETPORT,
            Procedure::MNT,
            Procedure::FSINFO,
            Procedure::MKDIR
        ],
        "nothing more than needed"
    );
    for call in &calls[2..] {
        let port = call.peer.port();
        assert_eq!((512..1024).contains(&port), reserved, "{call:?}");
        let Credential::Sys {
            ref machine,
            uid,
            gid,
            ..
        } = call.credential
        else {
            panic!("{call:?}")
        };
        assert_eq!((&machine[..], uid, gid), (&b"tester"[..], 0, 7));
    }
}

#[tokio::test]
async fn ports_that_are_set_are_not_asked_for() {
    let lab = mk_lab_with(|b| b.ports(zero())).await;
    let ports = lab.server.ports();
    let target = Target {
        nfs_port: Some(ports.nfs),
        mount_port: Some(ports.mount),
        ..lab.target()
    };
    Export::new(
        target,
        Options {
            portmap_port: 1,
            ..Options::default()
        },
    )
    .probe()
    .await
    .unwrap();
    assert_eq!(lab.server.log().count(Procedure::GETPORT), 0);
}

#[tokio::test]
async fn a_name_and_both_families_are_dialled() {
    let reserved = may_bind_reserved_ports();
    for (ip, server) in [("::1", "::1"), ("::1", "[::1]"), ("127.0.0.1", "localhost")] {
        let lab = mk_lab_with(|b| {
            b.bind(ip.parse::<std::net::IpAddr>().unwrap())
                .require_reserved_ports(reserved)
        })
        .await;
        let target = Target {
            server: server.into(),
            ..lab.target()
        };
        let options = Options {
            portmap_port: lab.server.ports().portmap,
            ..Options::default()
        };
        Export::new(target, options).probe().await.unwrap();
    }
    assert!(Ipv6Addr::LOCALHOST.is_loopback());
}

#[tokio::test]
async fn a_secure_export_refuses_an_ordinary_port_and_the_error_says_what_to_change() {
    let lab = mk_lab_with(|b| b.require_reserved_ports(true)).await;
    let export = lab.export(Options {
        reserved_port: false,
        ..Options::default()
    });
    let error = export.probe().await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::TellUser);
    assert!(error.is_share_down());
    assert_eq!(
        error.advice().unwrap(),
        "the export is `secure` and this process may not bind a port below 1024: set securityContext.sysctls \
         net.ipv4.ip_unprivileged_port_start=0, or export with `insecure`"
    );
    // The administrator does so, and the share comes up by itself.
    lab.server.set_require_reserved_ports(false);
    up(&export).await;
}

/// Takes the right to bind ports below 1024 from this thread; whether that makes a difference here.
fn gives_up_reserved_ports() -> bool {
    let held = rustix::thread::capabilities(None).unwrap();
    let left = CapabilitySets {
        effective: held.effective - CapabilitySet::NET_BIND_SERVICE,
        ..held
    };
    rustix::thread::set_capabilities(None, left).unwrap();
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    first.trim().parse::<u16>().unwrap() >= 1024
}

#[test]
fn without_the_right_to_a_reserved_port_an_ordinary_one_is_taken_and_that_is_said_once() {
    // On a thread of its own, which is what the right is lost to.
    let test = || {
        if !gives_up_reserved_ports() {
            println!("left out: everybody may bind every port here");
            return;
        }
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let mut lab = mk_lab().await;
            let (logs, _recording) = Logs::record();
            let export = lab.export(Options::default());
            export.probe().await.unwrap();
            lab.server.restart().await.unwrap();
            // The first one may still meet the connection that is gone.
            let _ = export.probe().await;
            export.probe().await.unwrap();
            let calls = lab.server.log().calls();
            let mounts = calls.iter().filter(|call| call.procedure == Procedure::MNT);
            assert!(mounts.count() >= 2);
            assert!(calls.iter().all(|call| call.peer.port() >= 1024));
            let said = logs.with("no port below 1024 can be bound");
            assert_eq!(said.len(), 1, "{said:?}");
        });
    };
    std::thread::spawn(test).join().unwrap();
}

#[tokio::test]
async fn a_wrong_path_is_told_with_what_is_exported() {
    let lab = mk_lab().await;
    let target = Target {
        path: "/data/nsf".into(),
        ..lab.target()
    };
    let options = Options {
        portmap_port: lab.server.ports().portmap,
        ..Options::default()
    };
    let error = Export::new(target, options).probe().await.unwrap_err();
    let line = error.to_line();
    assert!(line.contains("it exports /export; set NFS_PATH"), "{line}");
    assert!(line.contains("NFS_PATH"), "{line}");
}

#[tokio::test]
async fn mount_may_say_no_for_other_reasons() {
    let rows = [
        (mountstat3::MNT3ERR_ACCES, Recovery::TellUser),
        (mountstat3::MNT3ERR_NOTDIR, Recovery::TellUser),
        (mountstat3::MNT3ERR_SERVERFAULT, Recovery::BackOff),
    ];
    for (status, want) in rows {
        let lab = mk_lab().await;
        lab.server
            .faults()
            .inject(Rule::on(Procedure::MNT, Effect::MountStatus(status)).times(1));
        let export = lab.export(Options::default());
        let error = export.probe().await.unwrap_err();
        assert_eq!(error.recovery(), want, "{status}");
        up(&export).await;
    }
}

#[tokio::test]
async fn a_first_call_waits_for_the_dial_and_later_ones_fail_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let target = Target {
        server: "127.0.0.1".into(),
        path: "/x".into(),
        nfs_port: Some(closed),
        mount_port: Some(closed),
    };
    let export = Export::new(target, Options::default());
    for _ in 0..2 {
        let start = Instant::now();
        let error = export.probe().await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(2));
        assert!(matches!(error.cause(), Cause::Unreachable(_)), "{error:?}");
        assert_eq!(error.recovery(), Recovery::Reconnect);
        assert!(
            error
                .to_line()
                .contains(&format!("cannot connect to 127.0.0.1:{closed}: ")),
            "{}",
            error.to_line()
        );
    }
}

#[tokio::test]
async fn a_share_that_comes_up_is_in_service_within_seconds() {
    let mut lab = mk_lab().await;
    lab.server.stop().await;
    let export = lab.export(Options::default());
    assert!(export.probe().await.is_err());
    down(&export).await;
    // Let it fail for a while, so that the delay between attempts is as long as it gets.
    let state = export.state();
    let mut seen = state.clone();
    for _ in 0..5 {
        tokio::time::timeout(CAP, seen.changed())
            .await
            .unwrap()
            .unwrap();
    }
    lab.server.restart().await.unwrap();
    let start = Instant::now();
    up(&export).await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    export.create_dir_all(&sub("a"), 0o777).await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_registered_is_named() {
    let lab = mk_lab().await;
    lab.server.faults().inject(Rule::on(
        Procedure::GETPORT,
        Effect::Accept(AcceptError::SystemErr),
    ));
    let error = lab.export(Options::default()).probe().await.unwrap_err();
    assert!(
        error.to_line().contains("SYSTEM_ERR"),
        "{}",
        error.to_line()
    );

    let rpcbind = mk_rpcbind(None, 0).await;
    let options = Options {
        portmap_port: rpcbind.port(),
        ..Options::default()
    };
    let error = Export::new(lab.target(), options)
        .probe()
        .await
        .unwrap_err();
    assert!(
        error
            .to_line()
            .contains("the portmapper of 127.0.0.1 has no NFS version 3 over TCP"),
        "{}",
        error.to_line()
    );
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_named() {
    let lab = mk_lab().await;
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = mute.local_addr().unwrap();
    let server = tokio::spawn(async move {
        while let Ok((call, _)) = mute.accept().await {
            drop(call);
        }
    });
    let rows = [
        (lab.target(), "portmapper", "set NFS_PORT and MOUNT_PORT"),
        (
            Target {
                nfs_port: Some(lab.server.addr().port()),
                mount_port: Some(address.port()),
                ..lab.target()
            },
            "MOUNT service",
            "see on the server what holds it up",
        ),
        (
            Target {
                nfs_port: Some(address.port()),
                mount_port: Some(lab.server.ports().mount),
                ..lab.target()
            },
            "NFS service",
            "see on the server what holds it up",
        ),
    ];
    for (target, service, cure) in rows {
        let options = Options {
            portmap_port: address.port(),
            ..Options::default()
        };
        let error = Export::new(target, options).probe().await.unwrap_err();
        let line = error.to_line();
        let cause = format!("the {service} at {address} does not answer: the connection broke");
        assert!(line.contains(&cause) && line.contains(cure), "{line}");
    }
    server.abort();
}

#[tokio::test]
async fn rpcbind_without_version_2_is_asked_by_getaddr() {
    let lab = mk_lab().await;
    for (name, lowest) in [("version 4", 4), ("version 3 only", 3)] {
        let rpcbind = mk_rpcbind(Some(lowest), lab.server.addr().port()).await;
        let options = Options {
            portmap_port: rpcbind.port(),
            ..Options::default()
        };
        Export::new(lab.target(), options)
            .probe()
            .await
            .unwrap_or_else(|error| panic!("{name}: {}", error.to_line()));
    }
}

/// Version 2 knows IPv4 only: what listens on IPv6 alone has port 0 there.
#[tokio::test]
async fn what_listens_on_ipv6_alone_is_asked_for_by_getaddr() {
    let ip = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let lab = mk_lab_with(|b| b.bind(ip)).await;
    let port = lab.server.addr().port();
    let rpcbind = mk_rpcbind_at(ip, move |version| match version {
        2 => Rpcbind::Port(0),
        _ => Rpcbind::Address(format!("::1.{}.{}", port >> 8, port & 255)),
    })
    .await;
    let options = Options {
        portmap_port: rpcbind.port(),
        ..Options::default()
    };
    let export = Export::new(lab.target(), options);
    export.probe().await.unwrap();
}

#[tokio::test]
async fn without_a_portmapper_nfs_is_where_everybody_has_it() {
    let lab = mk_lab().await;
    let target = Target {
        mount_port: Some(lab.server.ports().mount),
        ..lab.target()
    };
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = Export::new(
        target,
        Options {
            portmap_port: closed,
            ..Options::default()
        },
    )
    .probe()
    .await
    .unwrap_err();
    // Nothing listens there on this machine; that it was tried is the point.
    assert!(
        error.to_line().contains("127.0.0.1:2049"),
        "{}",
        error.to_line()
    );
}

/// A portmapper that answers GETPORT with 0, or, where `only` is given, refuses every version but that one.
async fn mk_rpcbind(only: Option<u32>, port: u16) -> SocketAddr {
    mk_rpcbind_at(Ipv4Addr::LOCALHOST.into(), move |version| match only {
        None => Rpcbind::Port(0),
        Some(only) if only != version => Rpcbind::Only(only),
        Some(_) => Rpcbind::Address(format!("127.0.0.1.{}.{}", port >> 8, port & 255)),
    })
    .await
}

/// What a portmapper says to a call of GETPORT or GETADDR.
enum Rpcbind {
    Port(u32),
    /// PROG_MISMATCH.
    Only(u32),
    /// A universal address (RFC 5665 section 5.2.3).
    Address(String),
}

/// A portmapper that answers by the version that it is asked in.
async fn mk_rpcbind_at(ip: IpAddr, answer: impl Fn(u32) -> Rpcbind + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while let Ok(header) = stream.read_u32().await {
                let mut call = vec![0; (header & 0x7fff_ffff) as usize];
                stream.read_exact(&mut call).await.unwrap();
                let word =
                    |at: usize| u32::from_be_bytes(call[4 * at..4 * at + 4].try_into().unwrap());
                let mut reply = vec![word(0), 1, 0, 0, 0];
                match answer(word(4)) {
                    Rpcbind::Port(port) => reply.extend([0, port]),
                    Rpcbind::Only(only) => reply.extend([2, only, only]),
                    Rpcbind::Address(text) => {
                        reply.extend([0, u32::try_from(text.len()).unwrap()]);
                        let mut padded = text.into_bytes();
                        padded.resize(padded.len().next_multiple_of(4), 0);
                        reply.extend(
                            padded
                                .chunks(4)
                                .map(|c| u32::from_be_bytes(c.try_into().unwrap())),
                        );
                    }
                }
                let bytes: Vec<u8> = reply.iter().flat_map(|word| word.to_be_bytes()).collect();
                stream
                    .write_u32(0x8000_0000 | u32::try_from(bytes.len()).unwrap())
                    .await
                    .unwrap();
                stream.write_all(&bytes).await.unwrap();
            }
        }
    });
    address
}

//! Which port a program listens on: the portmapper (RFC 1833 section 3, version 2), and rpcbind's GETADDR (section 2) where it is newer
//! than that or the address is IPv6.

use std::{net::SocketAddr, sync::Arc};

use nfs3_types::{
    mount, nfs3,
    portmap::{IPPROTO_TCP, mapping},
};

use super::{Shared, port};
use crate::{
    Cause, Refusal,
    error::PORTMAPPER,
    rpc::{CallError, message::Credential, mux::Mux, proc::GetAddr},
};

/// The port of NFS where nobody says otherwise.
const NFS_PORT: u16 = 2049;

/// Where the server's programs listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) nfs: u16,
    pub(super) mount: u16,
}

/// A program to ask for.
#[derive(Debug, Clone, Copy)]
struct Program {
    number: u32,
    version: u32,
    name: &'static str,
}

const NFS: Program = Program {
    number: nfs3::PROGRAM,
    version: nfs3::VERSION,
    name: "NFS version 3",
};
const MOUNT: Program = Program {
    number: mount::PROGRAM,
    version: mount::VERSION,
    name: "MOUNT version 3",
};

/// The ports of NFS and MOUNT: those that are set, and the portmapper's word for the others.
pub(super) async fn ports(shared: &Shared, server: SocketAddr) -> Result<Ports, Cause> {
    let (nfs, mount) = (shared.target.nfs_port, shared.target.mount_port);
    if let (Some(nfs), Some(mount)) = (nfs, mount) {
        return Ok(Ports { nfs, mount });
    }
    let asked = ask(shared, server, nfs, mount).await.map_err(|cause| {
        let at = SocketAddr::new(server.ip(), shared.options.portmap_port);
        cause.at(PORTMAPPER, at)
    });
    // A server without portmapper whose MOUNT port is known has NFS where everybody has it.
    match (asked, nfs, mount) {
        (Err(_), None, Some(mount)) => Ok(Ports {
            nfs: NFS_PORT,
            mount,
        }),
        (asked, _, _) => asked,
    }
}

async fn ask(
    shared: &Shared,
    server: SocketAddr,
    nfs: Option<u16>,
    mount: Option<u16>,
) -> Result<Ports, Cause> {
    let mut address = server;
    address.set_port(shared.options.portmap_port);
    let connected = port::connect(
        address,
        port::From::Anywhere,
        shared.options.connect_timeout,
    )
    .await?;
    let mux = Mux::start(
        connected.stream,
        shared.dial_limits(),
        Arc::clone(&shared.stats),
    );
    let lookup = Lookup {
        mux: &mux,
        shared,
        server,
    };
    let nfs = match nfs {
        Some(port) => port,
        None => lookup.port(NFS).await?,
    };
    let mount = match mount {
        Some(port) => port,
        None => lookup.port(MOUNT).await?,
    };
    Ok(Ports { nfs, mount })
}

struct Lookup<'a> {
    mux: &'a Mux,
    shared: &'a Shared,
    server: SocketAddr,
}

// === impl Lookup ===

impl Lookup<'_> {
    async fn port(&self, program: Program) -> Result<u16, Cause> {
        let found = match self.version2(program).await {
            Err(CallError::Refused(
                Refusal::ProgramMismatch { .. } | Refusal::ProcedureUnavailable,
            )) => self.newer(program).await,
            // Version 2 knows no IPv6: a service that listens there only is registered with GETADDR alone.
            Ok(0) if self.server.is_ipv6() => self.newer(program).await,
            found => found,
        };
        match found {
            Ok(0) => Err(Cause::NotRegistered {
                program: program.name,
                server: self.server.ip(),
            }),
            Ok(port) => Ok(port),
            Err(error) => Err(error.into()),
        }
    }

    async fn version2(&self, program: Program) -> Result<u16, CallError> {
        let args = mapping {
            prog: program.number,
            vers: program.version,
            prot: IPPROTO_TCP,
            port: 0,
        };
        let port = self
            .mux
            .call(self.shared.xid(), &Credential::none(), &args)
            .await?;
        // A port that is none is as good as no port.
        Ok(u16::try_from(port).unwrap_or(0))
    }

    async fn newer(&self, program: Program) -> Result<u16, CallError> {
        let netid = if self.server.is_ipv6() { "tcp6" } else { "tcp" };
        let (program, version) = (program.number, program.version);
        let anonymous = Credential::none();
        let four = GetAddr::<4> {
            program,
            version,
            netid,
        };
        let address = match self.mux.call(self.shared.xid(), &anonymous, &four).await {
            Err(CallError::Refused(
                Refusal::ProgramMismatch { .. } | Refusal::ProcedureUnavailable,
            )) => {
                let three = GetAddr::<3> {
                    program,
                    version,
                    netid,
                };
                self.mux.call(self.shared.xid(), &anonymous, &three).await?
            }
            address => address?,
        };
        Ok(universal_port(&address).unwrap_or(0))
    }
}

/// The port in a universal address (RFC 5665 section 5.2.3.3): its last two numbers.
fn universal_port(address: &[u8]) -> Option<u16> {
    let mut parts = std::str::from_utf8(address).ok()?.rsplit('.');
    let low: u8 = parts.next()?.parse().ok()?;
    let high: u8 = parts.next()?.parse().ok()?;
    parts.next()?;
    Some(u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_end_of_a_universal_address() {
        let rows: [(&[u8], Option<u16>); 6] = [
            (b"10.0.0.1.8.1", Some(2049)),
            (b"::1.8.1", Some(2049)),
            (b"0.0.0.0.0.0", Some(0)),
            (b"", None),
            (b"10.0.0.1.8.256", None),
            (b"\xff.8.1", None),
        ];
        for (address, want) in rows {
            assert_eq!(
                universal_port(address),
                want,
                "{}",
                String::from_utf8_lossy(address)
            );
        }
    }
}

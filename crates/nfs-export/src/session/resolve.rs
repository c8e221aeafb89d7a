//! From what the administrator wrote to addresses.
//!
//! Asked anew at each dial, so that a server that has moved is found. Names and literals go the same way, through the system's
//! resolver, because only that knows scopes such as `fe80::1%eth0`.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use crate::Cause;

/// Addresses tried in one dial.
const ADDRESSES_MAX: usize = 8;

/// The addresses of `server`, with port 0.
pub(super) async fn resolve(server: &str, patience: Duration) -> Result<Vec<SocketAddr>, Cause> {
    let host = bare(server);
    let failed = |source: io::Error| Cause::Resolve {
        host: host.into(),
        source: Arc::new(source),
    };
    let found = tokio::time::timeout(patience, tokio::net::lookup_host((host, 0)))
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
        .map_err(failed)?;
    let mut addresses: Vec<_> = found.collect();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        return Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )));
    }
    Ok(addresses)
}

/// Without the brackets that `mount` wants around an IPv6 literal.
fn bare(server: &str) -> &str {
    server
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn literals_of_both_families_resolve_to_themselves() {
        for (server, want) in [
            ("127.0.0.1", "127.0.0.1:0"),
            ("::1", "[::1]:0"),
            ("[::1]", "[::1]:0"),
        ] {
            assert_eq!(
                resolve(server, PATIENCE).await.unwrap(),
                [want.parse().unwrap()],
                "{server}"
            );
        }
    }

    #[tokio::test]
    async fn a_link_local_scope_is_kept() {
        let found = resolve("fe80::1%lo", PATIENCE).await.unwrap();
        let SocketAddr::V6(address) = found[0] else {
            panic!("{found:?}")
        };
        assert_eq!(address.scope_id(), 1);
    }

    #[tokio::test]
    async fn a_name_without_address_is_named() {
        let cause = resolve("no-such-host.invalid", PATIENCE).await.unwrap_err();
        assert!(
            matches!(&cause, Cause::Resolve { host, .. } if &**host == "no-such-host.invalid"),
            "{cause:?}"
        );
    }
}

//! The NFS server as clients meet it: `nfs3_client` over TCP, and bare RPC records where a client would be in the way.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admission;
mod client;
mod faults;
mod files;
mod lives;
mod pipelined;
mod through_proxy;

//! The verbs on an NFS server over a real directory, and the faults that a server, its network and its administrator can produce.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod dial;
mod faults;
mod logs;
mod pace;
mod removal;
mod restart;
mod verbs;
mod wire;
mod world;

//! The verbs on an NFS server over a real directory, and the faults that a server, its network and its administrator can produce.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod removal;
mod verbs;
mod world;

//! Doubles for tests and the demo: an API server (`api`), an NFS server over a real directory (`nfs`), a TCP proxy that misbehaves (`proxy`).

pub mod api;
pub mod nfs;
pub mod proxy;
pub mod wait;

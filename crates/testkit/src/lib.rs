//! Doubles for tests and the demo: an API server (`api`).

pub mod api;
pub mod nfs;
pub mod proxy;
pub mod wait;

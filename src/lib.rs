//! The provisioner.
pub mod controller;
pub mod plan;

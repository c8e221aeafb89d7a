//! The provisioner.
pub mod controller;

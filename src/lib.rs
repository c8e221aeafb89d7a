//! The provisioner.
pub mod args;
pub mod config;
pub mod controller;
pub mod plan;
pub mod telemetry;

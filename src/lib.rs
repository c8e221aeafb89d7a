//! The provisioner.

//! What acts on the cluster.
pub mod access;
#[cfg(test)]
mod double;
pub mod events;

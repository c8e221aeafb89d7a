//! Every decision of the provisioner, as values computed from plain data.
//!
//! ```text
//! Claim + Class + Occupied ──> claim::decide  ──> ClaimPlan  ──> pv::build
//! Volume + Class + Occupied ──> volume::decide ──> VolumePlan
//! Record + when it was seen ──> lock::decide   ──> Step
//! ```
//!
//! Nothing in here waits, asks a server, reads a clock or writes a log; what a decision needs is handed in, and the answer is an enum whose variants
//! say what to do and why. A test below reads these sources and holds them to that.

pub mod backoff;
pub mod claim;
pub mod class;
pub mod facts;
pub mod leaving;
pub mod lock;
#[cfg(test)]
mod mk;
pub mod names;
pub mod occupied;
pub mod pattern;
pub mod place;
pub mod places;
pub mod pv;
pub mod quantity;
pub mod shares;
pub mod volume;

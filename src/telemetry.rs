//! What is seen from outside: log lines, metrics, health.
//!
//! ```text
//! rooms ──> Metrics, Health (handles) ──> http: /metrics /healthz /readyz /version
//!       ──> tracing ──────────────────> log: text or JSON on stderr
//! ```
//! Refused here: deciding anything. Nothing in these rooms may hold up the work, and no label or key grows without a bound.

pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
pub mod openmetrics;

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

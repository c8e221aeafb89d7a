//! One kind of operation by class: how many, how many failed, how long it took.

use std::{sync::Arc, time::Duration};

use prometheus::{HistogramVec, IntCounterVec, Registry};
use tokio::time::Instant;

use super::{Family, label::Bounded};

/// Successes, failures and durations by class.
#[derive(Debug, Clone)]
pub struct Operation {
    total: IntCounterVec,
    failed: IntCounterVec,
    duration: HistogramVec,
    class: Arc<Bounded>,
}

/// One attempt, timed from when it was begun. Dropped without a word it counts as nothing: it was cancelled, and will be
/// made again.
#[derive(Debug)]
#[must_use = "an attempt is counted by what is said of its end"]
pub struct Attempt {
    operation: Operation,
    class: String,
    begun: Instant,
}

// === impl Operation ===

impl Operation {
    pub(super) fn new(
        registry: &Registry,
        class: &Arc<Bounded>,
        (total, failed, duration): (&Family<1>, &Family<1>, &Family<1>),
    ) -> Result<Self, prometheus::Error> {
        Ok(Self {
            total: total.counters(registry)?,
            failed: failed.counters(registry)?,
            duration: duration.histograms(registry)?,
            class: class.clone(),
        })
    }

    /// Shows `class` from now on, with zeros until something happens: only a counter that was seen at 0 shows its first failure as a rise.
    pub fn know(&self, class: &str) {
        let class = [self.class.of(class)];
        // A handle that is made is shown.
        let _ = self.total.with_label_values(&class);
        let _ = self.failed.with_label_values(&class);
        let _ = self.duration.with_label_values(&class);
    }

    /// An attempt at an object of `class` (empty when it has none) begins now.
    pub fn begin(&self, class: &str) -> Attempt {
        let class = self.class.of(class).to_owned();
        Attempt {
            operation: self.clone(),
            class,
            begun: Instant::now(),
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// It is done. Returns how long it took.
    pub fn succeeded(self) -> Duration {
        let took = self.begun.elapsed();
        self.operation.total.with_label_values(&[&self.class]).inc();
        self.operation
            .duration
            .with_label_values(&[&self.class])
            .observe(took.as_secs_f64());
        took
    }

    /// It failed, whether or not it will be made again.
    pub fn failed(self) {
        self.operation
            .failed
            .with_label_values(&[&self.class])
            .inc();
    }
}

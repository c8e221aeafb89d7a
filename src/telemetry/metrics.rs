//! Every metric: its family (name, help, labels) and its handle.
//!
//! Counters and histograms are handles here; what other rooms know anyway (queue, stores, shares) is read at scrape, by the
//! functions handed to [`Metrics::at_scrape`]. The registry is this struct's own. A label that administrators choose (a class, a
//! share) is bounded: after 100 values the rest are `other`.

mod api;
mod catalogue;
pub mod families;
mod family;
mod label;
mod operation;
mod process;
mod readings;

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{HistogramVec, IntCounterVec, Registry, proto::MetricFamily};

pub use api::ApiLayer;
pub use catalogue::{CATALOGUE, Row};
pub use family::{Family, Kind};
use label::Bounded;
pub use operation::{Attempt, Operation};
pub use readings::Readings;

/// Different values of one administrators' label at most.
const VALUES: usize = 100;

/// Reads what a room knows into [`Readings`]; called at each scrape, so it must be quick and must not wait.
type Source = Box<dyn Fn(&mut Readings) + Send + Sync>;

/// All metrics of the process; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    provision: Operation,
    delete: Operation,
    api_requests: IntCounterVec,
    api_duration: HistogramVec,
    limits: Limits,
    sources: Mutex<Vec<Source>>,
}

/// The labels that administrators choose the values of.
#[derive(Debug, Clone)]
struct Limits {
    class: Arc<Bounded>,
    share: Arc<Bounded>,
}

// === impl Metrics ===

impl Metrics {
    /// All families, and nothing counted yet.
    ///
    /// # Errors
    /// Two families with one name, or a name that Prometheus does not take: a mistake in [`families`].
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let limits = Limits {
            class: Bounded::new(VALUES),
            share: Bounded::new(VALUES),
        };
        let inner = Inner {
            provision: Operation::new(
                &registry,
                &limits.class,
                (
                    &families::PROVISION_TOTAL,
                    &families::PROVISION_FAILED,
                    &families::PROVISION_DURATION,
                ),
            )?,
            delete: Operation::new(
                &registry,
                &limits.class,
                (
                    &families::DELETE_TOTAL,
                    &families::DELETE_FAILED,
                    &families::DELETE_DURATION,
                ),
            )?,
            api_requests: families::API_REQUESTS.counters(&registry)?,
            api_duration: families::API_DURATION.histograms(&registry)?,
            limits,
            sources: Mutex::default(),
            registry,
        };
        let metrics = Self {
            inner: Arc::new(inner),
        };
        metrics.at_scrape(process::read);
        metrics.at_scrape(|out| out.add(&families::BUILD_INFO, [crate::telemetry::VERSION], 1.0));
        Ok(metrics)
    }

    /// Provisioning: successes, failures, durations.
    pub fn provision(&self) -> &Operation {
        &self.inner.provision
    }

    /// Deleting, archiving included: successes, failures, durations.
    pub fn delete(&self) -> &Operation {
        &self.inner.delete
    }

    /// Counts and times every request of a `kube::Client`: a layer for its `ClientBuilder`.
    pub fn api_layer(&self) -> ApiLayer {
        ApiLayer::new(
            self.inner.api_requests.clone(),
            self.inner.api_duration.clone(),
        )
    }

    /// Has `source` asked at every scrape.
    pub fn at_scrape(&self, source: impl Fn(&mut Readings) + Send + Sync + 'static) {
        let mut sources = self
            .inner
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sources.push(Box::new(source));
    }

    /// Everything there is to say now, by name; families without a sample are left out.
    pub fn gather(&self) -> Vec<MetricFamily> {
        let mut readings = Readings::new(self.inner.limits.clone());
        let sources = self
            .inner
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sources.iter().for_each(|source| source(&mut readings));
        drop(sources);
        let mut all = self.inner.registry.gather();
        all.extend(readings.into_families());
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

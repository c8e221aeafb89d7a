//! One family of metrics: what Prometheus knows of it before there is a sample.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, proto::MetricType};

/// Name, help, kind and labels of a metric; `N` labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family<const N: usize> {
    /// With its unit, and `_total` for counters.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What it counts like.
    pub kind: Kind,
    /// Names of the labels.
    pub labels: [&'static str; N],
}

/// What a metric counts like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

// === impl Family ===

impl<const N: usize> Family<N> {
    pub(super) const fn counter(
        name: &'static str,
        labels: [&'static str; N],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            help,
            kind: Kind::Counter,
            labels,
        }
    }

    pub(super) const fn gauge(
        name: &'static str,
        labels: [&'static str; N],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            help,
            kind: Kind::Gauge,
            labels,
        }
    }

    pub(super) const fn histogram(
        name: &'static str,
        labels: [&'static str; N],
        buckets: &'static [f64],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            help,
            kind: Kind::Histogram(buckets),
            labels,
        }
    }

    /// Handles for a counter that this process counts itself.
    pub(super) fn counters(&self, registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
        let handle = IntCounterVec::new(Opts::new(self.name, self.help), &self.labels)?;
        registry.register(Box::new(handle.clone()))?;
        Ok(handle)
    }

    pub(super) fn histograms(
        &self,
        registry: &Registry,
    ) -> Result<HistogramVec, prometheus::Error> {
        let buckets = match self.kind {
            Kind::Histogram(buckets) => buckets.to_vec(),
            Kind::Counter | Kind::Gauge => Vec::new(),
        };
        let options = HistogramOpts::new(self.name, self.help).buckets(buckets);
        let handle = HistogramVec::new(options, &self.labels)?;
        registry.register(Box::new(handle.clone()))?;
        Ok(handle)
    }
}

// === impl Kind ===

impl Kind {
    /// `counter`, `gauge` or `histogram`, as the exposition formats name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    pub(super) fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::COUNTER,
            Self::Gauge => MetricType::GAUGE,
            Self::Histogram(_) => MetricType::HISTOGRAM,
        }
    }
}

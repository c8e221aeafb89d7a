//! What other rooms know at the moment of a scrape.

use std::collections::{BTreeMap, HashMap, btree_map::Entry};

use prometheus::proto::{self, MetricFamily};

use super::{Family, Kind, Limits};

/// Samples of one scrape, by family and labels.
#[derive(Debug)]
pub struct Readings {
    limits: Limits,
    families: BTreeMap<&'static str, Samples>,
}

#[derive(Debug)]
struct Samples {
    help: &'static str,
    kind: Kind,
    labels: Vec<&'static str>,
    values: HashMap<Vec<String>, Value>,
}

#[derive(Debug, Clone, Default)]
struct Value {
    /// The value, or a histogram's sum.
    sum: f64,
    buckets: Vec<u64>,
    count: u64,
}

// === impl Readings ===

impl Readings {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            families: BTreeMap::new(),
        }
    }

    /// Adds `value` to the sample of `family` with these labels: many classes may be one, `other`.
    pub fn add<const N: usize>(&mut self, family: &Family<N>, labels: [&str; N], value: f64) {
        self.value(family, labels).sum += value;
    }

    /// Adds a histogram that another room keeps: for each bound of `family` how many observations were not above it, how many there
    /// were in all, and their sum. Bounds that the family does not have are left out.
    pub fn add_histogram<const N: usize>(
        &mut self,
        family: &Family<N>,
        labels: [&str; N],
        buckets: &[u64],
        (count, sum): (u64, f64),
    ) {
        let bounds = match family.kind {
            Kind::Histogram(bounds) => bounds.len(),
            Kind::Counter | Kind::Gauge => 0,
        };
        let value = self.value(family, labels);
        value.buckets.resize(bounds, 0);
        let pairs = value.buckets.iter_mut().zip(buckets);
        pairs.for_each(|(bucket, more)| *bucket += more);
        value.count += count;
        value.sum += sum;
    }

    fn value<const N: usize>(&mut self, family: &Family<N>, values: [&str; N]) -> &mut Value {
        let Limits { class, share } = &self.limits;
        let bounded = family
            .labels
            .iter()
            .zip(values)
            .map(|(label, value)| match *label {
                "class" => class.of(value),
                "share" => share.of(value),
                _ => value,
            });
        let key = bounded.map(str::to_owned).collect();
        let samples = match self.families.entry(family.name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Samples::new(family)),
        };
        samples.values.entry(key).or_default()
    }

    pub(super) fn into_families(self) -> impl Iterator<Item = MetricFamily> {
        self.families
            .into_iter()
            .map(|(name, samples)| samples.into_family(name))
    }
}

// === impl Samples ===

impl Samples {
    fn new<const N: usize>(family: &Family<N>) -> Self {
        Self {
            help: family.help,
            kind: family.kind,
            labels: family.labels.to_vec(),
            values: HashMap::new(),
        }
    }

    fn into_family(self, name: &str) -> MetricFamily {
        let mut all: Vec<_> = self.values.into_iter().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let metrics = all.into_iter().map(|(values, value)| {
            let mut metric = value.into_metric(self.kind);
            metric.set_label(
                self.labels
                    .iter()
                    .zip(values)
                    .map(|(label, value)| pair(label, value))
                    .collect(),
            );
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind.metric_type());
        family.set_metric(metrics.collect());
        family
    }
}

fn pair(name: &str, value: String) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}

// === impl Value ===

impl Value {
    fn into_metric(self, kind: Kind) -> proto::Metric {
        let mut metric = proto::Metric::default();
        match kind {
            Kind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(self.sum);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(self.sum);
                metric.set_gauge(gauge);
            }
            Kind::Histogram(bounds) => metric.set_histogram(self.into_histogram(bounds)),
        }
        metric
    }

    fn into_histogram(self, bounds: &[f64]) -> proto::Histogram {
        let buckets = bounds.iter().zip(self.buckets).map(|(&bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_sum(self.sum);
        histogram.set_sample_count(self.count);
        histogram
    }
}

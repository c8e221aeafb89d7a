//! The OpenMetrics text format (openmetrics.io, version 1.0.0), which the `prometheus` crate does not write.
//!
//! Against Prometheus' older text: a counter's family has no `_total` in its name, its sample has; bounds of buckets are floats
//! with a point; the end is marked, so that a reply cut short is noticed. No units, timestamps or exemplars.

use std::fmt::{self, Write};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// What a scraper asks for and gets.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes `families`; those of types that this process does not have (summaries) are left out.
pub fn encode(families: &[MetricFamily]) -> String {
    let mut out = String::with_capacity(16 * 1024);
    // Writing to a String does not fail.
    let _ = write_all(&mut out, families);
    out.push_str("# EOF\n");
    out
}

fn write_all(out: &mut String, families: &[MetricFamily]) -> fmt::Result {
    for family in families {
        let (name, kind) = match family.get_field_type() {
            MetricType::COUNTER => (
                family
                    .name()
                    .strip_suffix("_total")
                    .unwrap_or(family.name()),
                "counter",
            ),
            MetricType::GAUGE => (family.name(), "gauge"),
            MetricType::HISTOGRAM => (family.name(), "histogram"),
            MetricType::SUMMARY | MetricType::UNTYPED => continue,
        };
        writeln!(out, "# TYPE {name} {kind}")?;
        writeln!(out, "# HELP {name} {}", Escaped(family.help()))?;
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => sample(
                    out,
                    (name, "_total"),
                    metric,
                    None,
                    metric.get_counter().get_value(),
                )?,
                MetricType::HISTOGRAM => histogram(out, name, metric)?,
                _ => sample(
                    out,
                    (name, ""),
                    metric,
                    None,
                    metric.get_gauge().get_value(),
                )?,
            }
        }
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "samples are floating point in this format"
)]
fn histogram(out: &mut String, name: &str, metric: &Metric) -> fmt::Result {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count() as f64;
    for bucket in histogram
        .get_bucket()
        .iter()
        .filter(|bucket| bucket.upper_bound().is_finite())
    {
        sample(
            out,
            (name, "_bucket"),
            metric,
            Some(bucket.upper_bound()),
            bucket.cumulative_count() as f64,
        )?;
    }
    sample(out, (name, "_bucket"), metric, Some(f64::INFINITY), count)?;
    sample(
        out,
        (name, "_sum"),
        metric,
        None,
        histogram.get_sample_sum(),
    )?;
    sample(out, (name, "_count"), metric, None, count)
}

fn sample(
    out: &mut String,
    (name, suffix): (&str, &str),
    metric: &Metric,
    bound: Option<f64>,
    value: f64,
) -> fmt::Result {
    write!(out, "{name}{suffix}")?;
    labels(out, metric.get_label(), bound)?;
    writeln!(out, " {}", Number(value))
}

fn labels(out: &mut String, pairs: &[LabelPair], bound: Option<f64>) -> fmt::Result {
    let mut before = '{';
    for pair in pairs {
        write!(out, "{before}{}=\"{}\"", pair.name(), Escaped(pair.value()))?;
        before = ',';
    }
    if let Some(bound) = bound {
        write!(out, "{before}le=\"{}\"", Bound(bound))?;
        before = ',';
    }
    if before == ',' {
        out.write_char('}')
    } else {
        Ok(())
    }
}

/// Text with backslash, quote and line feed escaped.
struct Escaped<'a>(&'a str);

/// A value.
struct Number(f64);

/// The upper bound of a bucket: always with a point or as `+Inf`.
struct Bound(f64);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            value if value.is_infinite() => f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" }),
            value => write!(f, "{value}"),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finite() {
            write!(f, "{:?}", self.0)
        } else {
            Number(self.0).fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

    use super::*;

    fn mk_registry() -> Registry {
        let registry = Registry::new();
        let calls = IntCounterVec::new(Opts::new("calls_total", "Calls."), &["status"]).unwrap();
        calls.with_label_values(&["a\"b\\c\nd"]).inc_by(3);
        let seconds = HistogramVec::new(
            HistogramOpts::new("took_seconds", "Time.").buckets(vec![0.5, 1.0]),
            &["verb"],
        )
        .unwrap();
        for took in [0.25, 0.75, 30.0] {
            seconds.with_label_values(&["get"]).observe(took);
        }
        let up = Gauge::new("up", "Whether \"up\".").unwrap();
        up.set(1.0);
        registry.register(Box::new(calls)).unwrap();
        registry.register(Box::new(seconds)).unwrap();
        registry.register(Box::new(up)).unwrap();
        registry
    }

    #[test]
    fn every_kind_is_written_as_openmetrics_has_it() {
        let expected = r#"# TYPE calls counter
# HELP calls Calls.
calls_total{status="a\"b\\c\nd"} 3
# TYPE took_seconds histogram
# HELP took_seconds Time.
took_seconds_bucket{verb="get",le="0.5"} 1
took_seconds_bucket{verb="get",le="1.0"} 2
took_seconds_bucket{verb="get",le="+Inf"} 3
took_seconds_sum{verb="get"} 31
took_seconds_count{verb="get"} 3
# TYPE up gauge
# HELP up Whether \"up\".
up 1
# EOF
"#;
        assert_eq!(encode(&mk_registry().gather()), expected);
    }

    #[test]
    fn nothing_is_still_a_whole_reply() {
        assert_eq!(encode(&[]), "# EOF\n");
    }
}

//! One log line as one JSON object, flat: what an event says and what the spans around it say, side by side, so that one field (`claim`,
//! `volume`) finds every line about one thing.
//!
//! ```text
//! {"timestamp":…,"level":"INFO","message":…, fields of the spans and of the event…, "target":…}
//! ```
//! Where two of them say the same field, the innermost is right. The names of spans are left out.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::chain;

/// Writes events as [`Line`]s.
pub(super) struct Lines;

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'a str,
    message: Value,
    #[serde(flatten)]
    fields: Map<String, Value>,
    target: &'a str,
}

/// Names that a field cannot have, because the line itself has them.
const TAKEN: [&str; 3] = ["timestamp", "level", "target"];

/// Collects fields; the last one of a name stays.
struct Fields(Map<String, Value>);

// === impl Lines ===

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        for span in ctx.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(said) = span.extensions().get::<FormattedFields<JsonFields>>()
                && let Ok(said) = serde_json::from_str::<Map<String, Value>>(said)
            {
                fields.0.extend(said);
            }
        }
        event.record(&mut fields);
        let Fields(mut fields) = fields;
        for name in TAKEN {
            fields.remove(name);
        }
        let line = Line {
            timestamp: &format!("{:.6}", Timestamp::now()),
            level: event.metadata().level().as_str(),
            message: fields.remove("message").unwrap_or_default(),
            fields,
            target: event.metadata().target(),
        };
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

// === impl Fields ===

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    /// With its causes, which text lines have as well.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

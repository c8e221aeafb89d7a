//! The log: which lines, in which form. `RUST_LOG` wins over `LOG_LEVEL`, and that over klog's `-v`.

use super::ConfigError;
use super::value::{self, Set, number};

/// How the log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// In which form.
    pub format: Format,
    /// Directives for `tracing_subscriber::EnvFilter`, known to be good.
    pub filter: String,
}

/// The forms of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people where the log is a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the four settings come to.
pub(super) fn log(
    format: Option<String>,
    directives: Option<String>,
    level: Option<String>,
    verbosity: Option<String>,
) -> Result<Log, ConfigError> {
    let verbosity = Set::new("-v", verbosity).parse_or(0, "a number", number)?;
    let usual = match verbosity {
        ..4 => "info",
        4..6 => "debug",
        6.. => "trace",
    };
    let format =
        Set::new("LOG_FORMAT", format).parse_or(Format::Auto, "auto, text or json", |text| {
            match text {
                "auto" => Some(Format::Auto),
                "text" => Some(Format::Text),
                "json" => Some(Format::Json),
                _ => None,
            }
        })?;
    let filter = Set::new("LOG_LEVEL", level).parse_or(
        usual.to_owned(),
        "error, warn, info, debug, trace or a list of directives",
        value::filter,
    )?;
    let filter =
        Set::new("RUST_LOG", directives).parse_or(filter, "a list of directives", value::filter)?;
    Ok(Log { format, filter })
}

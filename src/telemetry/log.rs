//! Log lines: one an event, on stderr, as text for people at a terminal and as JSON otherwise.
//!
//! Which lines: `RUST_LOG` (its full syntax), else `LOG_LEVEL`, else klog's `-v`, else `info`. What libraries say below a warning is left
//! out unless `RUST_LOG` asks for it.

mod repeats;

use std::{
    io::{self, IsTerminal},
    str::FromStr,
};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, filter::ParseError, fmt, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

pub use repeats::Repeats;

/// Libraries that tell too much below a warning.
const CHATTY: [&str; 7] = [
    "h2",
    "hyper",
    "hyper_util",
    "kube_client",
    "kube_runtime",
    "rustls",
    "tower",
];

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text where stderr is a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What was asked for, by environment or flags.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `LOG_FORMAT`.
    pub format: Format,
    /// `RUST_LOG`.
    pub filter: Option<String>,
    /// `LOG_LEVEL`: error, warn, info, debug or trace.
    pub level: Option<String>,
    /// klog's `-v`: from 4 on debug, from 8 on trace.
    pub verbosity: u8,
}

/// Why there will be no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A format that is none.
    #[error("{0:?} is not one of auto, text, json")]
    Format(String),
    /// A level that is none.
    #[error("{0:?} is not one of error, warn, info, debug, trace")]
    Level(String),
    /// `RUST_LOG` that cannot be read.
    #[error("the log filter {0:?} cannot be read")]
    Filter(String, #[source] ParseError),
    /// Something else logs already.
    #[error("a log is set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Sets the log up for the whole process; once.
///
/// # Errors
/// Options that cannot be read, each naming the bad value; or a second call.
pub fn init(options: &Options) -> Result<(), Error> {
    let is_text = match options.format {
        Format::Auto => io::stderr().is_terminal(),
        Format::Text => true,
        Format::Json => false,
    };
    let lines = if is_text {
        text(io::stderr, io::stderr().is_terminal()).boxed()
    } else {
        json(io::stderr).boxed()
    };
    tracing_subscriber::registry()
        .with(filter(options)?)
        .with(lines)
        .try_init()
        .map_err(Error::Twice)
}

fn text<S, W>(to: W, is_terminal: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> fmt::MakeWriter<'a> + 'static,
{
    fmt::layer()
        .with_writer(to)
        .with_ansi(is_terminal)
        .with_target(false)
}

fn json<S, W>(to: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> fmt::MakeWriter<'a> + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_writer(to)
}

fn filter(options: &Options) -> Result<EnvFilter, Error> {
    let parse = |text: &str| {
        EnvFilter::try_new(text).map_err(|error| Error::Filter(text.to_owned(), error))
    };
    if let Some(asked) = options
        .filter
        .as_deref()
        .filter(|asked| !asked.trim().is_empty())
    {
        return parse(asked);
    }
    let level = level(options)?;
    let quiet = if matches!(level, "error") {
        "error"
    } else {
        "warn"
    };
    let chatty = CHATTY.map(|library| format!("{library}={quiet}")).join(",");
    parse(&format!("{level},{chatty}"))
}

fn level(options: &Options) -> Result<&'static str, Error> {
    let Some(asked) = options
        .level
        .as_deref()
        .map(str::trim)
        .filter(|asked| !asked.is_empty())
    else {
        return Ok(match options.verbosity {
            0..4 => "info",
            4..8 => "debug",
            8.. => "trace",
        });
    };
    match asked.to_ascii_lowercase().as_str() {
        "error" => Ok("error"),
        "warn" | "warning" => Ok("warn"),
        "info" => Ok("info"),
        "debug" => Ok("debug"),
        "trace" => Ok("trace"),
        _ => Err(Error::Level(asked.to_owned())),
    }
}

// === impl Format ===

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Error::Format(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{info, info_span, subscriber::with_default};

    use super::*;

    fn mk_options(filter: Option<&str>, level: Option<&str>, verbosity: u8) -> Options {
        Options {
            filter: filter.map(str::to_owned),
            level: level.map(str::to_owned),
            verbosity,
            ..Options::default()
        }
    }

    #[test]
    fn rust_log_wins_over_log_level_and_that_over_klog_s_verbosity() {
        let rows = [
            ("nothing said", mk_options(None, None, 0), "info"),
            ("-v=3", mk_options(None, None, 3), "info"),
            ("-v=4", mk_options(None, None, 4), "debug"),
            ("-v=9", mk_options(None, None, 9), "trace"),
            (
                "LOG_LEVEL over -v",
                mk_options(None, Some("WARN"), 9),
                "warn",
            ),
            ("empty LOG_LEVEL", mk_options(None, Some(""), 4), "debug"),
        ];
        for (name, options, expected) in rows {
            assert_eq!(level(&options).unwrap(), expected, "{name}");
        }
        let asked = filter(&mk_options(Some("nfs=trace"), Some("warn"), 9)).unwrap();
        assert_eq!(asked.to_string(), "nfs=trace");
    }

    #[test]
    fn libraries_are_quiet_unless_asked() {
        let filter = filter(&mk_options(None, Some("debug"), 0))
            .unwrap()
            .to_string();
        assert!(
            filter.contains("hyper=warn") && filter.contains("debug"),
            "{filter}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = filter(&mk_options(None, Some("loud"), 0)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"loud\" is not one of error, warn, info, debug, trace"
        );
        assert!(
            filter(&mk_options(Some("a=b=c"), None, 0))
                .unwrap_err()
                .to_string()
                .contains("a=b=c")
        );
        assert!(
            "xml"
                .parse::<Format>()
                .unwrap_err()
                .to_string()
                .contains("xml")
        );
        assert_eq!("JSON".parse::<Format>().unwrap(), Format::Json);
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn story() {
        let _claim = info_span!("claim", claim = "ns/name").entered();
        let _call = info_span!("call", procedure = "MKDIR").entered();
        info!(volume = "pvc-1", "provisioned");
    }

    #[test]
    fn a_json_line_holds_the_fields_of_the_event_and_of_its_spans() {
        let kept = Kept::default();
        let to = kept.clone();
        with_default(
            tracing_subscriber::registry().with(json(move || to.clone())),
            story,
        );
        let line: serde_json::Value = serde_json::from_str(&kept.text()).unwrap();
        assert_eq!(
            (&line["message"], &line["volume"], &line["level"]),
            (&"provisioned".into(), &"pvc-1".into(), &"INFO".into())
        );
        assert_eq!(line["spans"][0]["claim"], "ns/name");
    }

    #[test]
    fn a_text_line_has_no_colours_outside_a_terminal_and_names_the_claim() {
        let kept = Kept::default();
        let to = kept.clone();
        with_default(
            tracing_subscriber::registry().with(text(move || to.clone(), false)),
            story,
        );
        let line = kept.text();
        assert!(
            line.contains("claim=\"ns/name\"") && line.contains("provisioned volume=\"pvc-1\""),
            "{line}"
        );
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

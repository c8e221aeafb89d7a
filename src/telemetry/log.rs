//! Log lines: one an event, on stderr, as text for people at a terminal and as JSON otherwise. Whatever is done about a claim or its volume is
//! said within a span that names both, `claim=NAMESPACE/NAME` and `volume=NAME`: in both forms one text finds the whole story.
//!
//! Which lines is settled in [`config`](crate::config): `RUST_LOG`, else `LOG_LEVEL`, else klog's `-v`. With a bare level, what libraries say
//! below a warning is left out.

mod json;
mod repeats;

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, ParseError},
    fmt::{self, format::JsonFields},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::{SubscriberInitExt, TryInitError},
};

use crate::config::{Format, Log};
pub use repeats::Repeats;

/// Say every failed request, though whoever made it says it as well, and not at every attempt.
const SILENT: [&str; 2] = ["kube_client::client::builder", "kube_runtime::watcher"];
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

/// Why there will be no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Directives that cannot be read.
    #[error("the log filter {0:?} cannot be read")]
    Filter(String, #[source] ParseError),
    /// Something else logs already.
    #[error("a log is set up already")]
    Twice(#[source] TryInitError),
}

/// An error and all its causes in one line, outermost first. What a cause's text already contains is not said twice.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        if let Some(answer) = api_answer(error) {
            return text.replace(&part, answer);
        }
        cause = error.source();
    }
    text
}

/// What the API server said, which is a whole sentence; the library adds all fields of the answer, as programmers write them.
fn api_answer<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a str> {
    // The watcher boxes its causes.
    let boxed = || error.downcast_ref::<Box<kube::Error>>().map(AsRef::as_ref);
    match error.downcast_ref::<kube::Error>().or_else(boxed)? {
        kube::Error::Api(status) if !status.message.is_empty() => Some(&status.message),
        _ => None,
    }
}

/// Sets the log up for the whole process; once.
///
/// # Errors
/// A filter that cannot be read, or a second call.
pub fn init(log: &Log) -> Result<(), Error> {
    let is_terminal = io::stderr().is_terminal();
    let is_text = match log.format {
        Format::Auto => is_terminal,
        Format::Text => true,
        Format::Json => false,
    };
    let lines = if is_text {
        text(io::stderr, is_terminal).boxed()
    } else {
        json(io::stderr).boxed()
    };
    tracing_subscriber::registry()
        .with(filter(&log.filter)?)
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
        .fmt_fields(JsonFields::new())
        .event_format(json::Lines)
        .with_writer(to)
}

fn filter(asked: &str) -> Result<EnvFilter, Error> {
    let is_level = asked.parse::<LevelFilter>().is_ok();
    let quiet = if asked.eq_ignore_ascii_case("error") {
        "error"
    } else {
        "warn"
    };
    let chatty = CHATTY.map(|library| format!(",{library}={quiet}")).concat();
    let silent = SILENT.map(|module| format!(",{module}=off")).concat();
    let directives = if is_level {
        format!("{asked}{chatty}{silent}")
    } else {
        asked.to_owned()
    };
    EnvFilter::try_new(&directives).map_err(|error| Error::Filter(directives, error))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{
        field::{Empty, display},
        info, info_span,
        subscriber::with_default,
    };

    use super::*;

    #[test]
    fn libraries_are_quiet_unless_directives_ask_for_them() {
        let level = filter("debug").unwrap().to_string();
        assert!(
            level.contains("hyper=warn") && level.contains("debug"),
            "{level}"
        );
        assert!(filter("error").unwrap().to_string().contains("hyper=error"));
        assert!(level.contains("kube_runtime::watcher=off"), "{level}");
        assert!(
            level.contains("kube_client::client::builder=off"),
            "{level}"
        );
        assert_eq!(filter("hyper=trace").unwrap().to_string(), "hyper=trace");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        assert!(filter("a=b=c").unwrap_err().to_string().contains("a=b=c"));
    }

    #[test]
    fn of_what_the_api_server_answers_only_its_sentence_is_said() {
        let status =
            kube::core::Status::failure("pods is forbidden: User \"u\" cannot", "Forbidden")
                .with_code(403)
                .boxed();
        let cause = || kube::Error::Api(status.clone());
        let expected = "cannot look: pods is forbidden: User \"u\" cannot";
        assert_eq!(chain(&Said(cause())), expected);
        assert_eq!(chain(&SaidByWatcher(Box::new(cause()))), expected);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot look")]
    struct Said(#[source] kube::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot look: {0}")]
    struct SaidByWatcher(#[source] Box<kube::Error>);

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
        let claim = info_span!("claim", claim = %"ns/name", volume = Empty, call = "none");
        claim.record("volume", display("pvc-1"));
        let _claim = claim.entered();
        let _call = info_span!("call", call = "MKDIR").entered();
        let error = Said(kube::Error::LinesCodecMaxLineLengthExceeded);
        info!(
            files = 2,
            level = "high",
            error = &error as &dyn std::error::Error,
            "provisioned"
        );
    }

    #[test]
    fn a_json_line_is_flat_and_holds_the_fields_of_the_event_and_of_its_spans() {
        let kept = Kept::default();
        let to = kept.clone();
        with_default(
            tracing_subscriber::registry().with(json(move || to.clone())),
            story,
        );
        let text = kept.text();
        let mut line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let said: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(said.duration_until(jiff::Timestamp::now()).as_secs() < 60);
        line["timestamp"] = "now".into();
        let expected = serde_json::json!({
            "timestamp": "now",
            "level": "INFO",
            "message": "provisioned",
            "claim": "ns/name",
            "volume": "pvc-1",
            "call": "MKDIR",
            "files": 2,
            "error": "cannot look: Error finding newline character",
            "target": "nfs_subdir_external_provisioner::telemetry::log::tests",
        });
        assert_eq!(line, expected);
        // People read it too: when, how bad, and what come first.
        assert!(
            text.starts_with("{\"timestamp\":\"")
                && text.contains("\",\"level\":\"INFO\",\"message\":\"provisioned\",\""),
            "{text}"
        );
        assert_eq!(text.matches("\"level\"").count(), 1);
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
            line.contains("claim=ns/name")
                && line.contains("volume=pvc-1")
                && line.contains("provisioned files=2"),
            "{line}"
        );
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

//! One setting: its name, what was given, and how texts become values.

use super::ConfigError;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// What [`duration`] takes.
pub(super) const DURATION: &str = "a duration above zero, such as 500ms, 15s or 1m30s";
/// What [`port`] takes.
pub(super) const PORT: &str = "a port number from 1 to 65535";

/// A setting. What is empty counts as not given, as in the Go provisioner.
pub(super) struct Set {
    name: &'static str,
    given: Option<String>,
}

/// Above zero.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let duration = Duration::try_from(text.parse::<jiff::SignedDuration>().ok()?).ok()?;
    (!duration.is_zero()).then_some(duration)
}

/// Above zero, and nothing beyond the second.
pub(super) fn whole_seconds(text: &str) -> Option<Duration> {
    duration(text).filter(|duration| duration.subsec_nanos() == 0)
}

pub(super) fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// A count of at least one, and small enough to be meant.
pub(super) fn positive(text: &str) -> Option<usize> {
    text.parse()
        .ok()
        .filter(|count| (1..=65_536).contains(count))
}

pub(super) fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// `ADDRESS:PORT`, or `:PORT` for all addresses of both families.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix(':') {
        Some(port) => port
            .parse()
            .ok()
            .map(|port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))),
        None => text.parse().ok(),
    }
}

pub(super) fn filter(text: &str) -> Option<String> {
    tracing_subscriber::EnvFilter::builder()
        .parse(text)
        .ok()
        .map(|_| text.to_owned())
}

/// A DNS label (RFC 1123): what names a namespace.
pub(super) fn label(text: &str) -> Option<String> {
    let inner =
        |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    let good = !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    good.then(|| text.to_owned())
}

/// What the API server takes as a class's provisioner: a qualified name, `PREFIX/NAME` or `NAME`, where the case of its letters is not looked at.
pub(super) fn qualified_name(text: &str) -> Option<String> {
    let (prefix, name) = text
        .split_once('/')
        .map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let ends = |text: &str| {
        text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && text.ends_with(|letter: char| letter.is_ascii_alphanumeric())
    };
    let named = name.len() <= 63
        && ends(name)
        && name
            .bytes()
            .all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter));
    let prefixed = prefix.is_none_or(|prefix| {
        prefix.len() <= 253
            && prefix
                .to_ascii_lowercase()
                .split('.')
                .all(|part| label(part).is_some())
    });
    (named && prefixed).then(|| text.to_owned())
}

// === impl Set ===

impl Set {
    pub(super) fn new(name: &'static str, given: Option<String>) -> Self {
        Self {
            name,
            given: given.filter(|text| !text.is_empty()),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.given.as_deref()
    }

    pub(super) fn required(&self, hint: &'static str) -> Result<&str, ConfigError> {
        self.text().ok_or(ConfigError::Missing {
            name: self.name,
            hint,
        })
    }

    pub(super) fn check<T>(
        &self,
        text: &str,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        parse(text).ok_or_else(|| ConfigError::Bad {
            name: self.name,
            value: text.to_owned(),
            wanted,
        })
    }

    pub(super) fn parse<T>(
        &self,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.text()
            .map(|text| self.check(text, wanted, parse))
            .transpose()
    }

    pub(super) fn parse_or<T>(
        &self,
        default: T,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.parse(wanted, parse)
            .map(|value| value.unwrap_or(default))
    }

    /// The kubelet sets `NFS_PORT=tcp://10.96.0.7:2049` in every pod beside a Service that is named `nfs`. Nobody typed that.
    pub(super) fn unless_service_link(self) -> Self {
        let link = |text: &String| {
            ["tcp://", "udp://", "sctp://"]
                .iter()
                .any(|scheme| text.starts_with(scheme))
        };
        Self {
            given: self.given.filter(|text| !link(text)),
            ..self
        }
    }
}

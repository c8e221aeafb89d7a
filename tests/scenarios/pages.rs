//! The pages that the provisioner serves.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::provisioner::Settings;

/// How long a page may take. None of them waits for a server.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Where a provisioner serves its pages.
pub struct Pages(u16);

// === impl Pages ===

impl Pages {
    /// On a port that is free now.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self(listener.local_addr().expect("bound").port())
    }

    /// Has the provisioner serve them.
    pub fn served_by(&self, settings: Settings) -> Settings {
        settings.with("METRICS_ADDR", format!("127.0.0.1:{}", self.0))
    }

    /// Status and text of a page; None where nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.0)).ok()?;
        connection.set_read_timeout(Some(AT_ONCE)).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        connection.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}

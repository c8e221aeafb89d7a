//! MOUNT said no (RFC 1813 section 5.2.1): to what, and what it would have said yes to.

use std::fmt;

use nfs3_types::mount::mountstat3;

/// MOUNT said no (RFC 1813 section 5.2.1).
#[derive(Debug, Clone)]
pub struct MountRefusal {
    /// Its status.
    pub status: mountstat3,
    /// What was asked for.
    pub path: Box<str>,
    /// What the server exports, where it said so.
    pub exports: Option<Vec<String>>,
    /// Whether the call came from a reserved port.
    pub reserved_port: bool,
}

// === impl MountRefusal ===

impl MountRefusal {
    /// Whether the server has said what it exports, and what was asked for is neither that nor inside of it.
    pub(crate) fn names_no_export(&self) -> bool {
        let holds = |export: &String| {
            let rest = self.path.strip_prefix(export.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.exports
            .as_ref()
            .is_some_and(|exports| !exports.iter().any(holds))
    }
}

impl fmt::Display for MountRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server refused to mount {} ({})",
            self.path, self.status
        )?;
        match &self.exports {
            None => Ok(()),
            Some(exports) if exports.is_empty() => f.write_str("; it exports nothing"),
            Some(exports) if exports.contains(&self.path.to_string()) => Ok(()),
            Some(exports) => write!(f, "; it exports {}", exports.join(", ")),
        }
    }
}

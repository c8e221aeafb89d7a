//! `Place`: a directory on an NFS server, in the one form in which two of them can be compared.
//!
//! ```text
//! "192.168.10.14" NUL "/data/nfs/a"     one allocation, shared by all clones
//! ```
//!
//! The server counts as written: two names of one machine are two servers here. The path is cleaned as Go's `path.Clean` does, so that the same
//! directory written in two ways is the same place. Refused: paths that are not absolute.

use std::fmt;
use std::sync::Arc;

/// Where a directory is: a server as written and a clean absolute path. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Place {
    text: Arc<str>,
    server: usize,
}

/// How one place lies to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The very same directory.
    Same,
    /// It is above the other and so holds it.
    Contains,
    /// It lies somewhere below the other.
    Inside,
}

/// Cleans an absolute path by its text alone, as Go's `path.Clean`: single slashes, no `.`, `..` taken back, no slash at the end.
/// `None` where `path` does not begin with a slash.
pub fn clean(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name),
        }
    }
    Some(format!("/{}", kept.join("/")))
}

// === impl Place ===

impl Place {
    /// The place of `path` on `server`; `None` where the path is not absolute.
    pub fn new(server: &str, path: &str) -> Option<Self> {
        clean(path).map(|path| Self {
            text: format!("{server}\0{path}").into(),
            server: server.len(),
        })
    }

    /// The server as written.
    pub fn server(&self) -> &str {
        &self.text[..self.server]
    }

    /// The clean absolute path.
    pub fn path(&self) -> &str {
        &self.text[self.server + 1..]
    }

    /// The place of a relative path below this one.
    #[must_use]
    pub fn join(&self, relative: &str) -> Self {
        let path = clean(&format!("{}/{relative}", self.path())).unwrap_or_else(|| "/".into());
        Self {
            text: format!("{}\0{path}", self.server()).into(),
            server: self.server,
        }
    }

    /// Server and path as one text that sorts all that lies below a place between `key/` and `key0`.
    pub(super) fn key(&self) -> &Arc<str> {
        &self.text
    }

    /// What of this place's path comes below `root`, without a slash at its beginning. `Some("")` where both are the same; `None` where this is not
    /// below it. Compared component by component: `/a/bc` is not below `/a/b`.
    pub fn below(&self, root: &Self) -> Option<&str> {
        if self.server() != root.server() {
            return None;
        }
        let (path, root) = (self.path(), root.path());
        if root == "/" {
            return path.strip_prefix('/');
        }
        let rest = path.strip_prefix(root)?;
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix('/')
        }
    }

    /// How `self` lies to `other`, or `None` where neither holds the other.
    pub fn relation(&self, other: &Self) -> Option<Relation> {
        match (self.below(other), other.below(self)) {
            (Some(""), _) => Some(Relation::Same),
            (Some(_), _) => Some(Relation::Inside),
            (_, Some(_)) => Some(Relation::Contains),
            (None, None) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.server(), self.path())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_place(path: &str) -> Place {
        Place::new("nfs", path).unwrap()
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (raw, cleaned) in [
            ("/", "/"),
            ("/data/nfs", "/data/nfs"),
            ("/data/nfs/", "/data/nfs"),
            ("//data///nfs/.", "/data/nfs"),
            ("/data/../srv/./x", "/srv/x"),
            ("/../..", "/"),
        ] {
            assert_eq!(clean(raw).as_deref(), Some(cleaned), "{raw}");
        }
        assert_eq!(clean("data/nfs"), None);
        assert_eq!(clean(""), None);
    }

    #[test]
    fn relations_go_by_whole_components() {
        for (one, other, relation) in [
            ("/a/b", "/a/b/", Some(Relation::Same)),
            ("/a/b", "/a", Some(Relation::Inside)),
            ("/a", "/a/b", Some(Relation::Contains)),
            ("/a/bc", "/a/b", None),
            ("/a/b", "/a/bc", None),
            ("/", "/a", Some(Relation::Contains)),
            ("/a", "/", Some(Relation::Inside)),
            ("/", "/", Some(Relation::Same)),
            ("/a", "/b", None),
        ] {
            assert_eq!(
                mk_place(one).relation(&mk_place(other)),
                relation,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn another_server_is_another_place() {
        let here = mk_place("/a");
        let there = Place::new("nfs2", "/a").unwrap();
        assert_eq!(here.relation(&there), None);
        assert_ne!(here, there);
        assert_eq!((there.server(), there.path()), ("nfs2", "/a"));
        assert_eq!(there.to_string(), "nfs2:/a");
    }

    #[test]
    fn what_lies_below_is_told_without_a_leading_slash() {
        assert_eq!(
            mk_place("/data/nfs/a/b").below(&mk_place("/data/nfs")),
            Some("a/b")
        );
        assert_eq!(mk_place("/a/b").below(&mk_place("/")), Some("a/b"));
        assert_eq!(
            mk_place("/data/nfs").below(&mk_place("/data/nfs")),
            Some("")
        );
        assert_eq!(mk_place("/data/nfs2").below(&mk_place("/data/nfs")), None);
    }
}

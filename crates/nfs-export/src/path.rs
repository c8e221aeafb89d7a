//! `SubDir`: a relative path that cannot leave the export.
//!
//! Parsing is the border: whatever is past it has at least one component, no `.` or `..`, no NUL, and components that a file system can hold.

/// The longest component, in bytes. RFC 1813 leaves the limit to the server; every known one has this.
const NAME_MAX: usize = 255;
/// The most components, so that a walk is bounded.
const DEPTH_MAX: usize = 64;

/// A directory below the root of an export: at least one component, none of them `.` or `..`, each 1 to 255 bytes without NUL.
///
/// ```
/// use nfs_export::SubDir;
///
/// let dir = SubDir::parse("/team-a//data/./kafka-0/")?;
/// assert_eq!(dir.as_str(), "team-a/data/kafka-0");
/// assert_eq!(dir.name(), "kafka-0");
/// assert!(SubDir::parse("team-a/../team-b").is_err());
/// # Ok::<(), nfs_export::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubDir(Box<str>);

/// Why a text is not a [`SubDir`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing but slashes and dots: the export itself.
    #[error("the path is the share itself")]
    Root,
    /// A `..` component.
    #[error("the path leaves the share: it has a component \"..\"")]
    Leaves,
    /// A component over 255 bytes (RFC 1813 leaves the limit to the server; every known one has this).
    #[error("the path has a component of {0} bytes; the limit is 255")]
    TooLong(usize),
    /// A NUL byte.
    #[error("the path has a NUL byte")]
    Nul,
    /// More components than the client walks.
    #[error("the path has {0} components; the limit is 64")]
    TooDeep(usize),
}

// === impl SubDir ===

impl SubDir {
    /// Parses `text`, dropping empty and `.` components.
    ///
    /// # Errors
    /// What [`PathError`] says.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.contains('\0') {
            return Err(PathError::Nul);
        }
        let mut path = String::with_capacity(text.len());
        let mut depth = 0;
        for component in text.split('/').filter(|c| !matches!(*c, "" | ".")) {
            if component == ".." {
                return Err(PathError::Leaves);
            }
            if component.len() > NAME_MAX {
                return Err(PathError::TooLong(component.len()));
            }
            if depth > 0 {
                path.push('/');
            }
            path.push_str(component);
            depth += 1;
        }
        match depth {
            0 => Err(PathError::Root),
            1..=DEPTH_MAX => Ok(Self(path.into())),
            _ => Err(PathError::TooDeep(depth)),
        }
    }

    /// The path with single slashes between components and none at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.split().1
    }

    /// The directory that holds this one, or `None` where that is the export's root.
    pub fn parent(&self) -> Option<Self> {
        self.split().0.map(|parent| Self(parent.into()))
    }

    /// The text of the directory that holds this one, if any, and the last component.
    pub(crate) fn split(&self) -> (Option<&str>, &str) {
        // By the byte and not `rsplit_once`, whose search is made for longer texts.
        match self.0.bytes().rposition(|byte| byte == b'/') {
            Some(at) => (Some(&self.0[..at]), &self.0[at + 1..]),
            None => (None, &self.0),
        }
    }

    /// The directories on the way to this one, outermost first, and itself.
    pub(crate) fn ancestry(&self) -> impl Iterator<Item = Self> {
        let ends = self
            .0
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([self.0.len()]);
        ends.map(|end| Self(self.0[..end].into()))
    }

    /// `name` below this directory. A `name` with slashes adds as many components.
    ///
    /// # Errors
    /// What [`PathError`] says of `name` or of the result.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        let below = Self::parse(name)?;
        Self::parse(&format!("{}/{}", self.0, below.0))
    }

    /// Whether `other` is this directory or lies inside it, component by component: `a/b` does not contain `a/bc`.
    pub fn contains(&self, other: &Self) -> bool {
        other
            .0
            .strip_prefix(&*self.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether one of the two contains the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }
}

/// Equal and hashed as its text is, so that a part of another path can be looked up among paths.
impl std::borrow::Borrow<str> for SubDir {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SubDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for SubDir {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk(text: &str) -> SubDir {
        SubDir::parse(text).unwrap()
    }

    #[test]
    fn what_is_parsed_cannot_leave_the_share() {
        let long = "x".repeat(256);
        let deep = "d/".repeat(65);
        let rows: &[(&str, &str, Result<&str, PathError>)] = &[
            ("plain", "a", Ok("a")),
            ("slashes and dots are dropped", "//a/./b//", Ok("a/b")),
            ("dots in a name stay", "..a/b..", Ok("..a/b..")),
            ("empty is the root", "", Err(PathError::Root)),
            ("dots are the root", "/./.", Err(PathError::Root)),
            ("up is refused", "a/../b", Err(PathError::Leaves)),
            ("only up is refused", "..", Err(PathError::Leaves)),
            ("nul is refused", "a\0b", Err(PathError::Nul)),
            ("256 bytes are refused", &long, Err(PathError::TooLong(256))),
            ("255 bytes are taken", &long[1..], Ok(&long[1..])),
            ("65 levels are refused", &deep, Err(PathError::TooDeep(65))),
            ("64 levels are taken", &deep[2..], Ok(&deep[2..129])),
        ];
        for (name, text, want) in rows {
            let got = SubDir::parse(text);
            assert_eq!(got.as_ref().map(SubDir::as_str), want.as_deref(), "{name}");
        }
    }

    #[test]
    fn a_path_comes_apart_and_together_again() {
        let path = mk("a/b/c");
        assert_eq!(path.name(), "c");
        assert_eq!(path.parent(), Some(mk("a/b")));
        assert_eq!(mk("a").parent(), None);
        assert_eq!(
            path.ancestry().collect::<Vec<_>>(),
            [mk("a"), mk("a/b"), mk("a/b/c")]
        );
        assert_eq!(path.components().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(mk("a/b").join("c"), Ok(path));
        assert_eq!(mk("a").join(".."), Err(PathError::Leaves));
        assert_eq!(mk("a").join("/"), Err(PathError::Root));
    }

    #[test]
    fn containment_is_by_component() {
        let rows = [
            ("itself", "a/b", "a/b", true),
            ("inside", "a", "a/b/c", true),
            ("a longer name is another directory", "a/b", "a/bc", false),
            ("outside", "a/b", "a", false),
        ];
        for (name, outer, inner, want) in rows {
            assert_eq!(mk(outer).contains(&mk(inner)), want, "{name}");
        }
        assert!(mk("a/b/c").overlaps(&mk("a")) && !mk("a/b").overlaps(&mk("a/c")));
    }
}

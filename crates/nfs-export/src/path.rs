//! `SubDir`: a relative path that cannot leave the export.

/// A directory below the root of an export: at least one component, none of them `.` or `..`, each 1 to 255 bytes without NUL.
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

impl SubDir {
    /// Parses `text`, dropping empty and `.` components.
    ///
    /// # Errors
    /// What [`PathError`] says.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Ok(Self(text.into()))
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
        &self.0
    }
    /// The directory that holds this one, or `None` where that is the export's root.
    pub fn parent(&self) -> Option<Self> {
        None
    }
    /// One component more.
    ///
    /// # Errors
    /// What [`PathError`] says of the result.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        Self::parse(&format!("{}/{name}", self.0))
    }
    /// Whether `other` is this directory or lies inside it, component by component.
    pub fn contains(&self, other: &Self) -> bool {
        self == other
    }
    /// Whether one of the two contains the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }
}

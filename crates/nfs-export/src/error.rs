//! What went wrong, where, and what to do now.

/// A verb that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("x")]
pub struct Error {}

/// What a caller does about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Ask again at once.
    RetryNow,
    /// Ask again after a while: the server said so (JUKEBOX, grace period, a deadline passed).
    BackOff,
    /// The connection is gone: a new one is being made.
    Reconnect,
    /// The file handles are stale: MOUNT and walk again.
    Remount,
    /// Only an administrator can mend it (ROFS, NOSPC, DQUOT, ACCES, a wrong path, ...); back off.
    TellUser,
}

impl Error {
    /// What to do now.
    pub fn recovery(&self) -> Recovery {
        Recovery::BackOff
    }
    /// What an administrator can change so that it works, where that is known.
    pub fn advice(&self) -> Option<String> {
        None
    }
    /// Whether the whole share is out of reach, and not only this path.
    pub fn is_share_down(&self) -> bool {
        false
    }
}

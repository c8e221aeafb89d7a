//! What stopped an attempt, as one line for an event: cause and cure.

use std::fmt::Write as _;
use std::time::Duration;

use kube::core::Status;
use nfs_export::Target;

use super::retry_after;
use crate::plan::claim::NameTaken;
use crate::telemetry::log::chain;

/// A step of an attempt that failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A verb on a share.
    #[error("share {server}:{path}")]
    Share {
        /// The share's server.
        server: String,
        /// The share's path.
        path: String,
        /// What the export says.
        source: nfs_export::Error,
    },
    /// A request to the API server.
    #[error("cannot {what}")]
    Api {
        /// The request in words: "create the PersistentVolume".
        what: &'static str,
        /// What the client says.
        source: kube::Error,
    },
    /// A request to the API server had no answer in time.
    #[error("cannot {what}: the API server has not answered for {after:?}")]
    Slow {
        /// The request in words.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// Every name that an archive of the directory could have is taken.
    #[error(
        "every name for an archive of {0} is taken; remove or rename old archives at the root of the share"
    )]
    NoArchiveName(String),
    /// What an earlier attempt had moved away is removed now, and meanwhile there was a new directory under the old name.
    #[error("there is a new directory under the old name")]
    NameTakenAnew,
    /// The API server has a volume of the name, and it is not the claim's.
    #[error(transparent)]
    VolumeNameTaken(#[from] NameTaken),
    /// Read again before the first effect, the volume is to be dealt with in another way.
    #[error("the volume is not what it was when this was decided")]
    Outdated,
    /// The lock is lost, or was when the effect's turn came.
    #[error("this process does not lead any more")]
    NotLeading,
    /// Another volume is at work in the directory; it is a matter of moments.
    #[error(transparent)]
    Busy(#[from] super::paths::Busy),
}

// === impl Failure ===

impl Failure {
    /// A verb on `target` failed.
    pub fn share(target: &Target) -> impl Fn(nfs_export::Error) -> Self + '_ {
        |source| Self::Share {
            server: target.server.clone(),
            path: target.path.clone(),
            source,
        }
    }

    /// A request failed.
    pub fn api(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api { what, source }
    }

    /// The whole chain of causes in one line, then what an administrator can do about it. Where the share is out of reach, which call it was that did
    /// not reach it is left out.
    pub fn message(&self) -> String {
        let mut text = match self {
            Self::Share { source, .. } => match source.cause() {
                nfs_export::Cause::Unreachable(last) => chain(last.as_ref()),
                _ => chain(self),
            },
            other => chain(other),
        };
        if let Some(advice) = self.advice() {
            let _ = write!(text, "; {advice}");
        }
        text
    }

    /// What many attempts have in common that fail for the same reason: a share that is down is one trouble, not one for each claim.
    pub fn cause(&self) -> String {
        match self {
            Self::Share {
                server,
                path,
                source,
            } if source.is_share_down() => format!("share {server}:{path} is down"),
            other => other.message(),
        }
    }

    /// The rules of the service account do not allow it.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if is_missing_rule(status))
    }

    /// What was to be renamed is on another file system of the share than its new place.
    pub fn is_between_file_systems(&self) -> bool {
        let Self::Share { source, .. } = self else {
            return false;
        };
        matches!(
            source.cause(),
            nfs_export::Cause::Nfs(nfs_export::nfsstat3::NFS3ERR_XDEV)
        )
    }

    /// Whether what was asked of the API server may have happened all the same: the answer is missing, or is an error that can follow the change.
    pub fn is_in_doubt(&self) -> bool {
        match self {
            Self::Slow { .. } => true,
            Self::Api { source, .. } => {
                !matches!(source, kube::Error::Api(status) if matches!(status.code, 400..=499))
            }
            _ => false,
        }
    }

    /// When to come back, where that is not ours to say.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { source, .. } => retry_after::of(source),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Share { source, .. } => source.advice(),
            Self::Api {
                source: kube::Error::Api(status),
                ..
            } if status.code == 403 => Some(refused(status).to_owned()),
            Self::Api { .. }
            | Self::Slow { .. }
            | Self::NoArchiveName(_)
            | Self::NameTakenAnew
            | Self::VolumeNameTaken(_)
            | Self::Outdated
            | Self::NotLeading
            | Self::Busy(_) => None,
        }
    }
}

/// Admission refuses with the same code and reason as the rules do; what authorization says begins with who cannot do it.
fn is_missing_rule(status: &Status) -> bool {
    status.code == 403
        && status.message.contains("forbidden: User \"")
        && status.message.contains("\" cannot ")
}

fn refused(status: &Status) -> &'static str {
    if is_missing_rule(status) {
        "grant it to the service account: see manifests/base/rbac.yaml"
    } else {
        "a policy of the cluster refuses it (an admission webhook, a ValidatingAdmissionPolicy, a quota), not the service account's rules: change the policy or except this provisioner's volumes"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_refusal(message: &str) -> Failure {
        let status = Status::failure(message, "Forbidden").with_code(403);
        Failure::api("create the PersistentVolume")(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_policy_s_refusal_and_a_missing_rule_have_different_cures() {
        for (message, is_rule) in [
            (
                r#"persistentvolumes is forbidden: User "system:serviceaccount:default:nfs" cannot create resource "persistentvolumes" in API group "" at the cluster scope"#,
                true,
            ),
            (
                r#"admission webhook "deny.example.org" denied the request: no NFS here"#,
                false,
            ),
            (
                r#"persistentvolumes "pvc-1" is forbidden: ValidatingAdmissionPolicy "no-nfs" with binding "all" denied request: no NFS here"#,
                false,
            ),
        ] {
            let failure = mk_refusal(message);
            let said = failure.message();
            assert_eq!(failure.is_forbidden(), is_rule, "{message}");
            assert_eq!(said.contains("grant it"), is_rule, "{said}");
            assert_eq!(said.contains("change the policy"), !is_rule, "{said}");
        }
    }
}

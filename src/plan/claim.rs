//! What to do about a claim.
//!
//! ```text
//! ours? ─ bound? ─ class? ─ node chosen? ─ may it be served? ─ which directory? ─ free to use? ──> Provision
//! ```
//!
//! A refusal says in one sentence what is wrong and what to change, because `kubectl describe pvc` is where its reader looks.

use crate::plan::class::ClassError;
use crate::plan::facts::{Claim, Class, Request, Standing};
use crate::plan::names;
use crate::plan::pattern::{self, Scope, TooLong};
use crate::plan::place::Place;
use crate::plan::shares::{Served, Share, Unserved};
use nfs_export::{PathError, SubDir};

/// Permissions of a volume's directory, whatever the umask of anybody.
const MODE: u32 = 0o777;

/// What else the decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// `PROVISIONER_NAME`
    pub provisioner: &'a str,
    /// The shares.
    pub served: &'a Served,
    /// The claim's class, by the name in [`Request::class`]; `None` where there is none of that name.
    pub class: Option<&'a Class>,
    /// A volume of the name [`names::volume`] exists.
    pub volume_exists: bool,
    /// Directories that are being deleted just now, from before the first call to the share until the store has seen the volume go.
    pub leaving: &'a [Place],
}

/// What to do about a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimPlan {
    /// Nothing, unless it changes.
    Ignore(Ignore),
    /// Nothing yet.
    Wait(Wait),
    /// Tell its owner why not.
    Refuse(Refusal),
    /// Make the directory, then the volume.
    Provision(Provision),
}

/// Why nothing is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignore {
    /// It has a volume.
    Bound,
    /// It is for another provisioner.
    Foreign,
    /// It is annotated with our name, but its class belongs to another provisioner.
    ClassOfAnother,
    /// Its volume is made, and will be bound to it.
    VolumeExists,
    /// It is being deleted.
    Deleting,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The scheduler has not chosen a node for its first consumer.
    NodeNotSelected,
    /// A directory that is, contains or lies inside the one meant is just being deleted.
    DirectoryIsLeaving(Place),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The event's message.
    pub message: String,
    /// When to look at it again.
    pub until: Until,
}

/// What has to change before asking again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The claim.
    ClaimChanges,
    /// Its class, which may also come into being.
    ClassChanges,
    /// Claim or class.
    EitherChanges,
}

/// The directory and volume to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provision {
    /// The volume's name.
    pub volume: String,
    /// Where.
    pub share: Share,
    /// The directory on it.
    pub dir: SubDir,
    /// The directory's permissions, exactly.
    pub mode: u32,
}

/// Why a claim that is ours gets no volume. Displayed as the last part of the event's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("claim Selector is not supported")]
    Selector,
    #[error(
        "filling a volume from {0} is not supported by this provisioner, and an empty one is not what was asked for; \
         remove dataSource and dataSourceRef from the claim and copy the data in with a Job, or choose a class whose driver can do it"
    )]
    DataSource(Box<str>),
    #[error(
        "the class is wrong: {0}; parameters cannot be edited, so delete the class and create it anew"
    )]
    Class(#[from] ClassError),
    #[error(
        "there is no such class; create it, or create the claim anew with the name of one that exists (kubectl get storageclass)"
    )]
    NoClass,
    #[error("the claim names no class; create it anew with spec.storageClassName")]
    Unnamed,
    #[error(
        "pathPattern \"{pattern}\" gives {result:?} for this claim: {why}; change the labels or annotations that the pattern uses, or the class"
    )]
    Pattern {
        pattern: Box<str>,
        result: String,
        why: Misplaced,
    },
    #[error(
        "pathPattern \"{0}\": {1}; change the labels or annotations that it uses, or the class"
    )]
    Endless(Box<str>, TooLong),
    #[error("directory {0:?}: {1}; give the claim a shorter name, or the class a pathPattern")]
    Directory(String, Misplaced),
}

/// Why a directory is not one for a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Misplaced {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Share(#[from] Unserved),
    #[error("the folder {} belongs to the provisioner", names::HIDDEN)]
    Hidden,
}

/// Decides about one claim.
pub fn decide(claim: &Claim, around: &Surroundings<'_>) -> ClaimPlan {
    let request = match &claim.standing {
        Standing::Bound => return ClaimPlan::Ignore(Ignore::Bound),
        Standing::Foreign => return ClaimPlan::Ignore(Ignore::Foreign),
        Standing::Wanting(request) => request,
    };
    if request.deleting {
        return ClaimPlan::Ignore(Ignore::Deleting);
    }
    if around.volume_exists {
        return ClaimPlan::Ignore(Ignore::VolumeExists);
    }
    let class_name = request.class.as_deref().unwrap_or_default();
    let Some(class) = around.class else {
        let reason = if class_name.is_empty() {
            Reason::Unnamed
        } else {
            Reason::NoClass
        };
        return ClaimPlan::Refuse(reason.refuse(class_name));
    };
    if *class.provisioner != *around.provisioner {
        return ClaimPlan::Ignore(Ignore::ClassOfAnother);
    }
    if class.wait_for_first_consumer && !request.node_selected {
        return ClaimPlan::Wait(Wait::NodeNotSelected);
    }
    if request.block {
        return ClaimPlan::Refuse(Refusal::block(around.provisioner));
    }
    match provision(claim, request, class, around.served) {
        Err(reason) => ClaimPlan::Refuse(reason.refuse(class_name)),
        Ok(provision) => match leaving(&provision, around.leaving) {
            Some(place) => ClaimPlan::Wait(Wait::DirectoryIsLeaving(place.clone())),
            None => ClaimPlan::Provision(provision),
        },
    }
}

fn provision(
    claim: &Claim,
    request: &Request,
    class: &Class,
    served: &Served,
) -> Result<Provision, Reason> {
    if request.selector {
        return Err(Reason::Selector);
    }
    if let Some(source) = &request.data_source {
        return Err(Reason::DataSource(source.clone()));
    }
    let share = served.chosen_by(class.params.share.as_ref().map_err(Clone::clone)?);
    let volume = names::volume(&claim.uid);
    let dir = directory(claim, request, class, &volume, served, &share)?;
    Ok(Provision {
        volume,
        share,
        dir,
        mode: MODE,
    })
}

fn directory(
    claim: &Claim,
    request: &Request,
    class: &Class,
    volume: &str,
    served: &Served,
    share: &Share,
) -> Result<SubDir, Reason> {
    if let Some(pattern) = &class.params.path_pattern {
        let scope = Scope {
            namespace: &claim.namespace,
            name: &claim.name,
            labels: &request.labels,
            annotations: &request.annotations,
        };
        let result = pattern::expand(pattern, &scope)
            .map_err(|why| Reason::Endless(pattern.clone(), why))?;
        if !result.is_empty() {
            return placed(&result, served, share).map_err(|why| Reason::Pattern {
                pattern: pattern.clone(),
                result: shorten(result),
                why,
            });
        }
    }
    let text = names::default_directory(&claim.namespace, &claim.name, volume);
    placed(&text, served, share).map_err(|why| Reason::Directory(shorten(text), why))
}

fn placed(text: &str, served: &Served, share: &Share) -> Result<SubDir, Misplaced> {
    let dir = SubDir::parse(text)?;
    if names::is_hidden(&dir) {
        return Err(Misplaced::Hidden);
    }
    served.guard(&share.place(&dir))?;
    Ok(dir)
}

fn leaving<'a>(provision: &Provision, leaving: &'a [Place]) -> Option<&'a Place> {
    let place = provision.share.place(&provision.dir);
    leaving
        .iter()
        .find(|other| other.relation(&place).is_some())
}

/// An event's message has room for 1,024 bytes, and the cure stands at its end.
fn shorten(mut text: String) -> String {
    const ROOM: usize = 200;
    if text.len() > ROOM {
        text.truncate(text.floor_char_boundary(ROOM));
        text.push('…');
    }
    text
}

// === impl Refusal ===

impl Refusal {
    /// The library says it in these words, without the class.
    fn block(provisioner: &str) -> Self {
        Self {
            message: format!("{provisioner} does not support block volume provisioning"),
            until: Until::ClaimChanges,
        }
    }
}

// === impl Reason ===

impl Reason {
    fn refuse(self, class: &str) -> Refusal {
        let message = format!("failed to provision volume with StorageClass \"{class}\": {self}");
        Refusal {
            message,
            until: self.until(),
        }
    }

    fn until(&self) -> Until {
        match self {
            Self::Selector | Self::DataSource(_) | Self::Unnamed => Until::ClaimChanges,
            Self::Class(_) | Self::NoClass => Until::ClassChanges,
            Self::Pattern { .. } | Self::Endless(..) | Self::Directory(..) => Until::EitherChanges,
        }
    }
}

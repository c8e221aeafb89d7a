//! What this process may do, asked before it is done.
//!
//! One SelfSubjectAccessReview for each verb; any authenticated user may ask (`system:basic-user`). Everything the process needs is
//! in the Go provisioner's RBAC; what it only likes to have is left off, with one log line, where the answer is no.
//! Refused here: trying a request to see whether it is forbidden.

use std::fmt;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};
use tracing::{info, warn};

/// Questions in flight at most.
const AT_ONCE: usize = 8;

/// The API server's answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// The lock may be a Lease: get, create and update in the lock's namespace.
    pub leases: bool,
    /// What may be done with the Go provisioner's lock, an Endpoints object in the same place.
    pub old_lock: OldLock,
    /// How a finalizer can be taken off a PersistentVolume; `None`: not at all, so none is put on.
    pub volume_finalizer: Option<Write>,
    /// Events may be written.
    pub events: bool,
    /// What the work itself needs and the rules do not allow.
    pub missing: Vec<Permission>,
}

/// What may be done with the Endpoints object that the Go provisioner locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OldLock {
    /// Not even read.
    #[default]
    Hidden,
    /// Read, so that its holder is respected.
    Readable,
    /// Read, created and updated: it can be the lock.
    Usable,
}

/// How an existing object can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// By `patch`, the cheaper one.
    Patch,
    /// By `update`.
    Update,
}

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Permission {
    /// API group, empty for core.
    pub group: &'static str,
    /// Plural, as in RBAC.
    pub resource: &'static str,
    /// Verb, as in RBAC.
    pub verb: &'static str,
    /// `None`: in all namespaces, or a resource without any.
    pub namespace: Option<String>,
    /// The one object it is about, so that rules for just that one (`resourceNames`) count. Never for `create`: there RBAC knows no name.
    pub name: Option<String>,
}

/// Where the lock is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockAt {
    /// Namespace of the lock object.
    pub namespace: String,
    /// Its name: `plan::names::lock`.
    pub name: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("asking for {permission}")]
pub struct Error {
    /// What was asked.
    pub permission: Permission,
    /// What came back.
    #[source]
    pub source: kube::Error,
}

/// The Go provisioner's ClusterRole, as far as it is used here.
const NEEDED: [(&str, &str, &[&str]); 4] = [
    ("", "persistentvolumeclaims", &["list", "watch"]),
    (
        "",
        "persistentvolumes",
        &["get", "list", "watch", "create", "delete"],
    ),
    ("storage.k8s.io", "storageclasses", &["list", "watch"]),
    ("", "events", &["create", "patch"]),
];
/// Its Role for the lock.
const LOCK: (&str, &str, &[&str]) = ("", "endpoints", &["get", "create", "update"]);
const LEASES: (&str, &str, &[&str]) = (
    "coordination.k8s.io",
    "leases",
    &["get", "create", "update"],
);
const VOLUMES: (&str, &str, &[&str]) = ("", "persistentvolumes", &["patch", "update"]);

// === impl Access ===

impl Access {
    /// Exactly the Go provisioner's rules: what is assumed where the question itself is refused.
    pub fn of_go() -> Self {
        Self {
            old_lock: OldLock::Usable,
            events: true,
            ..Self::default()
        }
    }

    /// Asks for everything; about 20 small requests. `lock`: where it is; `None`: there is none, and its rules are not asked for.
    ///
    /// An API server that knows no such question gives [`Access::of_go`].
    ///
    /// # Errors
    /// The API server was not reached, is in trouble, or refuses the question ([`Error::is_refusal`]): ask again.
    pub async fn ask(client: &Client, lock: Option<&LockAt>) -> Result<Self, Error> {
        let answers = stream::iter(questions(lock))
            .map(|permission| ask_one(client, permission))
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await;
        match answers {
            Ok(answers) => Ok(Self::of_answers(&answers)),
            Err(Error {
                source: kube::Error::Api(status),
                ..
            }) if is_final(status.code) => {
                info!(
                    code = status.code,
                    "access reviews not known, going by the known rules only"
                );
                Ok(Self::of_go())
            }
            Err(error) => Err(error),
        }
    }

    fn of_answers(answers: &[(Permission, bool)]) -> Self {
        let allowed = |(group, resource, _): (&str, &str, &[&str]), verb: &str| {
            answers.iter().any(|(p, yes)| {
                *yes && p.group == group && p.resource == resource && p.verb == verb
            })
        };
        let is_needed = |p: &Permission| {
            NEEDED
                .iter()
                .chain([&LOCK])
                .any(|(g, r, verbs)| p.group == *g && p.resource == *r && verbs.contains(&p.verb))
        };
        let leases = LEASES.2.iter().all(|verb| allowed(LEASES, verb));
        let old_lock = match LOCK.2.iter().all(|verb| allowed(LOCK, verb)) {
            true => OldLock::Usable,
            false if allowed(LOCK, "get") => OldLock::Readable,
            false => OldLock::Hidden,
        };
        let missing = answers
            .iter()
            .filter(|(permission, yes)| {
                !yes && is_needed(permission) && !(leases && is_lock(permission))
            })
            .map(|(permission, _)| permission.clone())
            .collect();
        let volume_finalizer = [("patch", Write::Patch), ("update", Write::Update)]
            .into_iter()
            .find_map(|(verb, write)| allowed(VOLUMES, verb).then_some(write));
        let events = allowed(("", "events", &[]), "create");
        Self {
            leases,
            old_lock,
            volume_finalizer,
            events,
            missing,
        }
    }

    /// One line for each extra that is left off, and one for each rule that is missing; once after a change. `locks`: whether there is to be a lock.
    pub fn log(&self, locks: bool) {
        if locks && !self.leases {
            info!(missing = %rule(&LEASES), instead = "Endpoints", "lease lock left off");
        }
        if self.volume_finalizer.is_none() {
            info!(missing = %rule(&VOLUMES), "volume finalizer left off");
        }
        for permission in &self.missing {
            warn!(missing = %permission, cure = "add it to the service account's role", "permission missing");
        }
    }
}

fn is_lock(permission: &Permission) -> bool {
    permission.resource == LOCK.1
}

fn rule((group, resource, verbs): &(&str, &str, &[&str])) -> String {
    let dot = if group.is_empty() { "" } else { "." };
    format!("{} on {resource}{dot}{group}", verbs.join(", "))
}

fn questions(lock: Option<&LockAt>) -> Vec<Permission> {
    let cluster = NEEDED.iter().chain([&VOLUMES]).map(|rule| (rule, None));
    let local = lock
        .into_iter()
        .flat_map(|lock| [&LOCK, &LEASES].map(|rule| (rule, Some(lock))));
    cluster
        .chain(local)
        .flat_map(|(&(group, resource, verbs), lock)| {
            verbs.iter().map(move |&verb| Permission {
                group,
                resource,
                verb,
                namespace: lock.map(|lock| lock.namespace.clone()),
                name: lock
                    .filter(|_| verb != "create")
                    .map(|lock| lock.name.clone()),
            })
        })
        .collect()
}

async fn ask_one(client: &Client, permission: Permission) -> Result<(Permission, bool), Error> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(permission.group.to_owned()),
                resource: Some(permission.resource.to_owned()),
                verb: Some(permission.verb.to_owned()),
                namespace: permission.namespace.clone(),
                name: permission.name.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    match api.create(&PostParams::default(), &review).await {
        Ok(answer) => Ok((
            permission,
            answer.status.is_some_and(|status| status.allowed),
        )),
        Err(source) => Err(Error { permission, source }),
    }
}

/// Whether asking again gives the same answer. A server that has just started forbids everything until it has read its own rules.
fn is_final(code: u16) -> bool {
    matches!(code, 400..=499) && !matches!(code, 401 | 403 | 408 | 429)
}

// === impl Error ===

impl Error {
    /// The question itself was forbidden: for good, or by a server that has just started.
    pub fn is_refusal(&self) -> bool {
        matches!(&self.source, kube::Error::Api(status) if status.code == 403)
    }
}

// === impl Permission ===

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rule(&(self.group, self.resource, &[self.verb])))?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::StatusCode;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::double::{self, mk_client};

    fn mk_lock() -> LockAt {
        LockAt {
            namespace: "storage".to_owned(),
            name: "our-lock".to_owned(),
        }
    }

    /// What an API server with these rules (`verb resource`) answers.
    async fn asked(rules: &'static [&'static str]) -> Access {
        let (client, _log) = mk_client(move |asked| async move {
            let wanted = &asked.body["spec"]["resourceAttributes"];
            let text = |field: &str| wanted[field].as_str().unwrap_or_default().to_owned();
            let wanted = format!("{} {}", text("verb"), text("resource"));
            let mut review = asked.body;
            review["status"] = json!({"allowed": rules.contains(&wanted.as_str())});
            (StatusCode::CREATED, review)
        });
        Access::ask(&client, Some(&mk_lock())).await.unwrap()
    }

    const GO: [&str; 14] = [
        "list persistentvolumeclaims",
        "watch persistentvolumeclaims",
        "get persistentvolumes",
        "list persistentvolumes",
        "watch persistentvolumes",
        "create persistentvolumes",
        "delete persistentvolumes",
        "list storageclasses",
        "watch storageclasses",
        "create events",
        "patch events",
        "get endpoints",
        "create endpoints",
        "update endpoints",
    ];
    const LEASES: [&str; 3] = ["get leases", "create leases", "update leases"];

    fn leaked(rules: &[&[&'static str]]) -> &'static [&'static str] {
        rules.concat().leak()
    }

    #[tokio::test]
    async fn the_go_provisioner_s_rules_are_all_that_is_needed() {
        assert_eq!(asked(&GO).await, Access::of_go());
    }

    #[tokio::test]
    async fn extras_are_taken_when_allowed() {
        let access = asked(leaked(&[
            &GO,
            &LEASES,
            &["patch persistentvolumes", "update persistentvolumes"],
        ]))
        .await;
        let all = Access {
            leases: true,
            volume_finalizer: Some(Write::Patch),
            ..Access::of_go()
        };
        assert_eq!(access, all);
        let access = asked(leaked(&[&GO, &["update persistentvolumes"]])).await;
        assert_eq!(access.volume_finalizer, Some(Write::Update));
    }

    #[tokio::test]
    async fn a_lease_that_cannot_be_created_is_no_lock() {
        assert!(
            !asked(leaked(&[&GO, &["get leases", "update leases"]]))
                .await
                .leases
        );
    }

    #[tokio::test]
    async fn without_a_lock_nothing_is_asked_about_one() {
        let (client, log) = mk_client(|asked| async move {
            let mut review = asked.body;
            review["status"] = json!({"allowed": false});
            (StatusCode::CREATED, review)
        });
        let access = Access::ask(&client, None).await.unwrap();
        assert!(!access.missing.is_empty() && !access.missing.iter().any(is_lock));
        let asked: Vec<_> = log.all();
        let about = |asked: &double::Asked| asked.body["spec"]["resourceAttributes"].clone();
        assert!(asked.iter().map(about).all(|about| {
            about["namespace"].is_null()
                && about["resource"] != "leases"
                && about["resource"] != "endpoints"
        }));
    }

    #[tokio::test]
    async fn endpoints_are_not_missed_where_leases_serve() {
        let access = asked(leaked(&[&GO[..11], &LEASES])).await;
        assert_eq!((access.missing, access.old_lock), (vec![], OldLock::Hidden));
        let access = asked(leaked(&[&GO[..12], &LEASES])).await;
        assert_eq!(
            (access.missing, access.old_lock),
            (vec![], OldLock::Readable)
        );
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_its_verb_and_place() {
        let without: Vec<_> = GO
            .into_iter()
            .filter(|rule| !matches!(*rule, "create persistentvolumes" | "get endpoints"))
            .collect();
        let missing = asked(without.leak()).await.missing;
        let said: Vec<_> = missing.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "create on persistentvolumes",
                "get on endpoints our-lock in namespace storage"
            ]
        );
    }

    /// What the roles of a file of manifests allow, one by one.
    fn allowed_by(manifests: &str) -> BTreeSet<String> {
        let words = |list: &Value| -> Vec<String> {
            let words = list.as_array().into_iter().flatten();
            words.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut allowed = BTreeSet::new();
        for object in serde_yaml_ng::Deserializer::from_str(manifests) {
            let object = Value::deserialize(object).unwrap();
            for rule in object["rules"].as_array().into_iter().flatten() {
                let mut names = words(&rule["resourceNames"]);
                if names.is_empty() {
                    names.push("*".to_owned());
                }
                for group in words(&rule["apiGroups"]) {
                    for resource in words(&rule["resources"]) {
                        for verb in words(&rule["verbs"]) {
                            let one = |name| format!("{verb} {resource}.{group} {name}");
                            allowed.extend(names.iter().map(one));
                        }
                    }
                }
            }
        }
        allowed
    }

    #[test]
    fn our_rules_allow_what_is_asked_for_and_nothing_else() {
        let rules = include_str!("../../manifests/base/rbac.yaml");
        let lock = LockAt {
            namespace: "default".to_owned(),
            name: "k8s-sigs.io-nfs-subdir-external-provisioner".to_owned(),
        };
        let asked = questions(Some(&lock)).into_iter().map(|p| {
            let name = p.name.unwrap_or_else(|| "*".to_owned());
            format!("{} {}.{} {name}", p.verb, p.resource, p.group)
        });
        assert_eq!(allowed_by(rules), asked.collect());
    }

    #[tokio::test]
    async fn the_lock_is_asked_for_by_its_name_but_where_it_is_created() {
        let (client, log) = mk_client(|asked| async move {
            let mut review = asked.body;
            review["status"] = json!({"allowed": true});
            (StatusCode::CREATED, review)
        });
        Access::ask(&client, Some(&mk_lock())).await.unwrap();
        let mut seen = 0;
        for asked in log.all() {
            let about = &asked.body["spec"]["resourceAttributes"];
            let named = about["namespace"] == "storage" && about["verb"] != "create";
            let name = if named {
                json!("our-lock")
            } else {
                Value::Null
            };
            assert_eq!(about["name"], name, "{about}");
            seen += usize::from(named);
        }
        assert_eq!(seen, 4);
    }

    #[tokio::test]
    async fn a_refused_question_means_the_known_rules_only() {
        for code in [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED] {
            let (client, _log) = mk_client(move |_| async move { double::status(code, "No") });
            assert_eq!(
                Access::ask(&client, Some(&mk_lock())).await.unwrap(),
                Access::of_go()
            );
        }
    }

    #[tokio::test]
    async fn an_api_server_in_trouble_gives_no_answer() {
        for code in [
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
        ] {
            let (client, _log) = mk_client(move |_| async move { double::status(code, "Later") });
            let error = Access::ask(&client, Some(&mk_lock())).await.unwrap_err();
            assert_eq!(error.is_refusal(), code == StatusCode::FORBIDDEN);
            assert!(error.to_string().starts_with("asking for"), "{error}");
        }
    }
}

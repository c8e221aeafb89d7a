//! Who may do what: the RBAC objects in the store, evaluated as the real authorizer does.
//!
//! Users in `system:masters` may do everything. Everybody known may review their own access and read discovery, as the
//! bootstrap roles of a real server allow.

use serde_json::{Value, json};

use super::{
    auth::User,
    object,
    request::Target,
    resources::{known, qualify},
    status::Failure,
    store::{Key, Store},
};

/// Refuses a request that the user may not make.
///
/// # Errors
/// 403, in the words of a real server.
pub(crate) fn authorize(
    store: &Store,
    user: &User,
    target: &Target,
    path: &str,
) -> Result<(), Failure> {
    if target.resource.is_empty() {
        return authorize_path(user, target, path);
    }
    if allowed(store, user, target) {
        return Ok(());
    }
    let subject = qualify(&target.resource, &target.group);
    let subject = if target.name.is_empty() {
        subject
    } else {
        format!("{subject} \"{}\"", target.name)
    };
    let place = if target.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", target.namespace)
    };
    let message = format!(
        "{subject} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
        user.name,
        target.verb,
        target.rule_resource(),
        target.group,
    );
    let mut details = json!({"kind": target.resource});
    for (field, value) in [("name", &target.name), ("group", &target.group)] {
        if !value.is_empty() {
            details[field] = value.as_str().into();
        }
    }
    Err(Failure::forbidden(message).with_details(details))
}

/// Whether the rules allow it.
pub(crate) fn allowed(store: &Store, user: &User, target: &Target) -> bool {
    if user.is_in("system:masters") {
        return true;
    }
    let own_review = target.group == "authorization.k8s.io"
        && target.resource.starts_with("selfsubject")
        && target.verb == "create";
    if own_review && user.is_in("system:authenticated") {
        return true;
    }
    let cluster_wide = bindings(store, "clusterrolebindings", "");
    let local = if target.namespace.is_empty() {
        Vec::new()
    } else {
        bindings(store, "rolebindings", &target.namespace)
    };
    cluster_wide
        .iter()
        .chain(&local)
        .filter(|binding| binds(binding, user))
        .any(|binding| {
            let rules = rules(store, binding);
            rules.iter().any(|rule| permits(rule, target))
        })
}

fn authorize_path(user: &User, target: &Target, path: &str) -> Result<(), Failure> {
    let public = ["/version", "/healthz", "/livez", "/readyz"];
    let discovery = ["/api", "/apis", "/openapi"];
    let under = |root: &&str| path == *root || path.starts_with(&format!("{root}/"));
    let may = user.is_in("system:masters")
        || public.iter().any(under)
        || (user.is_in("system:authenticated") && discovery.iter().any(under));
    if may {
        return Ok(());
    }
    let message = format!(
        "forbidden: User \"{}\" cannot {} path \"{path}\"",
        user.name, target.verb
    );
    Err(Failure::forbidden(message).with_details(json!({})))
}

fn bindings(store: &Store, plural: &str, namespace: &str) -> Vec<super::store::Object> {
    let (_, mut all) = store.list(known(plural), None, None).unwrap_or_default();
    all.retain(|binding| object::namespace(binding) == namespace);
    all
}

fn binds(binding: &Value, user: &User) -> bool {
    let subjects = binding["subjects"].as_array();
    subjects.into_iter().flatten().any(|subject| {
        let name = object::text(subject, "/name");
        match object::text(subject, "/kind") {
            "User" => name == user.name,
            "Group" => user.is_in(name),
            "ServiceAccount" => {
                let namespace = object::text(subject, "/namespace");
                user.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        }
    })
}

fn rules(store: &Store, binding: &Value) -> Vec<Value> {
    let name = object::text(binding, "/roleRef/name");
    let role = if object::text(binding, "/roleRef/kind") == "Role" {
        let key = Key::new(object::namespace(binding), name);
        store.get(known("roles"), &key)
    } else {
        store.get(known("clusterroles"), &Key::new("", name))
    };
    let rules = role.and_then(|role| role["rules"].as_array().cloned());
    rules.unwrap_or_default()
}

fn permits(rule: &Value, target: &Target) -> bool {
    let has = |field: &str, want: &str| {
        let listed = object::strings(rule, field);
        listed.iter().any(|word| word == "*" || word == want)
    };
    let names = object::strings(rule, "/resourceNames");
    let resource = target.rule_resource();
    // `*/SUBRESOURCE` means that subresource of every resource.
    let every = format!("*/{}", target.subresource);
    let resource_fits = has("/resources", &resource)
        || (!target.subresource.is_empty() && has("/resources", &every));
    has("/verbs", target.verb)
        && has("/apiGroups", &target.group)
        && resource_fits
        && (names.is_empty() || names.contains(&target.name))
}

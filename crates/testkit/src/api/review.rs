//! Requests that ask instead of store: SelfSubjectAccessReview and a service account's TokenRequest.

use serde_json::{Value, json};

use super::{
    auth::User, object, rbac, request::Target, resources::known, shared::Shared, status::Failure,
    store::Key, verbs::Body,
};

/// Answers such a request; none if it is for a stored kind.
///
/// # Errors
/// 400 for a body that is no review, 404 for a service account that is not there, 405 for verbs other than create.
pub(crate) fn answer(
    shared: &Shared,
    user: &User,
    target: &Target,
    body: Body<'_>,
) -> Option<Result<Value, Failure>> {
    let reviewing = target.group == "authorization.k8s.io"
        && target.version == "v1"
        && target.resource == "selfsubjectaccessreviews";
    let requesting = target.group.is_empty()
        && target.resource == "serviceaccounts"
        && target.subresource == "token";
    if !reviewing && !requesting {
        return None;
    }
    if target.verb != "create" {
        return Some(Err(Failure::method_not_allowed()));
    }
    let kind = if reviewing {
        "SelfSubjectAccessReview"
    } else {
        "TokenRequest"
    };
    Some(body.parse(kind).and_then(|body| {
        if reviewing {
            review(shared, user, body)
        } else {
            token(shared, target)
        }
    }))
}

fn review(shared: &Shared, user: &User, mut body: Value) -> Result<Value, Failure> {
    let asked = &body["spec"]["resourceAttributes"];
    if !asked.is_object() {
        let message =
            "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        return Err(Failure::bad_request(message));
    }
    let word = |field: &str| object::text(asked, &format!("/{field}")).to_owned();
    let verb = word("verb");
    let verbs = [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
    ];
    let verb = verbs.into_iter().find(|known| *known == verb).unwrap_or("");
    let target = Target {
        verb,
        group: word("group"),
        version: word("version"),
        resource: word("resource"),
        subresource: word("subresource"),
        namespace: word("namespace"),
        name: word("name"),
    };
    let allowed = rbac::allowed(&shared.store, user, &target);
    body["kind"] = "SelfSubjectAccessReview".into();
    body["apiVersion"] = "authorization.k8s.io/v1".into();
    body["status"] = json!({"allowed": allowed});
    Ok(body)
}

fn token(shared: &Shared, target: &Target) -> Result<Value, Failure> {
    let accounts = known("serviceaccounts");
    let key = Key::new(&target.namespace, &target.name);
    if shared.store.get(accounts, &key).is_none() {
        return Err(Failure::not_found(accounts, &target.name));
    }
    let user = User::service_account(&target.namespace, &target.name);
    let hour = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    Ok(json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": 3600},
        "status": {
            "token": shared.tokens.issue(user),
            "expirationTimestamp": jiff::Timestamp::from_second(hour.as_second())
                .unwrap_or(hour).to_string(),
        },
    }))
}

//! What tells clients which kinds there are: `/api`, `/apis`, and just enough of `/openapi/v3`.
//!
//! The OpenAPI documents hold no schemas. They list which kinds take PATCH with `fieldValidation`, which is what
//! `kubectl apply` asks before it leaves validation to the server; it then merges by its built-in types.

use serde_json::{Value, json};

use super::resources::{RESOURCES, Resource};

const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// The document at a path, if there is one. `host` is the `Host` header.
pub(crate) fn document(path: &str, host: &str) -> Option<Value> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api"] => Some(json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
        })),
        ["apis"] => {
            let groups: Vec<_> = groups().into_iter().map(group_document).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", group] => {
            let mut document = group_document(groups().into_iter().find(|g| g == group)?);
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            Some(document)
        }
        ["api", "v1"] => Some(resource_list("")),
        ["apis", group, "v1"] if groups().contains(group) => Some(resource_list(group)),
        ["openapi", "v3"] => Some(openapi_index()),
        ["openapi", "v3", "api", "v1"] => Some(openapi("")),
        ["openapi", "v3", "apis", group, "v1"] if groups().contains(group) => Some(openapi(group)),
        ["version"] => Some(json!({
            "major": "1", "minor": "35", "gitVersion": "v1.35.4", "gitCommit": "testkit",
            "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none",
            "compiler": "rustc", "platform": "linux/amd64",
        })),
        _ => None,
    }
}

/// Whether an API group is served.
pub(crate) fn has_group(group: &str) -> bool {
    group.is_empty() || groups().contains(&group)
}

fn groups() -> Vec<&'static str> {
    let mut groups: Vec<_> = RESOURCES.iter().map(|r| r.group).collect();
    groups.push("authorization.k8s.io");
    groups.retain(|group| !group.is_empty());
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn group_document(group: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/v1"), "version": "v1"});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

fn group_version(group: &str) -> String {
    if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    }
}

fn resource_list(group: &str) -> Value {
    let mut resources = Vec::new();
    for resource in RESOURCES.iter().filter(|r| r.group == group) {
        resources.push(json!({
            "name": resource.plural, "singularName": resource.singular, "kind": resource.kind,
            "namespaced": resource.namespaced, "verbs": VERBS, "shortNames": resource.short,
        }));
        if resource.status {
            resources.push(json!({
                "name": format!("{}/status", resource.plural), "singularName": "",
                "kind": resource.kind, "namespaced": resource.namespaced,
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    if group == "authorization.k8s.io" {
        resources.push(json!({
            "name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview",
            "kind": "SelfSubjectAccessReview", "namespaced": false, "verbs": ["create"],
        }));
    }
    if group.is_empty() {
        resources.push(json!({
            "name": "serviceaccounts/token", "singularName": "", "kind": "TokenRequest",
            "group": "authentication.k8s.io", "version": "v1", "namespaced": true,
            "verbs": ["create"],
        }));
    }
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group),
        "resources": resources,
    })
}

fn openapi_index() -> Value {
    let mut paths = json!({"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}});
    for group in groups() {
        let path = format!("apis/{group}/v1");
        paths[&path] = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
    }
    json!({"paths": paths})
}

fn openapi(group: &str) -> Value {
    let mut paths = json!({});
    for resource in RESOURCES.iter().filter(|r| r.group == group) {
        paths[item_path(resource)] = json!({"patch": {
            "parameters": [{
                "name": "fieldValidation", "in": "query",
                "schema": {"type": "string", "uniqueItems": true},
            }],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {
                "group": resource.group, "version": resource.version, "kind": resource.kind,
            },
        }});
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.35.4"},
        "paths": paths, "components": {"schemas": {}},
    })
}

fn item_path(resource: &Resource) -> String {
    let root = if resource.group.is_empty() {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let space = if resource.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    format!("{root}{space}/{}/{{name}}", resource.plural)
}

//! Refusals as `metav1.Status`, worded as kube-apiserver v1.35 words them.

use serde_json::{Value, json};

use super::resources::Resource;

/// A request that was refused: the code of the answer and the parts of its Status.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// HTTP status.
    pub code: u16,
    /// `metav1.StatusReason`, empty where the real server leaves it out.
    pub reason: &'static str,
    /// What the user reads.
    pub message: String,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
    details: Option<Value>,
}

/// One field that validation refuses.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    reason: &'static str,
    message: String,
    field: String,
}

// === impl Cause ===

impl Cause {
    pub(crate) fn required(field: &str, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self::new("FieldValueRequired", field, message)
    }

    pub(crate) fn forbidden(field: &str, detail: &str) -> Self {
        let message = format!("Forbidden: {detail}");
        Self::new("FieldValueForbidden", field, message)
    }

    pub(crate) fn invalid(field: &str, value: &Value, detail: &str) -> Self {
        let message = format!("Invalid value: {value}: {detail}");
        Self::new("FieldValueInvalid", field, message)
    }

    fn new(reason: &'static str, field: &str, message: String) -> Self {
        Self {
            reason,
            message,
            field: field.to_owned(),
        }
    }
}

// === impl Failure ===

impl Failure {
    /// The Status object that goes on the wire.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            body["details"] = details.clone();
        }
        body
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::of(404, "NotFound", message).about(resource, resource.plural, name)
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str, being_deleted: bool) -> Self {
        let lead = if being_deleted {
            "object is being deleted: "
        } else {
            ""
        };
        let message = format!("{lead}{} \"{name}\" already exists", resource.qualified());
        Self::of(409, "AlreadyExists", message).about(resource, resource.plural, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let subject = resource.qualified();
        let message = format!("Operation cannot be fulfilled on {subject} \"{name}\": {why}");
        Self::of(409, "Conflict", message).about(resource, resource.plural, name)
    }

    /// A conflict over a precondition names the kind where others name the resource.
    pub(crate) fn precondition(resource: &Resource, name: &str, why: &str) -> Self {
        let subject = resource.qualified_kind();
        let message = format!("Operation cannot be fulfilled on {subject} \"{name}\": {why}");
        Self::of(409, "Conflict", message).about(resource, resource.kind, name)
    }

    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        let subject = resource.qualified_kind();
        let message = format!("{subject} \"{name}\" is invalid: {}", join(causes));
        Self::of(422, "Invalid", message)
            .about(resource, resource.kind, name)
            .because(causes)
    }

    /// The one refusal of validation that names the resource where the others name the kind.
    pub(crate) fn unversioned(resource: &Resource, name: &str) -> Self {
        let field = "metadata.resourceVersion";
        let cause = Cause::invalid(field, &0.into(), "must be specified for an update");
        let subject = resource.qualified();
        let message = format!(
            "{subject} \"{name}\" is invalid: {}",
            join(std::slice::from_ref(&cause))
        );
        Self::of(422, "Invalid", message)
            .about(resource, resource.plural, name)
            .because(&[cause])
    }

    /// A patch whose result is no object of its kind.
    pub(crate) fn unfit_patch(why: &str) -> Self {
        let message = format!(" \"\" is invalid: patch: Invalid value: {why}");
        Self::of(422, "Invalid", message).with_empty_details()
    }

    /// Options of the request itself (`ListOptions`, `PatchOptions`) that do not go together.
    pub(crate) fn invalid_options(kind: &str, causes: &[Cause]) -> Self {
        let message = format!("{kind}.meta.k8s.io \"\" is invalid: {}", join(causes));
        let mut failure = Self::of(422, "Invalid", message);
        failure.details = Some(json!({"group": "meta.k8s.io", "kind": kind}));
        failure.because(causes)
    }

    pub(crate) fn unprocessable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::of(422, "Invalid", message).with_empty_details()
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::of(400, "BadRequest", message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::of(403, "Forbidden", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::of(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::of(404, "NotFound", message).with_empty_details()
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::of(405, "MethodNotAllowed", message).with_empty_details()
    }

    pub(crate) fn not_acceptable() -> Self {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/json;stream=watch";
        Self::of(406, "NotAcceptable", message).with_empty_details()
    }

    pub(crate) fn unsupported_body() -> Self {
        let message = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml";
        Self::of(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn unsupported_patch() -> Self {
        let message = "415: Unsupported Media Type";
        Self::of(415, "UnsupportedMediaType", message).with_empty_details()
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::of(413, "RequestEntityTooLarge", message).with_empty_details()
    }

    pub(crate) fn too_old(asked: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::of(410, "Expired", message)
    }

    pub(crate) fn list_too_old(continued: bool) -> Self {
        let message = if continued {
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter."
        } else {
            "The resourceVersion for the provided list is too old."
        };
        Self::of(410, "Expired", message)
    }

    pub(crate) fn from_the_future(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut failure = Self::of(504, "Timeout", message);
        failure.details = Some(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }));
        failure
    }

    pub(crate) fn too_many_requests(retry_after: u32) -> Self {
        let message = "too many requests, please try again later";
        let mut failure = Self::of(429, "TooManyRequests", message);
        failure.retry_after = Some(retry_after);
        failure.details = Some(json!({"retryAfterSeconds": retry_after}));
        failure
    }

    pub(crate) fn internal(why: &str) -> Self {
        let message = format!("Internal error occurred: {why}");
        let mut failure = Self::of(500, "InternalError", message);
        failure.details = Some(json!({"causes": [{"message": why}]}));
        failure
    }

    pub(crate) fn unavailable() -> Self {
        let message = "the server is currently unable to handle the request";
        Self::of(503, "ServiceUnavailable", message).with_empty_details()
    }

    /// Says what the refusal is about; `kind` is the plural or the kind, as the real server has it.
    pub(crate) fn about(mut self, resource: &Resource, kind: &str, name: &str) -> Self {
        let mut details = json!({"kind": kind});
        if !name.is_empty() {
            details["name"] = name.into();
        }
        if !resource.group.is_empty() {
            details["group"] = resource.group.into();
        }
        self.details = Some(details);
        self
    }

    pub(crate) fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    fn of(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            retry_after: None,
            details: None,
        }
    }

    fn because(mut self, causes: &[Cause]) -> Self {
        let causes: Vec<_> = causes
            .iter()
            .map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}))
            .collect();
        let details = self.details.get_or_insert_with(|| json!({}));
        details["causes"] = causes.into();
        self
    }

    fn with_empty_details(mut self) -> Self {
        self.details = Some(json!({}));
        self
    }
}

fn join(causes: &[Cause]) -> String {
    let all: Vec<_> = causes
        .iter()
        .map(|c| format!("{}: {}", c.field, c.message))
        .collect();
    match all.as_slice() {
        [one] => one.clone(),
        _ => format!("[{}]", all.join(", ")),
    }
}

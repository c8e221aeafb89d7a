//! The four kinds of PATCH body, applied to an object as JSON.
//!
//! Server-side apply is simplified: it creates the object or merges the given fields into it. It keeps no field owners, so
//! it neither finds conflicts nor removes a field that an applier no longer names.

mod strategic;

use serde_json::Value;

use super::status::{Cause, Failure};

/// A PATCH body, read by its content type.
#[derive(Debug)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

// === impl Patch ===

impl Patch {
    /// Reads a body.
    ///
    /// # Errors
    /// 415 for a content type that is none of the four, 400 for a body that does not parse.
    pub(crate) fn parse(content_type: &str, body: &[u8]) -> Result<Self, Failure> {
        let json = || {
            serde_json::from_slice::<Value>(body)
                .map_err(|why| Failure::bad_request(format!("error decoding patch: {why}")))
        };
        match content_type {
            "application/json-patch+json" => serde_json::from_slice(body)
                .map(Self::Json)
                .map_err(|why| Failure::bad_request(format!("error decoding patch: {why}"))),
            "application/merge-patch+json" => json().map(Self::Merge),
            "application/strategic-merge-patch+json" => json().map(Self::Strategic),
            "application/apply-patch+yaml" => serde_yaml_ng::from_slice(body)
                .map(Self::Apply)
                .map_err(|why| Failure::bad_request(format!("error decoding YAML: {why}"))),
            _ => Err(Failure::unsupported_patch()),
        }
    }

    /// Applies it to an object.
    ///
    /// # Errors
    /// 422 when a JSON patch does not fit the object (a failed `test`, a path that is not there).
    pub(crate) fn apply(&self, object: &mut Value) -> Result<(), Failure> {
        match self {
            Self::Json(patch) => {
                json_patch::patch(object, patch).map_err(|_| Failure::unprocessable())?;
            }
            Self::Merge(patch) => json_patch::merge(object, patch),
            Self::Strategic(patch) | Self::Apply(patch) => strategic::merge(object, patch),
        }
        Ok(())
    }

    /// The object to create where an apply finds none.
    ///
    /// # Errors
    /// 422 when the request names no field manager.
    pub(crate) fn to_create(&self, field_manager: &str) -> Result<Option<&Value>, Failure> {
        let Self::Apply(object) = self else {
            return Ok(None);
        };
        if field_manager.is_empty() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Failure::invalid_options("PatchOptions", &[cause]));
        }
        Ok(Some(object))
    }
}

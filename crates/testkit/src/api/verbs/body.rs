//! Bodies of requests: JSON or YAML.

use serde_json::Value;

use crate::api::status::Failure;

/// A body as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a> {
    pub(crate) content_type: &'a str,
    pub(crate) bytes: &'a [u8],
}

// === impl Body ===

impl Body<'_> {
    /// The body as JSON, whether it came as JSON or YAML.
    ///
    /// # Errors
    /// 400 when it does not parse, 415 for any other format.
    pub(crate) fn parse(&self, kind: &str) -> Result<Value, Failure> {
        let refuse = |why: String| {
            let message = format!(
                "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; {why}"
            );
            Failure::bad_request(message)
        };
        match self.content_type {
            "" | "application/json" => serde_json::from_slice(self.bytes)
                .map_err(|why| refuse(format!("json parse error: {why}"))),
            "application/yaml" => serde_yaml_ng::from_slice(self.bytes)
                .map_err(|why| refuse(format!("yaml parse error: {why}"))),
            _ => Err(Failure::unsupported_body()),
        }
    }

    /// DeleteOptions; a missing body has none.
    pub(super) fn parse_options(&self) -> Result<Value, Failure> {
        if self.bytes.is_empty() {
            return Ok(Value::Null);
        }
        self.parse("DeleteOptions")
    }
}

//! How an answer is written: as objects, as tables for people (`kubectl get`) or as bare metadata; in JSON or YAML.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use super::{
    object,
    resources::Resource,
    status::Failure,
    store::Object,
    table::{self, Include, metadata_of},
};

/// What the Accept header and the query ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Render {
    shape: Shape,
    yaml: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Object,
    Table { include: Include },
    Metadata,
}

/// A list as it goes over the wire: its items do not repeat kind and version.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: String,
    api_version: String,
    metadata: Value,
    items: Vec<Bare<'a>>,
}

struct Bare<'a>(&'a Value);

// === impl Render ===

impl Render {
    /// Chooses the first representation of the Accept header that there is.
    ///
    /// # Errors
    /// 406 when there is none (protobuf alone, say).
    pub(crate) fn negotiate(accept: &str, include_object: &str) -> Result<Self, Failure> {
        if accept.trim().is_empty() {
            return Ok(Self::json());
        }
        let include = match include_object {
            "None" => Include::None,
            "Object" => Include::Object,
            _ => Include::Metadata,
        };
        accept
            .split(',')
            .find_map(|range| Self::of_range(range, include))
            .ok_or_else(Failure::not_acceptable)
    }

    /// Plain JSON.
    pub(crate) fn json() -> Self {
        Self {
            shape: Shape::Object,
            yaml: false,
        }
    }

    fn of_range(range: &str, include: Include) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let yaml = match parts.next()? {
            "application/json" | "application/*" | "*/*" => false,
            "application/yaml" => true,
            _ => return None,
        };
        let (mut shape, mut version) = (Shape::Object, "v1");
        for part in parts {
            match part.split_once('=')? {
                ("as", "Table") => shape = Shape::Table { include },
                ("as", "PartialObjectMetadata" | "PartialObjectMetadataList") => {
                    shape = Shape::Metadata;
                }
                // An aggregated discovery document is not served; the client's next range is.
                ("as", _) => return None,
                ("v", wanted) => version = wanted,
                _ => {}
            }
        }
        (version == "v1").then_some(Self { shape, yaml })
    }

    /// The content type to answer with.
    pub(crate) fn content_type(self) -> &'static str {
        if self.yaml {
            "application/yaml"
        } else {
            "application/json"
        }
    }

    /// One object in the shape that was asked for.
    pub(crate) fn one(self, resource: &Resource, object: &Value) -> Value {
        match self.shape {
            Shape::Object => object.clone(),
            Shape::Metadata => metadata_of(object),
            Shape::Table { include } => {
                let version = object::resource_version(object);
                let rows = [object].into_iter();
                table::table(
                    resource,
                    rows,
                    &json!({"resourceVersion": version}),
                    include,
                )
            }
        }
    }

    /// The bytes of a list in the shape that was asked for.
    pub(crate) fn many(self, resource: &Resource, items: &[Object], metadata: Value) -> Vec<u8> {
        let items = items.iter().map(AsRef::as_ref);
        match self.shape {
            Shape::Object => self.bytes(&List {
                kind: format!("{}List", resource.kind),
                api_version: resource.api_version(),
                metadata,
                items: items.map(Bare).collect(),
            }),
            Shape::Metadata => {
                let items: Vec<_> = items.map(metadata_of).collect();
                self.bytes(&json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items,
                }))
            }
            Shape::Table { include } => {
                self.bytes(&table::table(resource, items, &metadata, include))
            }
        }
    }

    /// The bytes of a body.
    pub(crate) fn bytes<T: Serialize>(self, body: &T) -> Vec<u8> {
        if self.yaml {
            return serde_yaml_ng::to_string(body)
                .unwrap_or_default()
                .into_bytes();
        }
        serde_json::to_vec(body).unwrap_or_default()
    }
}

// === impl Bare ===

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (field, value) in self.0.as_object().into_iter().flatten() {
            if field != "kind" && field != "apiVersion" {
                map.serialize_entry(field, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_representation_that_exists_is_taken() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let shape = |accept| Render::negotiate(accept, "").map(|r| r.shape).ok();
        let include = Include::Metadata;
        for (accept, expected) in [
            ("", Some(Shape::Object)),
            ("*/*", Some(Shape::Object)),
            (table, Some(Shape::Table { include })),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Some(Shape::Object),
            ),
            ("application/vnd.kubernetes.protobuf", None),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
                Some(Shape::Object),
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some(Shape::Metadata),
            ),
        ] {
            assert_eq!(shape(accept), expected, "{accept}");
        }
    }
}

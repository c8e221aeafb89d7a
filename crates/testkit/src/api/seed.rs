//! What is there from the start, and what a test puts there past the front door.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    admission::{self, Intake},
    object,
    resources::{self, known},
    status::Failure,
    store::{Key, Store, Transaction},
    verbs,
};

/// Why a YAML text was not applied.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The text does not parse.
    #[error("the text is no YAML")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// A document is of a kind that this server does not have.
    #[error("kind {kind} of {api_version:?} is not served")]
    UnknownKind {
        /// `apiVersion` of the document.
        api_version: String,
        /// `kind` of the document.
        kind: String,
    },
    /// A document was refused as a request would be.
    #[error("{kind} {name} was refused")]
    Refused {
        /// `kind` of the document.
        kind: String,
        /// `metadata.name` of the document.
        name: String,
        /// Why.
        source: Box<Failure>,
    },
}

/// The namespaces of a new cluster.
pub(crate) fn namespaces(store: &Store) {
    let namespaces = known("namespaces");
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let value = json!({"metadata": {"name": name}});
        let made = store.transact(|tx| put(tx, namespaces, value, false));
        if let Err(why) = made {
            tracing::error!(error = &why as &dyn std::error::Error, "namespace not made");
        }
    }
}

/// See [`super::Server::apply_yaml`].
pub(crate) fn apply(store: &Store, text: &str, protect: bool) -> Result<(), SeedError> {
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value = Value::deserialize(document)?;
        if value.is_null() {
            continue;
        }
        let api_version = object::text(&value, "/apiVersion").to_owned();
        let kind = object::text(&value, "/kind").to_owned();
        let name = object::name(&value).to_owned();
        let Some(resource) = resources::of_kind(&api_version, &kind) else {
            return Err(SeedError::UnknownKind { api_version, kind });
        };
        let made = store.transact(|tx| put(tx, resource, value, protect));
        made.map_err(|source| SeedError::Refused {
            kind,
            name,
            source: Box::new(source),
        })?;
    }
    Ok(())
}

fn put(
    tx: &mut Transaction<'_>,
    resource: &'static resources::Resource,
    value: Value,
    protect: bool,
) -> Result<(), Failure> {
    let mut value = admission::decode(resource, value, false)?;
    let namespace = match object::namespace(&value) {
        _ if !resource.namespaced => "",
        "" => "default",
        namespace => namespace,
    };
    let key = Key::new(namespace, object::name(&value));
    if let Some(held) = tx.get(resource, &key) {
        if resource.namespaced {
            let namespace = key.namespace.as_str();
            object::set(&mut value, &["metadata", "namespace"], namespace.into());
        }
        let new = admission::update(resource, "", &held, value)?;
        verbs::store_or_finish(tx, resource, new);
    } else {
        let value = admission::create(tx, resource, &key.namespace, value, Intake { protect })?;
        tx.put(resource, value);
    }
    Ok(())
}

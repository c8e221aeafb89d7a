//! Lists: pages, and the resourceVersion that each is true at.
//!
//! A continue token holds the version of the first page and the last key that was sent, so that all pages show one moment.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    request::Query,
    resources::Resource,
    select::Selector,
    status::{Cause, Failure},
    store::{Key, Object, Store},
};

#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    rv: u64,
    namespace: String,
    name: String,
}

/// The items of a list and its metadata.
///
/// # Errors
/// 400 for parameters that do not parse or do not go together, 410 for a moment that is compacted, 504 for one to come.
pub(crate) fn run(
    store: &Store,
    resource: &Resource,
    namespace: &str,
    query: &Query,
) -> Result<(Vec<Object>, Value), Failure> {
    let selector = Selector::parse(resource, namespace, query)?;
    let limit = number(query, "limit")?.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let (at, start) = moment(store, query)?;
    let (at, mut items) = store.list(resource, at, start.as_ref())?;
    items.retain(|item| selector.matches(item));
    let mut metadata = json!({"resourceVersion": at.to_string()});
    if items.len() > limit {
        let left = items.len() - limit;
        items.truncate(limit);
        if let Some(last) = items.last() {
            metadata["continue"] = Continue::after(at, &Key::of(last)).encode().into();
        }
        // With a selector the real server does not count what is left.
        if query.get("labelSelector").is_empty() && query.get("fieldSelector").is_empty() {
            metadata["remainingItemCount"] = left.into();
        }
    }
    Ok((items, metadata))
}

/// A `resourceVersion` as a number; none if it is empty.
///
/// # Errors
/// 400 if it is no number.
pub(crate) fn version(query: &Query) -> Result<Option<u64>, Failure> {
    let text = query.get("resourceVersion");
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Failure::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

/// The version to list at (none for now) and the key to start after.
fn moment(store: &Store, query: &Query) -> Result<(Option<u64>, Option<Key>), Failure> {
    let asked = version(query)?;
    let rule = query.get("resourceVersionMatch");
    let token = query.get("continue");
    if !token.is_empty() {
        if asked.is_some_and(|version| version != 0) {
            let message = "specifying resource version is not allowed when using continue";
            return Err(Failure::bad_request(message));
        }
        let Continue {
            rv,
            namespace,
            name,
        } = Continue::decode(token)?;
        return Ok((Some(rv), Some(Key { namespace, name })));
    }
    if !rule.is_empty() && asked.is_none() {
        let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        let cause = Cause::forbidden("resourceVersionMatch", detail);
        return Err(Failure::invalid_options("ListOptions", &[cause]));
    }
    match asked {
        Some(exact) if rule == "Exact" => Ok((Some(exact), None)),
        Some(at_least) if at_least > store.version() => {
            Err(Failure::from_the_future(at_least, store.version()))
        }
        _ => Ok((None, None)),
    }
}

/// A number of the query; none if it is empty.
pub(crate) fn number(query: &Query, key: &str) -> Result<Option<u64>, Failure> {
    let text = query.get(key);
    if text.is_empty() {
        return Ok(None);
    }
    let refuse = |_| {
        Failure::bad_request(format!(
            "strconv.ParseInt: parsing {text:?}: invalid syntax"
        ))
    };
    text.parse().map(Some).map_err(refuse)
}

// === impl Continue ===

impl Continue {
    fn after(rv: u64, key: &Key) -> Self {
        Self {
            rv,
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!(self).to_string())
    }

    fn decode(token: &str) -> Result<Self, Failure> {
        let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        serde_json::from_slice(&bytes).map_err(|why| {
            Failure::bad_request(format!(
                "invalid continue token: continue key is not valid: {why}"
            ))
        })
    }
}

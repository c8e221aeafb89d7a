//! Bodies: known fields of the right type and nothing else, as the real server keeps them.

use serde_json::Value;

use crate::api::{object, resources::Resource, status::Failure, validate};

/// Reads a body as an object of a kind, known fields only.
///
/// # Errors
/// 400 for another kind, wrong types, and (if strict) unknown fields.
pub(crate) fn decode(resource: &Resource, mut body: Value, strict: bool) -> Result<Value, Failure> {
    let kind = resource.kind;
    let version = resource.version;
    let cannot = |why: String| {
        let message =
            format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}");
        Failure::bad_request(message)
    };
    if !body.is_object() {
        return Err(cannot("the body is no object".to_owned()));
    }
    let said = object::text(&body, "/kind");
    let said_version = object::text(&body, "/apiVersion");
    if (!said.is_empty() && said != kind)
        || (!said_version.is_empty() && said_version != resource.api_version())
    {
        let message = format!(
            "{said} in version \"{said_version}\" cannot be handled as a {kind}: converting to {kind}: unknown conversion"
        );
        return Err(Failure::bad_request(message));
    }
    body["kind"] = kind.into();
    body["apiVersion"] = resource.api_version().into();
    check_micro_times(&body).map_err(cannot)?;
    object::unset(&mut body, &["metadata", "managedFields"]);
    let asked = strict.then(|| body.clone());
    let mut decoded = resource
        .decode(body)
        .map_err(|why| cannot(format!("json: {why}")))?;
    if let Some(field) = asked.and_then(|asked| unknown_field(&asked, &decoded, "")) {
        return Err(cannot(format!(
            "strict decoding error: unknown field \"{field}\""
        )));
    }
    drop_zero_values(&mut decoded);
    Ok(decoded)
}

/// What Go's `omitempty` leaves out.
fn drop_zero_values(value: &mut Value) {
    let empty = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null => true,
        _ => false,
    };
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.retain(|_, field| !empty(field));
    }
    if value.pointer("/spec/nfs/readOnly") == Some(&Value::Bool(false)) {
        object::unset(value, &["spec", "nfs", "readOnly"]);
    }
}

fn check_micro_times(body: &Value) -> Result<(), String> {
    for pointer in ["/spec/acquireTime", "/spec/renewTime", "/eventTime"] {
        let time = object::text(body, pointer);
        if !time.is_empty() && !validate::is_micro_time(time) {
            return Err(format!(
                "parsing time {time:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse"
            ));
        }
    }
    Ok(())
}

/// The path of a field that was sent and is not known.
fn unknown_field(sent: &Value, known: &Value, path: &str) -> Option<String> {
    match (sent, known) {
        (Value::Object(sent), Value::Object(known)) => sent.iter().find_map(|(field, value)| {
            let path = if path.is_empty() {
                field.clone()
            } else {
                format!("{path}.{field}")
            };
            match known.get(field) {
                Some(known) => unknown_field(value, known, &path),
                None if value.is_null() => None,
                None => Some(path),
            }
        }),
        (Value::Array(sent), Value::Array(known)) => {
            let pairs = sent.iter().zip(known).enumerate();
            pairs
                .into_iter()
                .find_map(|(i, (sent, known))| unknown_field(sent, known, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

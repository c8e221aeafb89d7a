//! Label and field selectors of lists, watches and collection deletes.
//!
//! Labels: equality, sets (`in`, `notin`) and existence. Fields: equality on the fields that a kind allows.

use serde_json::Value;

use super::{object, request::Query, resources::Resource, status::Failure};

/// What a list, a watch or a collection delete is narrowed to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    /// Empty for all namespaces.
    pub(crate) namespace: String,
    labels: Vec<LabelRule>,
    fields: Vec<FieldRule>,
}

#[derive(Debug, Clone)]
enum LabelRule {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

#[derive(Debug, Clone)]
struct FieldRule {
    field: String,
    value: String,
    equal: bool,
}

// === impl Selector ===

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// 400 when one does not parse, or names a field that the kind does not offer.
    pub(crate) fn parse(
        resource: &Resource,
        namespace: &str,
        query: &Query,
    ) -> Result<Self, Failure> {
        let labels = split_outside_parentheses(query.get("labelSelector"))
            .map(LabelRule::parse)
            .collect::<Result<_, _>>()?;
        let fields = query.get("fieldSelector").split(',');
        let fields = fields
            .filter(|rule| !rule.is_empty())
            .map(|rule| FieldRule::parse(resource, rule))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            namespace: namespace.to_owned(),
            labels,
            fields,
        })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        (self.namespace.is_empty() || self.namespace == object::namespace(object))
            && self.labels.iter().all(|rule| rule.matches(object))
            && self.fields.iter().all(|rule| rule.matches(object))
    }
}

// === impl LabelRule ===

impl LabelRule {
    fn parse(rule: &str) -> Result<Self, Failure> {
        let rule = rule.trim();
        let parsed = if let Some((key, set)) = split_set(rule, " notin ") {
            Self::NotIn(key, set)
        } else if let Some((key, set)) = split_set(rule, " in ") {
            Self::In(key, set)
        } else if let Some((key, value)) = rule.split_once("!=") {
            Self::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()])
        } else if let Some((key, value)) = rule.split_once("==").or(rule.split_once('=')) {
            Self::In(key.trim().to_owned(), vec![value.trim().to_owned()])
        } else if let Some(key) = rule.strip_prefix('!') {
            Self::Missing(key.trim().to_owned())
        } else {
            Self::Exists(rule.to_owned())
        };
        let key = parsed.key();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if key.is_empty() || !key.chars().all(fits) {
            let message =
                format!("unable to parse requirement: found '{rule}', expected: identifier");
            return Err(Failure::bad_request(message));
        }
        Ok(parsed)
    }

    fn key(&self) -> &str {
        match self {
            Self::In(key, _) | Self::NotIn(key, _) | Self::Exists(key) | Self::Missing(key) => key,
        }
    }

    fn matches(&self, object: &Value) -> bool {
        let label = object["metadata"]["labels"]
            .get(self.key())
            .and_then(Value::as_str);
        match self {
            Self::In(_, set) => label.is_some_and(|label| set.iter().any(|v| v == label)),
            Self::NotIn(_, set) => label.is_none_or(|label| set.iter().all(|v| v != label)),
            Self::Exists(_) => label.is_some(),
            Self::Missing(_) => label.is_none(),
        }
    }
}

// === impl FieldRule ===

impl FieldRule {
    fn parse(resource: &Resource, rule: &str) -> Result<Self, Failure> {
        let parts = rule
            .split_once("!=")
            .map(|(field, value)| (field, value, false))
            .or_else(|| rule.split_once("==").map(|(f, v)| (f, v, true)))
            .or_else(|| rule.split_once('=').map(|(f, v)| (f, v, true)));
        let Some((field, value, equal)) = parts else {
            let message = format!("invalid selector: '{rule}'; can't understand '{rule}'");
            return Err(Failure::bad_request(message));
        };
        let common = ["metadata.name", "metadata.namespace"];
        if !common.contains(&field) && !resource.fields.contains(&field) {
            return Err(unknown_field(resource, field));
        }
        Ok(Self {
            field: field.to_owned(),
            value: value.to_owned(),
            equal,
        })
    }

    fn matches(&self, object: &Value) -> bool {
        // The selector `source` of an event means the component in it.
        let field = match self.field.as_str() {
            "source" => "source.component",
            other => other,
        };
        let mut at = object;
        for step in field.split('.') {
            at = &at[step];
        }
        let held = match at {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        (held == self.value) == self.equal
    }
}

fn unknown_field(resource: &Resource, field: &str) -> Failure {
    // Kinds with fields of their own have a conversion that words it differently.
    if resource.fields.is_empty() {
        let known = "\"metadata.name\", \"metadata.namespace\"";
        let message = format!("\"{field}\" is not a known field selector: only {known}");
        Failure::bad_request(message)
    } else {
        Failure::bad_request(format!("field label not supported: {field}"))
    }
}

fn split_set(rule: &str, word: &str) -> Option<(String, Vec<String>)> {
    let (key, set) = rule.split_once(word)?;
    let set = set.trim().strip_prefix('(')?.strip_suffix(')')?;
    let values = set.split(',').map(|v| v.trim().to_owned()).collect();
    Some((key.trim().to_owned(), values))
}

fn split_outside_parentheses(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .filter(|rule| !rule.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::resources;

    fn mk_object() -> Value {
        json!({"metadata": {"name": "a", "namespace": "n", "labels": {"app": "web", "x.io/tier": "1"}}})
    }

    fn matches(query: &str) -> bool {
        let query = Query::parse(query);
        Selector::parse(resources::known("configmaps"), "", &query)
            .unwrap()
            .matches(&mk_object())
    }

    #[test]
    fn label_rules_select_by_equality_set_and_existence() {
        for (selector, expected) in [
            ("app=web", true),
            ("app==web", true),
            ("app%3Dweb,x.io/tier=1", true),
            ("app=web,x.io/tier=2", false),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (api, web)", true),
            ("app notin (api,web)", false),
            ("app", true),
            ("!app", false),
            ("!other", true),
        ] {
            let query = format!("labelSelector={}", selector.replace(' ', "%20"));
            assert_eq!(matches(&query), expected, "{selector}");
        }
    }

    #[test]
    fn field_rules_select_by_name_and_namespace() {
        assert!(matches("fieldSelector=metadata.name%3Da"));
        assert!(!matches("fieldSelector=metadata.name=b"));
        assert!(matches("fieldSelector=metadata.namespace!=b"));
    }

    #[test]
    fn unknown_field_is_a_bad_request() {
        let query = Query::parse("fieldSelector=spec.volumeName=x");
        let pvc = resources::known("persistentvolumeclaims");
        let refused = Selector::parse(pvc, "", &query).unwrap_err();
        assert_eq!(refused.code, 400);
        assert_eq!(
            refused.message,
            "\"spec.volumeName\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
    }
}

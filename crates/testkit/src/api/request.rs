//! What a request asks for, read from its method and path as kube-apiserver's RequestInfo is.

use http::Method;

/// Parameters of the query, decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// A request for a resource: the words that authorization, audit and faults go by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// Kubernetes' verb: get, list, watch, create, update, patch, delete, deletecollection.
    pub(crate) verb: &'static str,
    pub(crate) group: String,
    pub(crate) version: String,
    /// Plural; empty for a path that is no resource (discovery, version, health).
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

// === impl Query ===

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of a parameter, empty when it is not given.
    pub(crate) fn get(&self, key: &str) -> &str {
        let found = self.0.iter().find(|(k, _)| k == key);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn is_true(&self, key: &str) -> bool {
        matches!(self.get(key), "true" | "1")
    }
}

// === impl Target ===

impl Target {
    /// Reads method, path and query; a path outside `/api/V` and `/apis/G/V` has an empty resource.
    pub(crate) fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let mut target = Self::default();
        let parts: Vec<_> = path
            .split('/')
            .filter(|p| !p.is_empty())
            .map(decode)
            .collect();
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        let rest = match parts.as_slice() {
            ["api", version, rest @ ..] => {
                (*version).clone_into(&mut target.version);
                rest
            }
            ["apis", group, version, rest @ ..] => {
                (*group).clone_into(&mut target.group);
                (*version).clone_into(&mut target.version);
                rest
            }
            _ => &[],
        };
        target.place(rest);
        target.verb = target.verb_of(method, query);
        target
    }

    fn place(&mut self, rest: &[&str]) {
        let (namespace, rest) = match rest {
            // `/namespaces/NAME` and its subresources are about the namespace itself.
            ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => {
                let name = rest.get(1).copied().unwrap_or("");
                (name, rest)
            }
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            _ => ("", rest),
        };
        namespace.clone_into(&mut self.namespace);
        let part = |i: usize| rest.get(i).copied().unwrap_or("").to_owned();
        self.resource = part(0);
        self.name = part(1);
        self.subresource = rest.get(2..).unwrap_or(&[]).join("/");
    }

    fn verb_of(&self, method: &Method, query: &Query) -> &'static str {
        let one = !self.name.is_empty();
        match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if one => "delete",
            Method::DELETE => "deletecollection",
            _ if self.resource.is_empty() || one => "get",
            _ if query.is_true("watch") => "watch",
            _ => "list",
        }
    }

    /// `PLURAL` or `PLURAL/SUBRESOURCE`, as RBAC rules write it.
    pub(crate) fn rule_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// Undoes percent-encoding and `+`; what is not valid stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = text
            .get(i + 1..i + 3)
            .filter(|_| bytes[i] == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (hex, bytes[i]) {
            (Some(byte), _) => {
                out.push(byte);
                i += 2;
            }
            (None, b'+') => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(method: &Method, uri: &str) -> String {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let t = Target::parse(method, path, &Query::parse(query));
        format!(
            "{} {} {} {} {}",
            t.verb,
            super::super::resources::qualify(&t.rule_resource(), &t.group),
            t.version,
            t.namespace,
            t.name
        )
    }

    #[test]
    fn paths_read_as_the_words_that_rbac_goes_by() {
        for (method, uri, expected) in [
            (Method::GET, "/api/v1/pods?watch=1", "watch pods v1  "),
            (Method::GET, "/api/v1/namespaces", "list namespaces v1  "),
            (Method::GET, "/api/v1/namespaces/a", "get namespaces v1 a a"),
            (
                Method::PUT,
                "/api/v1/namespaces/a/status",
                "update namespaces/status v1 a a",
            ),
            (Method::GET, "/api/v1/namespaces/a/pods", "list pods v1 a "),
            (
                Method::DELETE,
                "/api/v1/namespaces/a/pods",
                "deletecollection pods v1 a ",
            ),
            (
                Method::PATCH,
                "/api/v1/namespaces/a/pods/b/status",
                "patch pods/status v1 a b",
            ),
            (
                Method::POST,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases",
                "create leases.coordination.k8s.io v1 a ",
            ),
            (
                Method::DELETE,
                "/api/v1/persistentvolumes/p",
                "delete persistentvolumes v1  p",
            ),
            (Method::GET, "/version", "get    "),
        ] {
            assert_eq!(words(&method, uri), expected, "{method} {uri}");
        }
    }
}

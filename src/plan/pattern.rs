//! `pathPattern`: a directory's name as a template.
//!
//! To the letter what the Go provisioner makes of it, for any input: its regular expression is `\${\.PVC\.((labels|annotations)\.(.*?)|.*?)}`, all
//! matches in the pattern are found first, and then one after the other each is replaced wherever its text occurs. So a value that itself spells an
//! expression is replaced as well, if that expression comes later in the pattern. What is not known becomes empty, what is not closed stays.
//!
//! Refused: a text that grows without measure. Values that spell expressions multiply, and the values belong to whoever writes the claim.

use crate::plan::facts::Pairs;

/// What a pattern may speak of.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// `${.PVC.namespace}`
    pub namespace: &'a str,
    /// `${.PVC.name}`
    pub name: &'a str,
    /// `${.PVC.labels.KEY}`
    pub labels: &'a Pairs,
    /// `${.PVC.annotations.KEY}`
    pub annotations: &'a Pairs,
}

/// The text has become longer than any path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pattern's result is longer than {LONGEST} bytes")]
pub struct TooLong;

/// Bytes that a result may have while it is worked on. Far above what a path can have, far below what a process has.
const LONGEST: usize = 1 << 20;

const OPEN: &str = "${.PVC.";

/// Fills in `pattern`. May be empty, and may be anything but a path.
///
/// # Errors
/// [`TooLong`], where the result would outgrow all bounds.
pub fn expand(pattern: &str, scope: &Scope<'_>) -> Result<String, TooLong> {
    let mut text = pattern.to_owned();
    for (whole, body) in expressions(pattern) {
        let value = scope.value(body);
        let count = text.matches(whole).count();
        let length =
            (text.len() - count * whole.len()).saturating_add(count.saturating_mul(value.len()));
        if length > LONGEST {
            return Err(TooLong);
        }
        text = text.replace(whole, value);
    }
    Ok(text)
}

/// The expressions of a pattern, each as the whole of it and what stands between `${.PVC.` and `}`. An expression ends at the first brace and does not
/// reach over the end of a line, since a dot of Go's regular expressions is no newline.
fn expressions(pattern: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = pattern;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(OPEN)?;
            let body = &rest[start + OPEN.len()..];
            let end = body.find(['}', '\n'])?;
            if body.as_bytes()[end] == b'}' {
                let whole = &rest[start..=start + OPEN.len() + end];
                rest = &body[end + 1..];
                return Some((whole, &body[..end]));
            }
            rest = body;
        }
    })
}

// === impl Scope ===

impl<'a> Scope<'a> {
    fn value(&self, body: &str) -> &'a str {
        let (labels, annotations) = (self.labels, self.annotations);
        if let Some(key) = body.strip_prefix("labels.") {
            return labels.get(key).unwrap_or_default();
        }
        if let Some(key) = body.strip_prefix("annotations.") {
            return annotations.get(key).unwrap_or_default();
        }
        match body {
            "name" => self.name,
            "namespace" => self.namespace,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Map = BTreeMap<String, String>;

    /// The Go function, line by line, on a regular expression of the same meaning.
    fn go(pattern: &str, data: &Map, labels: &Map, annotations: &Map) -> String {
        let expression =
            regex::Regex::new(r"\$\{\.PVC\.((labels|annotations)\.(.*?)|.*?)\}").unwrap();
        let get = |map: &Map, key: &str| map.get(key).cloned().unwrap_or_default();
        let mut text = pattern.to_owned();
        for found in expression.captures_iter(pattern) {
            let value = match found.get(2).map_or("", |kind| kind.as_str()) {
                "labels" => get(labels, &found[3]),
                "annotations" => get(annotations, &found[3]),
                _ => get(data, &found[1]),
            };
            text = text.replace(&found[0], &value);
        }
        text
    }

    fn mk_map(pairs: &[(&str, &str)]) -> Map {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn both(pattern: &str, labels: &Map, annotations: &Map) -> (String, String) {
        let (label_pairs, annotation_pairs) = (
            Pairs::from(labels.clone()),
            Pairs::from(annotations.clone()),
        );
        let scope = Scope {
            namespace: "shop",
            name: "db",
            labels: &label_pairs,
            annotations: &annotation_pairs,
        };
        let theirs = go(
            pattern,
            &mk_map(&[("name", "db"), ("namespace", "shop")]),
            labels,
            annotations,
        );
        (expand(pattern, &scope).unwrap(), theirs)
    }

    #[test]
    fn patterns_become_what_go_makes_of_them() {
        let labels = mk_map(&[
            ("app", "web"),
            ("a.b/c", "dotted"),
            ("", "empty-key"),
            ("{x", "brace"),
            ("dollar", "$1${0}"),
        ]);
        let annotations = mk_map(&[
            ("nfs.io/path", "a/b"),
            ("spells", "${.PVC.name}"),
            ("ü", "ö"),
            ("up", "../.."),
        ]);
        for (pattern, result) in [
            ("", ""),
            ("plain", "plain"),
            ("${.PVC.namespace}/${.PVC.name}", "shop/db"),
            (
                "x-${.PVC.labels.app}-${.PVC.name}-${.PVC.bogus}",
                "x-web-db-",
            ),
            ("${.PVC.annotations.nfs.io/path}", "a/b"),
            ("${.PVC.labels.a.b/c}", "dotted"),
            ("${.PVC.labels.missing}", ""),
            ("${.PVC.labels.}", "empty-key"),
            ("${.PVC.labels}", ""),
            ("${.PVC.}", ""),
            ("${.PVC.labels.{x}", "brace"),
            ("${.PVC.labels.dollar}", "$1${0}"),
            ("${.PVC.name}${.PVC.name}", "dbdb"),
            ("${.PVC.name", "${.PVC.name"),
            ("${.PVC.${.PVC.name}", ""),
            ("${.PVC.na\nme}-${.PVC.name}", "${.PVC.na\nme}-db"),
            ("${.PVC.a\n${.PVC.name}", "${.PVC.a\ndb"),
            ("{.PVC.name}$", "{.PVC.name}$"),
            ("$${.PVC.name}}", "$db}"),
            ("${.PVC.Name}", ""),
            ("${ .PVC.name}", "${ .PVC.name}"),
            ("${.PVC.annotations.spells}", "${.PVC.name}"),
            ("${.PVC.annotations.spells}/${.PVC.name}", "db/db"),
            ("${.PVC.name}/${.PVC.annotations.spells}", "db/${.PVC.name}"),
            ("${.PVC.annotations.ü}", "ö"),
            ("${.PVC.annotations.up}", "../.."),
        ] {
            let (ours, theirs) = both(pattern, &labels, &annotations);
            assert_eq!(ours, result, "{pattern:?}");
            assert_eq!(theirs, result, "the model on {pattern:?}");
        }
    }

    #[test]
    fn a_claim_cannot_make_the_text_grow_without_measure() {
        let many = "${.PVC.labels.b}".repeat(4000);
        let more = "${.PVC.labels.c}".repeat(4000);
        let labels = mk_map(&[("a", &many), ("b", &more), ("c", "x")]).into();
        let scope = Scope {
            namespace: "n",
            name: "c",
            labels: &labels,
            annotations: &Pairs::default(),
        };
        assert_eq!(
            expand("${.PVC.labels.a}${.PVC.labels.b}${.PVC.labels.c}", &scope),
            Err(TooLong)
        );
    }

    fn mk_text() -> impl Strategy<Value = String> {
        let words = vec![
            "${.PVC.",
            "${.PVC.name}",
            "${.PVC.namespace}",
            "${.PVC.labels.",
            "${.PVC.annotations.",
            "labels.",
            "annotations",
            ".",
            "}",
            "{",
            "$",
            "/",
            "..",
            "\n",
            "a",
            "b",
            "k",
            "ü",
            "${.PVC.labels.a}",
            "${.PVC.annotations.k}",
            "name",
        ];
        proptest::collection::vec(proptest::sample::select(words), 0..12)
            .prop_map(|words| words.concat())
    }

    fn mk_values() -> impl Strategy<Value = Map> {
        proptest::collection::btree_map(
            proptest::sample::select(vec!["a", "b", "k", "ü", "", "name"]).prop_map(str::to_owned),
            mk_text(),
            0..4,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn any_pattern_becomes_what_go_makes_of_it(pattern in mk_text(), labels in mk_values(), annotations in mk_values()) {
            let (ours, theirs) = both(&pattern, &labels, &annotations);
            prop_assert_eq!(ours, theirs);
        }
    }
}

//! `docs/compatibility.md` and the tests agree: every row names tests, and every test that is named exists.

use std::collections::BTreeSet;
use std::path::Path;

use libtest_mimic::{Failed, Trial};

use crate::scenario::Scenario;

const PAGE: &str = include_str!("../../docs/compatibility.md");
const VERDICTS: [&str; 3] = ["same", "better", "different"];

/// The check as a test of its own.
pub fn trial(scenarios: &[Scenario]) -> Trial {
    let names = scenarios
        .iter()
        .map(|scenario| scenario.name.clone())
        .collect();
    Trial::test(
        "compatibility::every_row_is_held_by_a_test_that_exists",
        move || check(&names),
    )
}

fn check(scenarios: &BTreeSet<String>) -> Result<(), Failed> {
    let rows: Vec<_> = PAGE.lines().filter_map(row).collect();
    let mut wrong = Vec::new();
    for cells in &rows {
        let [what, verdict, _, tests] = cells[..] else {
            wrong.push(format!("not four columns: {cells:?}"));
            continue;
        };
        if !VERDICTS.contains(&verdict) {
            wrong.push(format!("{what}: {verdict:?} is no verdict"));
        }
        let tests: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            wrong.push(format!("{what}: no test"));
        }
        let missing = tests
            .iter()
            .filter(|name| !scenarios.contains(**name) && !is_unit_test(name));
        wrong.extend(missing.map(|name| format!("{what}: there is no test {name}")));
    }
    if rows.len() < 60 {
        wrong.push(format!("only {} rows were found", rows.len()));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

/// The cells of a table's line; nothing for its head and for what is no table.
fn row(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<_> = inner.split('|').map(str::trim).collect();
    (cells[0] != "what" && !cells[0].starts_with("---")).then_some(cells)
}

/// `plan::pattern::tests::NAME`: a test of that name, or a property, in `src/plan/pattern.rs`, or in `tests.rs` beside it.
fn is_unit_test(path: &str) -> bool {
    let Some((module, name)) = path.split_once("::tests::") else {
        return false;
    };
    let base = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(module.replace("::", "/"));
    [base.with_extension("rs"), base.join("tests.rs")]
        .iter()
        .any(|file| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            text.split("#[test]\n")
                .skip(1)
                .any(|test| test.trim_start().starts_with(&format!("fn {name}(")))
        })
}

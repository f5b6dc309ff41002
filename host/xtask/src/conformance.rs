//! Which rule is shown by which test: a table made from the comments that stand in front of tests.
//!
//! A test that quotes the rule it shows (`// Pusher protocol, "Client events": …`) gets a row. The table is right
//! whenever the tests pass: a test of xtask compares it with the sources, and every test in it is run by `cargo xtask test`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Writes the table anew.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join(TABLE);
    fs::write(&path, table(&workspace.root)?).with_context(|| path.display().to_string())
}

/// The whole page.
fn table(root: &Path) -> Result<String> {
    let mut rows = Vec::new();
    for folder in FOLDERS {
        collect(root, &root.join(folder), &mut rows)?;
    }
    rows.sort();
    let mut page = HEADER.to_owned();
    for (rule, test) in rows {
        page.push_str(&format!("| {rule} | `{test}` |\n"));
    }
    Ok(page)
}

/// Adds the rows of every source file in a folder and below it.
fn collect(root: &Path, folder: &Path, rows: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, rows)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            rows.extend(quoted(&fs::read_to_string(&path)?).map(|(rule, test)| (rule, format!("{file}: {test}"))));
        }
    }
    Ok(())
}

/// The tests of a file that quote a rule, with what they quote.
fn quoted(source: &str) -> impl Iterator<Item = (String, String)> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let tests = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| **line == "#[test]" || line.starts_with("#[tokio::test"));
    let found = tests.filter_map(|(at, _)| {
        let comment = lines[..at].iter().rev().take_while(|line| line.starts_with("// "));
        let comment: Vec<&str> = comment.map(|line| &line[3..]).collect();
        let rule = comment
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('|', "\\|");
        let name = lines[at..]
            .iter()
            .find_map(|line| line.split("fn ").nth(1)?.split('(').next())?;
        SOURCES
            .iter()
            .any(|source| rule.starts_with(source))
            .then(|| (rule, name.to_owned()))
    });
    found.collect::<Vec<_>>().into_iter()
}

const TABLE: &str = "host/docs/conformance.md";

/// Where rules are quoted.
const FOLDERS: [&str; 6] = [
    "host/links/src",
    "host/protocol/src",
    "host/hub/src",
    "host/server/src",
    "plugins/auth-pusher/src",
    "tests/it",
];

/// Whose rules they are.
const SOURCES: [&str; 7] = ["Pusher", "RFC", "Laravel", "OpenMetrics", "NATS", "Redis", "RESP"];

const HEADER: &str = "# Rules and the tests that show them

Made by `cargo xtask conformance` from the comments in front of the tests. Each of them passes, or `cargo xtask test` fails.

| rule | test |
| --- | --- |
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_rule_is_found_with_its_test() {
        let source = "// Pusher protocol, \"X\":\n// goes on | here.\n#[tokio::test]\nasync fn shows_it() {}\n\n#[test]\nfn other() {}";
        let rows: Vec<_> = quoted(source).collect();
        assert_eq!(
            rows,
            [(
                "Pusher protocol, \"X\": goes on \\| here.".to_owned(),
                "shows_it".to_owned()
            )]
        );
    }

    #[test]
    fn the_table_is_as_the_tests_are() {
        let root = Workspace::locate().unwrap().root;
        let written = fs::read_to_string(root.join(TABLE)).unwrap_or_default();
        assert!(
            written == table(&root).unwrap(),
            "{TABLE} is out of date: run `cargo xtask conformance`"
        );
    }
}

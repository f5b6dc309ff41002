//! The contract in `wit/`, sentence by sentence: what it asks of plugins is asked of every real one, what it promises of the
//! host is shown by guests that try.
//!
//! Each door's file has one function, `keep`, that takes a plugin and puts the door's whole contract to it. It runs for the
//! default plugins, for the examples, and for the one that `JACKFIELD_PLUGIN` names: an author's own.

mod adapter;
mod adapter_peers;
mod auth;
mod auth_host;
mod given;
mod host;
mod rate_limit;
mod side;
mod state;
mod webhook;

use std::fs;
use std::path::{Path, PathBuf};

use given::Given;

// Every test here quotes the sentence that it shows; a sentence that was reworded has to be looked at again.
#[test]
fn what_is_quoted_stands_in_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut quotes = 0;
    for source in files(&root.join("tests/it/contract"), "rs") {
        let text = fs::read_to_string(&source).expect("a source can be read");
        for (page, quote) in quoted(&text) {
            let contract = fs::read_to_string(root.join("wit").join(&page));
            let contract = plain(&contract.unwrap_or_else(|error| panic!("{page}: {error}")));
            let source = source.display();
            assert!(
                contract.contains(&quote),
                "{source} quotes what {page} does not say: {quote}"
            );
            quotes += 1;
        }
    }
    assert!(quotes >= 50, "only {quotes} quotes were found");
}

// A plugin of somebody's own is given to the suite of its door, and to no other.
#[test]
fn the_plugin_that_is_named_is_at_one_door() {
    let all: Vec<Given> = DOORS.iter().flat_map(|door| given::at(door)).collect();
    for name in ["adapter-local", "auth-pusher", "rate-limit-local", "webhook-http"] {
        assert!(all.iter().any(|given| given.name == name), "{name}");
    }
    if let Some(own) = given::own_path() {
        let there = all.iter().filter(|given| given.path == own).count();
        assert_eq!(there, 1, "{} serves no door: {:?}", own.display(), given::own_faults());
    }
}

/// Page and text of each `// wit/PAGE: "…"` among the comments.
fn quoted(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment = String::new();
    for line in source.lines().map(str::trim).chain([""]) {
        match line.strip_prefix("// ") {
            Some(text) => {
                comment.push_str(text);
                comment.push(' ');
            }
            None => {
                let block = std::mem::take(&mut comment);
                found.extend(block.split("wit/").skip(1).filter_map(quote));
            }
        }
    }
    found
}

fn quote(text: &str) -> Option<(String, String)> {
    let (page, rest) = text.split_once(": \"")?;
    let (quote, _) = rest.rsplit_once('"')?;
    Some((page.to_owned(), quote.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// The words of a page without its comment marks and line ends.
fn plain(page: &str) -> String {
    let words = page
        .lines()
        .flat_map(|line| line.trim().trim_start_matches("///").split_whitespace());
    words.collect::<Vec<_>>().join(" ")
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect()
}

const DOORS: [&str; 4] = ["adapter", "auth", "rate-limit", "webhook"];

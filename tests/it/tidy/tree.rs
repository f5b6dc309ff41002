//! The files that are ours: what git knows or would add, else what lies in the folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::manifest::Manifest;
use super::rust::Source;

/// Every Rust file.
pub(super) fn sources() -> Vec<Source> {
    let rust = |path: &String| path.ends_with(".rs");
    read(rust).map(|(path, text)| Source::new(path, text)).collect()
}

/// Every crate's manifest. The workspace's own is none: it only says which versions there are.
pub(super) fn manifests() -> Vec<Manifest> {
    let member = |path: &String| path.ends_with("/Cargo.toml");
    read(member).map(|(path, text)| Manifest::new(path, text)).collect()
}

fn read(wanted: impl Fn(&String) -> bool) -> impl Iterator<Item = (String, String)> {
    let paths: Vec<String> = paths().into_iter().filter(wanted).collect();
    assert!(!paths.is_empty(), "found no files at all below {}", root().display());
    paths.into_iter().map(|path| {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        (path, text)
    })
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Paths from the root, with `/`, sorted. A file that git knows and that is gone is left out.
fn paths() -> Vec<String> {
    let root = root();
    let mut paths = tracked(&root).unwrap_or_else(|| walk(&root));
    paths.retain(|path| root.join(path).is_file());
    paths.sort();
    paths
}

/// Includes files not yet added, so that the rules hold before the commit. None if this is no checkout.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths: Vec<String> = names.split_terminator('\0').map(str::to_owned).collect();
    (!paths.is_empty()).then_some(paths)
}

fn walk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_file() {
                found.extend(
                    path.strip_prefix(root)
                        .ok()
                        .map(|path| path.to_string_lossy().into_owned()),
                );
            } else if !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                open.push(path);
            }
        }
    }
    found
}

#[test]
fn this_file_is_found_with_git_and_without() {
    let this = "tests/it/tidy/tree.rs".to_owned();
    assert!(walk(&root()).contains(&this));
    assert!(paths().contains(&this));
}

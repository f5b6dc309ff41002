//! The rules: a file or a manifest in, findings out.

use super::manifest::Manifest;
use super::report::Finding;
use super::rust::{Source, code_lines, words};

pub(super) const FILE_LINES: usize = 400;
pub(super) const FUNCTION_LINES: usize = 70;
pub(super) const MEAN_LINES: usize = 150;
pub(super) const CRATE_LINES: usize = 4_000;
pub(super) const TRAIT_METHODS: usize = 5;

/// Words that name a place to put things instead of what the things do.
const EMPTY_WORDS: [&str; 8] = [
    "Common", "Handler", "Helper", "Manager", "Misc", "Service", "Types", "Util",
];

/// Tests count: a file is read as a whole.
pub(super) fn file_length(source: &Source) -> Vec<Finding> {
    over(FILE_LINES, code_lines(&source.masked), "code lines")
        .map(|text| Finding::new(&source.path, 1, text))
        .into_iter()
        .collect()
}

/// From the `fn` to the closing brace, without comments and blank lines.
pub(super) fn function_length(source: &Source) -> Vec<Finding> {
    let long = source.items("fn").into_iter().filter_map(|item| {
        let text = over(
            FUNCTION_LINES,
            code_lines(&source.masked[item.whole.clone()]),
            "code lines",
        )?;
        Some(Finding::new(
            &source.path,
            source.line(item.whole.start),
            format!("fn {}: {text}", item.name),
        ))
    });
    long.collect()
}

/// The SDK's traits are exempt: each repeats a WIT interface, which has what its contract needs.
pub(super) fn trait_width(source: &Source) -> Vec<Finding> {
    if source.path.starts_with("sdk/") {
        return Vec::new();
    }
    let wide = source.items("trait").into_iter().filter_map(|item| {
        let methods = source
            .named("fn")
            .into_iter()
            .filter(|(offset, _)| item.whole.contains(offset))
            .count();
        let text = over(TRAIT_METHODS, methods, "methods")?;
        Some(Finding::new(
            &source.path,
            source.line(item.whole.start),
            format!("trait {}: {text}", item.name),
        ))
    });
    wide.collect()
}

pub(super) fn header(source: &Source) -> Vec<Finding> {
    let headed = source
        .text
        .lines()
        .next()
        .is_some_and(|line| line.starts_with("//! ") && line.len() > 12);
    let finding = Finding::new(
        &source.path,
        1,
        "begin with a `//!` header: what this is, what it promises, what it refuses",
    );
    (!headed).then_some(finding).into_iter().collect()
}

/// Of types and traits by their last word, of files by the whole stem.
pub(super) fn names(source: &Source) -> Vec<Finding> {
    let keywords = ["struct", "enum", "trait", "type", "union"].into_iter();
    let types = keywords
        .flat_map(|keyword| source.named(keyword))
        .filter_map(|(offset, name)| {
            let word = EMPTY_WORDS.iter().find(|word| ends_in_word(name, word))?;
            Some((source.line(offset), name.to_owned(), *word))
        });
    let stem = source
        .path
        .trim_end_matches("/mod.rs")
        .trim_end_matches(".rs")
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let file = EMPTY_WORDS
        .iter()
        .find(|word| ends_in_word(&capitalised(stem), word))
        .map(|word| (1, stem.to_owned(), *word));
    let found = types.chain(file);
    found
        .map(|(line, name, word)| {
            Finding::new(
                &source.path,
                line,
                format!("`{name}`: `{word}` does not say what it does"),
            )
        })
        .collect()
}

pub(super) fn no_unsafe(source: &Source) -> Vec<Finding> {
    let found = words(&source.masked).filter(|(_, word)| *word == "unsafe");
    found
        .map(|(offset, _)| {
            Finding::new(
                &source.path,
                source.line(offset),
                "`unsafe`: there is none in this house",
            )
        })
        .collect()
}

/// `table`: folder, text, reason.
pub(super) fn absent(source: &Source, table: &[(&str, &str, &str)]) -> Vec<Finding> {
    let own = source.without_tests();
    let rows = table.iter().filter(|(folder, ..)| source.path.starts_with(folder));
    let found = rows.flat_map(|(_, text, reason)| {
        own.match_indices(text)
            .map(move |(offset, _)| (offset, format!("`{text}`: {reason}")))
    });
    found
        .map(|(offset, text)| Finding::new(&source.path, source.line(offset), text))
        .collect()
}

pub(super) fn mean_length(sources: &[Source]) -> usize {
    let sum: usize = sources.iter().map(|source| code_lines(&source.masked)).sum();
    sum.div_ceil(sources.len().max(1))
}

/// Without tests, hence the crate of tests has none.
pub(super) fn crate_length(manifest: &Manifest, sources: &[Source]) -> Option<Finding> {
    let folder = format!("{}/", manifest.folder());
    let own = sources.iter().filter(|source| source.path.starts_with(&folder));
    let lines = own.map(|source| code_lines(&source.without_tests())).sum();
    over(CRATE_LINES, lines, "code lines").map(|text| Finding::new(&manifest.path, 1, text))
}

/// `table`: folder, names of our own crates that it may depend on; `*` stands for all.
pub(super) fn arrows(manifest: &Manifest, table: &[(&str, &[&str])]) -> Vec<Finding> {
    let Some((_, allowed)) = table.iter().find(|(pattern, _)| covers(pattern, manifest.folder())) else {
        return vec![Finding::new(
            &manifest.path,
            1,
            "this crate is not in the table of arrows: say what it may depend on",
        )];
    };
    let ours = manifest
        .dependencies()
        .into_iter()
        .filter(|found| found.name.starts_with("jackfield"));
    let wrong = ours.filter(|found| !allowed.contains(&found.name.as_str()) && !allowed.contains(&"*"));
    wrong
        .map(|found| Finding::new(&manifest.path, found.line, format!("may not depend on {}", found.name)))
        .collect()
}

pub(super) fn wasmtime(manifest: &Manifest) -> Vec<Finding> {
    let found = manifest
        .dependencies()
        .into_iter()
        .filter(|found| found.name.starts_with("wasmtime"));
    let wrong = found.filter(|_| !["host/compiled", "host/wasm"].contains(&manifest.folder()));
    wrong
        .map(|found| {
            Finding::new(
                &manifest.path,
                found.line,
                format!("{}: only host/compiled and host/wasm may know it", found.name),
            )
        })
        .collect()
}

/// `cargo xtask test` runs one integration binary, tests/it; another crate's would never run.
pub(super) fn one_binary(manifest: &Manifest, sources: &[Source]) -> Vec<Finding> {
    let folder = format!("{}/tests/", manifest.folder());
    let found = sources.iter().filter(|source| source.path.starts_with(&folder));
    found
        .map(|source| {
            Finding::new(
                &source.path,
                1,
                "belongs into tests/it: one integration binary for all crates",
            )
        })
        .collect()
}

fn over(budget: usize, figure: usize, unit: &str) -> Option<String> {
    (figure > budget).then(|| format!("{figure} {unit}, {budget} allowed"))
}

fn covers(pattern: &str, folder: &str) -> bool {
    let Some(parent) = pattern.strip_suffix('*') else {
        return pattern == folder;
    };
    folder
        .strip_prefix(parent)
        .is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

fn ends_in_word(name: &str, word: &str) -> bool {
    name.strip_suffix('s').unwrap_or(name).ends_with(word) || name.ends_with(word)
}

fn capitalised(stem: &str) -> String {
    let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
    stem.split('_')
        .filter(|part| part.is_ascii() && !part.is_empty())
        .map(capital)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: impl Fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<String> {
        rule(&Source::new(path, text)).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_file_of_401_code_lines_is_too_long() {
        let text = |lines| format!("//! Header.\n\n{}", "const A: u8 = 1; // why\n".repeat(lines));
        assert_eq!(found(file_length, "a.rs", &text(400)), [""; 0]);
        assert_eq!(
            found(file_length, "a.rs", &text(401)),
            ["a.rs:1: 401 code lines, 400 allowed"]
        );
    }

    #[test]
    fn a_function_of_71_code_lines_is_too_long() {
        let text = |lines: usize| format!("\nimpl A {{\nfn a() {{\n{}}}\n}}", "b();\n\n// why\n".repeat(lines - 2));
        assert_eq!(found(function_length, "a.rs", &text(70)), [""; 0]);
        assert_eq!(
            found(function_length, "a.rs", &text(71)),
            ["a.rs:3: fn a: 71 code lines, 70 allowed"]
        );
    }

    #[test]
    fn a_trait_of_six_methods_is_too_wide() {
        let text = |methods| format!("trait A {{\n{}}}\nfn other() {{}}", "fn a(&self);\n".repeat(methods));
        assert_eq!(found(trait_width, "a.rs", &text(5)), [""; 0]);
        assert_eq!(
            found(trait_width, "a.rs", &text(6)),
            ["a.rs:1: trait A: 6 methods, 5 allowed"]
        );
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert_eq!(found(header, "a.rs", "//! A queue of frames.\n"), [""; 0]);
        for text in ["use a::b;\n", "", "//!\n", "// A queue of frames.\n"] {
            assert_eq!(found(header, "a.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn empty_words_are_found_in_types_and_file_names() {
        let text = "// struct TaskManager;\nstruct Plug;\nenum HttpHandler {}\ntrait Utils {}\nstruct ServiceLevel;";
        let expected = [
            "a.rs:3: `HttpHandler`: `Handler` does not say what it does",
            "a.rs:4: `Utils`: `Util` does not say what it does",
        ];
        assert_eq!(found(names, "a.rs", text), expected);
        for path in [
            "host/x/common.rs",
            "host/x/utils/mod.rs",
            "host/x/string_helpers.rs",
            "host/x/types.rs",
        ] {
            assert_eq!(found(names, path, "").len(), 1, "{path}");
        }
    }

    #[test]
    fn unsafe_is_found_in_code_alone() {
        let text = "#![forbid(unsafe_code)]\n// unsafe\nconst A: &str = \"unsafe\";\nfn a() { unsafe { b() } }";
        assert_eq!(
            found(no_unsafe, "a.rs", text),
            ["a.rs:4: `unsafe`: there is none in this house"]
        );
    }

    #[test]
    fn what_a_room_must_not_hold_is_found_there_and_outside_tests_alone() {
        let text = "fn a() { Instant::now() }\n// Instant::now\n#[cfg(test)]\nmod tests { fn b() { Instant::now() } }";
        let rule = |source: &Source| absent(source, &[("host/hub/", "Instant::now", "why")]);
        assert_eq!(
            found(rule, "host/hub/src/a.rs", text),
            ["host/hub/src/a.rs:1: `Instant::now`: why"]
        );
        assert_eq!(found(rule, "host/server/src/a.rs", text), [""; 0]);
    }

    #[test]
    fn an_arrow_that_points_up_is_found() {
        let table: &[(&str, &[&str])] = &[
            ("host/hub", &["jackfield-protocol"]),
            ("plugins/*", &[]),
            ("tests", &["*"]),
        ];
        let text = "[dependencies]\njackfield-protocol.workspace = true\njackfield.workspace = true\n";
        let found = |path: &str| {
            arrows(&Manifest::new(path, text), table)
                .iter()
                .map(Finding::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found("host/hub/Cargo.toml"),
            ["host/hub/Cargo.toml:3: may not depend on jackfield"]
        );
        assert_eq!(found("plugins/a/Cargo.toml").len(), 2);
        assert_eq!(found("tests/Cargo.toml"), [""; 0]);
        assert!(found("host/new/Cargo.toml")[0].contains("not in the table"));
    }

    #[test]
    fn wasmtime_outside_its_room_is_found() {
        let text = "[dependencies]\nwasmtime.workspace = true\n";
        assert_eq!(wasmtime(&Manifest::new("host/hub/Cargo.toml", text)).len(), 1);
        assert_eq!(wasmtime(&Manifest::new("host/wasm/Cargo.toml", text)), []);
        assert_eq!(wasmtime(&Manifest::new("host/compiled/Cargo.toml", text)), []);
    }

    #[test]
    fn crates_files_and_binaries_are_counted() {
        let line = "const A: u8 = 1;\n";
        let sources = [
            Source::new("host/hub/src/a.rs", line.repeat(4_001)),
            Source::new("host/hub/tests/b.rs", line),
        ];
        let manifest = Manifest::new("host/hub/Cargo.toml", "");
        assert_eq!(
            crate_length(&manifest, &sources).unwrap().text,
            "4001 code lines, 4000 allowed"
        );
        assert_eq!(crate_length(&Manifest::new("host/hu/Cargo.toml", ""), &sources), None);
        assert_eq!(one_binary(&manifest, &sources)[0].path, "host/hub/tests/b.rs");
        assert_eq!(mean_length(&sources), 2_001);
    }
}

//! A crate's manifest: which folder it speaks for and what it depends on.

/// The `Cargo.toml` of one crate.
pub(super) struct Manifest {
    pub(super) path: String,
    text: String,
}

/// A line that names a dependency.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) line: usize,
}

impl Manifest {
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// The crate's folder, from the root.
    pub(super) fn folder(&self) -> &str {
        self.path.trim_end_matches("Cargo.toml").trim_end_matches('/')
    }

    /// What the crate depends on, for whatever purpose: ordinary, build, development, one platform only.
    pub(super) fn dependencies(&self) -> Vec<Dependency> {
        let mut found = Vec::new();
        let mut inside = false;
        for (index, line) in self.text.lines().map(str::trim).enumerate() {
            let name = if let Some(section) = line.strip_prefix('[') {
                let (list, own) = section_of(section.trim_end_matches(']'));
                inside = list;
                own
            } else {
                line.split_once(['.', '=', ' '])
                    .map(|(name, _)| name)
                    .filter(|_| inside && !line.starts_with('#'))
            };
            let name = name.map(|name| name.trim_matches('"')).filter(|name| !name.is_empty());
            found.extend(name.map(|name| Dependency {
                name: name.to_owned(),
                line: index + 1,
            }));
        }
        found
    }
}

/// Whether the section lists dependencies, and the dependency that it describes by itself.
fn section_of(section: &str) -> (bool, Option<&str>) {
    let Some((_, rest)) = section.rsplit_once("dependencies") else {
        return (false, None);
    };
    (rest.is_empty(), rest.strip_prefix('.'))
}

#[test]
fn dependencies_of_every_kind_are_seen() {
    let text = "[package]\nname = \"x\"\nversion.workspace = true\n\n[dependencies]\na.workspace = true\n# b = \"1\"\n\
                c = { version = \"1\", package = \"d\" }\n[dev-dependencies]\ne = \"1\"\n[dependencies.f]\nversion = \"1\"\n\
                [target.'cfg(unix)'.build-dependencies]\n\"g\" = \"1\"\n[features]\nh = []\n";
    let manifest = Manifest::new("host/x/Cargo.toml", text);
    let names: Vec<_> = manifest
        .dependencies()
        .into_iter()
        .map(|found| (found.name, found.line))
        .collect();
    let expected = [("a", 6), ("c", 8), ("e", 10), ("f", 11), ("g", 14)];
    assert_eq!(names, expected.map(|(name, line)| (name.to_owned(), line)));
    assert_eq!(manifest.folder(), "host/x");
}

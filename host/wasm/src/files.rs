//! A plugin's two files: `NAME.wasm`, and `NAME.toml` with the operator's word on it.
//!
//! Both are read whole and once; afterwards nobody looks at the paths again but to see whether they have changed.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jackfield_protocol::signature;

/// What stands in the files of one version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// A component, as far as its first bytes tell.
    pub(crate) wasm: Vec<u8>,
    /// Empty if there is no such file.
    pub(crate) operator: String,
    /// SHA-256 of the component.
    pub(crate) digest: String,
}

impl Files {
    /// Reads the files of this plugin.
    ///
    /// # Errors
    /// A text that names the file, without its folder, and what is wrong with it.
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Self, String> {
        check_name(name)?;
        let (wasm, operator) = (format!("{name}.wasm"), format!("{name}.toml"));
        let bytes = read_component(&folder.join(&wasm)).map_err(|error| format!("{wasm}: {error}"))?;
        let digest = signature::sha256_hex(&bytes);
        let text = read_operator(&folder.join(&operator)).map_err(|error| format!("{operator}: {error}"))?;
        Ok(Self {
            wasm: bytes,
            operator: text,
            digest,
        })
    }
}

/// What the file system says of a plugin's files without reading them: another one whenever they have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Print([Option<Stat>; 2]);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Print {
    /// Of the files as they are now, behind all symbolic links.
    pub(crate) fn of(folder: &Path, name: &str) -> Self {
        Self(["wasm", "toml"].map(|extension| {
            let kind = fs::metadata(folder.join(format!("{name}.{extension}"))).ok()?;
            Some(Stat {
                device: kind.dev(),
                inode: kind.ino(),
                bytes: kind.len(),
                changed: (kind.mtime(), kind.mtime_nsec()),
            })
        }))
    }
}

/// A plugin's name becomes the name of a file in the plugins folder, and must not lead out of it.
fn check_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(good) && !name.starts_with('.') {
        return Ok(());
    }
    Err(format!(
        "a plugin's name must be 1 to {NAME_BYTES} letters, digits, `-`, `_` or `.`, and must not begin with `.`"
    ))
}

/// Reads a file, and makes sure that it is a component.
fn read_component(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = read(path, FILE_BYTES)?;
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(bytes),
        Some([0, b'a', b's', b'm', ..]) => {
            Err("it is a core module, not a component; `cargo xtask component` wraps one".to_owned())
        }
        _ => Err("it is not WebAssembly".to_owned()),
    }
}

fn read_operator(path: &Path) -> Result<String, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        _ => {}
    }
    let bytes = read(path, OPERATOR_BYTES)?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    // Opening anything else might wait for ever.
    let kind = fs::metadata(path).map_err(|error| error.to_string())?;
    if !kind.is_file() {
        return Err("it is not a file".to_owned());
    }
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it is larger than {} MiB", most >> 20));
    }
    Ok(bytes)
}

/// Bytes of a plugin's name.
const NAME_BYTES: usize = 64;

/// The largest component that is read. JavaScript and Python components are 12 to 18 MiB.
const FILE_BYTES: u64 = 64 << 20;

/// Grants, limits and places: a page of text, not a megabyte.
const OPERATOR_BYTES: u64 = 1 << 20;

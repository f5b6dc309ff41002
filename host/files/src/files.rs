//! A plugin's two files: `NAME.wasm`, and `NAME.toml` with the operator's word on it.
//!
//! Both are read whole and once; afterwards nobody looks at the paths again but to see whether they have changed.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use jackfield_protocol::signature;
use jackfield_watch::Print;

use crate::text::cleaned;

/// What stands in the files of one version.
#[derive(Debug, PartialEq, Eq)]
pub struct Files {
    /// A component, as far as its first bytes tell.
    pub wasm: Vec<u8>,
    /// Empty if there is no such file.
    pub operator: String,
    /// SHA-256 of the component.
    pub digest: String,
    /// What its author calls this version, if the component says so.
    pub version: Option<String>,
}

impl Files {
    /// Reads the files of this plugin.
    ///
    /// # Errors
    /// A text that names the file, without its folder, and what is wrong with it.
    pub fn read(folder: &Path, name: &str) -> Result<Self, String> {
        check_name(name)?;
        let (wasm, operator) = (format!("{name}.wasm"), format!("{name}.toml"));
        let bytes = read_component(folder, &wasm).map_err(|error| format!("{wasm}: {error}"))?;
        let digest = signature::sha256_hex(&bytes);
        let text = read_operator(folder, &operator).map_err(|error| format!("{operator}: {error}"))?;
        Ok(Self {
            version: own_version(&bytes),
            wasm: bytes,
            operator: text,
            digest,
        })
    }
}

/// Tells whether a plugin's files have changed.
pub fn print(folder: &Path, name: &str) -> Print {
    Print::of(["wasm", "toml"].map(|extension| folder.join(format!("{name}.{extension}"))))
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
fn read_component(folder: &Path, file: &str) -> Result<Vec<u8>, String> {
    let bytes = read(folder, file, FILE_BYTES)?;
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(bytes),
        Some([0, b'a', b's', b'm', ..]) => {
            Err("it is a core module, not a component; `cargo xtask component` wraps one".to_owned())
        }
        // Compiled components look like this too: whoever could bring one could bring any code.
        Some([0x7f, b'E', b'L', b'F', ..]) => {
            Err("it is native code, not WebAssembly; components are compiled by this server alone".to_owned())
        }
        _ => Err("it is not WebAssembly".to_owned()),
    }
}

fn read_operator(folder: &Path, file: &str) -> Result<String, String> {
    match fs::metadata(folder.join(file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        _ => {}
    }
    let bytes = read(folder, file, OPERATOR_BYTES)?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn read(folder: &Path, file: &str, most: u64) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| error.to_string();
    let (folder, path) = (fs::canonicalize(folder), fs::canonicalize(folder.join(file)));
    let (folder, path) = (folder.map_err(told)?, path.map_err(told)?);
    // Whoever may write into the folder must not have this program read what they may not.
    if !path.starts_with(folder) {
        return Err("it is a link that leads out of the plugins folder; put the file itself there".to_owned());
    }
    // Opening anything but a file might wait for ever.
    let kind = fs::metadata(&path).map_err(told)?;
    if !kind.is_file() {
        return Err("it is not a file".to_owned());
    }
    let too_large = || format!("it is larger than {} MiB", most >> 20);
    if kind.len() > most {
        return Err(too_large());
    }
    let (file, mut bytes) = (fs::File::open(path).map_err(told)?, Vec::new());
    file.take(most + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok(bytes)
}

/// The text of the custom section `version`: of the component, where tools write it, or of a module in it, where the SDK does.
/// Nothing is made of it but what operators see.
fn own_version(wasm: &[u8]) -> Option<String> {
    let (head, mut rest) = wasm.split_at_checked(HEAD_BYTES)?;
    let (is_module, mut of_module) = (head == MODULE_HEAD, None);
    while let Some((&kind, after)) = rest.split_first() {
        let (length, after) = number(after)?;
        let (section, after) = after.split_at_checked(length)?;
        rest = after;
        if kind == MODULE_SECTION && !is_module {
            of_module = of_module.or_else(|| own_version(section));
        }
        if kind != CUSTOM_SECTION {
            continue;
        }
        let (length, section) = number(section)?;
        let (name, text) = section.split_at_checked(length)?;
        if name == b"version" {
            let text = str::from_utf8(text).ok()?;
            return Some(cleaned(&text[..text.floor_char_boundary(VERSION_BYTES)]));
        }
    }
    of_module
}

/// A number as WebAssembly writes it (LEB128, at most 32 bits), and what stands behind it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

/// Bytes of a plugin's name.
const NAME_BYTES: usize = 64;

/// The largest component that is read. JavaScript and Python components are 12 to 18 MiB.
const FILE_BYTES: u64 = 64 << 20;

/// Grants, limits and places: a page of text, not a megabyte.
const OPERATOR_BYTES: u64 = 1 << 20;

/// What is shown of an author's version: `1.2.3-beta.4+a1b2c3` and more.
const VERSION_BYTES: usize = 64;

/// The kind of section that holds what is no program.
const CUSTOM_SECTION: u8 = 0;

/// The kind of section of a component that holds a module.
const MODULE_SECTION: u8 = 1;

/// How a module begins, as a component does not.
const MODULE_HEAD: &[u8; HEAD_BYTES] = b"\0asm\x01\0\0\0";
const HEAD_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";

    fn component(sections: &[&[u8]]) -> Vec<u8> {
        [&[HEAD], sections].concat().concat()
    }

    #[test]
    fn an_authors_version_is_found_among_the_sections() {
        let (other, version) = (b"\x07\x02\0\0", b"\0\x0e\x07version1.2.3\n");
        assert_eq!(
            own_version(&component(&[other, version, other])),
            Some("1.2.3 ".to_owned())
        );
        assert_eq!(own_version(&component(&[other, other])), None);
    }

    #[test]
    fn the_version_of_a_module_within_counts_where_the_component_says_none() {
        let (module, outer) = (
            b"\x01\x15\0asm\x01\0\0\0\0\x0b\x07version0.1",
            b"\0\x0d\x07version1.2.3",
        );
        let types = b"\x01\x0c\0asm\x01\0\0\0\x01\x02\x60\0";
        let found = |sections: &[&[u8]]| own_version(&component(sections));
        assert_eq!(found(&[types, module]), Some("0.1".to_owned()));
        assert_eq!(found(&[module, outer]), Some("1.2.3".to_owned()));
        assert_eq!(found(&[types]), None);
    }

    #[test]
    fn sections_that_are_none_say_no_version() {
        for sections in [
            &b"\0"[..],
            b"\0\xff\xff\xff\xff\xff\x01",
            b"\0\xff\xff\xff\xff\x0f",
            b"\0\x05\x09vers",
            b"\0\x09\x07version\xff",
        ] {
            assert_eq!(own_version(&component(&[sections])), None, "{sections:?}");
        }
        assert_eq!(own_version(b"\0as"), None);
    }
}

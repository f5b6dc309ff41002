//! A core module becomes a component: the file that the host loads.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use wit_component::ComponentEncoder;

/// Wraps the core module at `core` and writes the component to `out`, unless exactly that is there already.
pub(crate) fn wrap(core: &Path, out: &Path) -> Result<()> {
    let module = fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let component = encode(&module).with_context(|| format!("{} does not make a plugin", core.display()))?;
    place(&component, out)
}

/// Writes a component to `out`, unless exactly that is there already, and says so.
pub(crate) fn place(component: &[u8], out: &Path) -> Result<()> {
    let size = component.len();
    let written = write_if_changed(out, component).with_context(|| format!("cannot write {}", out.display()))?;
    let verdict = if written { "written" } else { "unchanged" };
    eprintln!("           {} ({} KB, {verdict})", out.display(), size.div_ceil(1024));
    Ok(())
}

/// The component around `module`, which names its world in a custom section that the SDK puts there.
fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let described = module.windows(MARK.len()).any(|window| window == MARK);
    ensure!(
        described,
        "it describes no world: is it built with jackfield-sdk, and does it call one of its export macros?"
    );
    ComponentEncoder::default().validate(true).module(module)?.encode()
}

/// Writes beside the place and renames, so that a running host never reads half a plugin; leaves an equal file alone,
/// so that it does not swap for nothing. Whether it wrote.
pub(crate) fn write_if_changed(out: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(out).is_ok_and(|present| present == bytes) {
        return Ok(false);
    }
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = beside(out);
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, out)?;
    Ok(true)
}

/// A name in the same folder that the host's watcher does not take for a plugin.
fn beside(out: &Path) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

/// How the names of the sections begin in which wit-bindgen describes a module's world.
const MARK: &[u8] = b"component-type:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_world_is_refused_with_a_hint() {
        let error = encode(b"\0asm\x01\0\0\0").unwrap_err();
        assert!(error.to_string().contains("jackfield-sdk"), "{error}");
    }

    #[test]
    fn equal_bytes_are_not_written_again() {
        let folder = std::env::temp_dir().join(format!("xtask-component-{}", std::process::id()));
        let out = folder.join("deep/plugin.wasm");
        assert!(write_if_changed(&out, b"one").unwrap());
        assert!(!write_if_changed(&out, b"one").unwrap());
        assert!(write_if_changed(&out, b"two").unwrap());
        let left: Vec<_> = fs::read_dir(folder.join("deep")).unwrap().collect();
        assert_eq!(left.len(), 1, "the temporary file is gone: {left:?}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_temporary_name_is_hidden_and_no_plugin() {
        let name = beside(Path::new("plugins/auth.wasm"));
        let name = name.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with(".auth.wasm.") && name.ends_with(".part"), "{name}");
    }
}

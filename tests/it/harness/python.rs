//! Programs of the Python environment that `cargo xtask test` makes from `tests/python/requirements.txt`.

use std::path::PathBuf;

/// The program with this name.
#[expect(clippy::disallowed_methods, reason = "xtask says where it has put the environment")]
pub(crate) fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("JACKFIELD_PYTHON").expect("JACKFIELD_PYTHON is not set: run `cargo xtask test`");
    PathBuf::from(folder).join("bin").join(name)
}

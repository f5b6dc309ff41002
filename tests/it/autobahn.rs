//! The Autobahn case files, run by `kosoku`, against the server's frame reader behind an echo.
//!
//! Families 1 to 7 and 10 are RFC 6455 section by section, 9 is size and fragmentation. 12 and 13 are about
//! compression, which is declined.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::harness::python;

#[test]
fn every_case_passes() {
    let mut echo = Command::new(env!("CARGO_BIN_EXE_jackfield-echo"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the echo starts");
    let mut port = String::new();
    let stdout = echo.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut port).expect("it says its port");
    let reports = std::env::temp_dir().join(format!("jackfield-autobahn-{}", std::process::id()));
    let mut suite = Command::new(python::program("kosoku"));
    suite.args(["-m", "fuzzingclient", "-p", "4", "-o"]).arg(&reports);
    for family in ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"] {
        suite.args(["-i", family]);
    }
    let output = suite.arg(format!("ws://127.0.0.1:{}", port.trim())).output();
    // Its answer comes first: whatever it is, the echo must not be left behind.
    echo.kill().expect("it runs");
    echo.wait().expect("it was started");
    let output = output.expect("the suite runs");
    std::fs::remove_dir_all(reports).expect("the suite writes reports");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("301 cases passed"), "{said}");
}

//! A script of tests/js in Node.js: told what to do, and what it saw, in lines of JSON.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::wait::in_time;

/// A running script, ended with this value.
pub(crate) struct Node {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Value>,
    /// What was said and not asked for yet.
    unread: VecDeque<Value>,
}

impl Node {
    /// Starts `tests/js/NAME.mjs`.
    pub(crate) fn start(script: &str, arguments: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("js");
        assert!(
            folder.join("node_modules").is_dir(),
            "tests/js/node_modules is missing: run `cargo xtask test`, or `npm ci` in tests/js"
        );
        let mut command = Command::new("node");
        command
            .current_dir(&folder)
            .arg(format!("{script}.mjs"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("node cannot be run ({error}): install Node.js 20 or later"));
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel(LINES);
        thread::spawn(move || read(stdout, &sender));
        Self {
            child,
            stdin,
            lines,
            unread: VecDeque::new(),
        }
    }

    /// Gives an order.
    pub(crate) fn tell(&mut self, order: &Value) {
        writeln!(self.stdin, "{order}").expect("the script runs");
    }

    /// The first line, among those not yet asked for, that holds all of these keys and values; waits for it.
    pub(crate) async fn sees(&mut self, wanted: &Value) -> Value {
        let known = self.unread.iter().position(|line| holds(line, wanted));
        if let Some(line) = known.and_then(|known| self.unread.remove(known)) {
            return line;
        }
        loop {
            let line = in_time(&format!("{wanted}; seen is {:?}", self.unread), self.lines.recv()).await;
            let line = line.unwrap_or_else(|| panic!("the script ended before {wanted}"));
            if holds(&line, wanted) {
                return line;
            }
            self.unread.push_back(line);
        }
    }

    /// Whether such a line has come that was not asked for.
    pub(crate) fn saw(&mut self, wanted: &Value) -> bool {
        while let Ok(line) = self.lines.try_recv() {
            self.unread.push_back(line);
        }
        self.unread.iter().any(|line| holds(line, wanted))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stdout: ChildStdout, lines: &Sender<Value>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
        if lines.blocking_send(line).is_err() {
            return;
        }
    }
}

fn holds(line: &Value, wanted: &Value) -> bool {
    let wanted = wanted.as_object().expect("an object of what is wanted");
    wanted.iter().all(|(key, value)| line.get(key) == Some(value))
}

/// Lines that may wait for the test.
const LINES: usize = 1_024;

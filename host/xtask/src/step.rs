//! What a command is doing, how long each part took, and the first part that failed.
//!
//! Everything goes to standard error, so that standard output belongs to the programs that are run.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub(crate) struct Steps {
    started: Instant,
    done: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Announces `name`, acts, and remembers how long that took.
    pub(crate) fn run<T>(&mut self, name: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        self.announce(name);
        let begun = Instant::now();
        let outcome = act().with_context(|| format!("step `{name}` failed"))?;
        self.done.push((name.to_owned(), begun.elapsed()));
        Ok(outcome)
    }

    /// As [`Self::run`], for a program that must end well.
    pub(crate) fn command(&mut self, name: &str, mut command: Command) -> Result<()> {
        self.run(name, || succeed(&mut command))
    }

    pub(crate) fn announce(&self, name: &str) {
        eprintln!("[{:>6.1} s] {name}", self.started.elapsed().as_secs_f64());
    }

    /// One line per finished step, and their sum.
    pub(crate) fn table(&self) -> String {
        table(&self.done)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Runs `command` with its output passed through and nothing to read, and waits for a good end.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    Beside::start(command)?.end()
}

/// A program that goes on beside the steps that follow, as [`succeed`] would run it. Nobody needs it any more when it is dropped: it is
/// killed then.
pub(crate) struct Beside {
    line: String,
    child: Child,
}

impl Beside {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let line = command_line(command);
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot start: {line}"))?;
        Ok(Self { line, child })
    }

    /// Waits for a good end.
    pub(crate) fn end(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}: {}", self.line);
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // An error: it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` quietly; what it printed, or the last line of its complaint.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start: {line}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{line}: {}",
            complaint.trim().lines().last().unwrap_or("failed without a word")
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn table(done: &[(String, Duration)]) -> String {
    let sum = done.iter().map(|(_, took)| *took).sum();
    let total = ("together".to_owned(), sum);
    let lines = done
        .iter()
        .chain([&total])
        .map(|(name, took)| format!("{:>8.1} s  {name}\n", took.as_secs_f64()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_with_the_sum() {
        let done = [
            ("build".to_owned(), Duration::from_millis(1500)),
            ("test".to_owned(), Duration::from_secs(10)),
        ];
        assert_eq!(
            table(&done),
            "     1.5 s  build\n    10.0 s  test\n    11.5 s  together\n"
        );
    }

    #[test]
    fn a_failing_step_is_named_and_not_counted() {
        let mut steps = Steps::start();
        let error = steps.command("lints", Command::new("false")).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("step `lints` failed") && text.contains("exit status: 1: false"),
            "{text}"
        );
        assert!(steps.done.is_empty());
    }

    #[test]
    fn what_goes_on_beside_others_is_waited_for_or_killed() {
        let sleep = |seconds| Beside::start(Command::new("sleep").arg(seconds)).unwrap();
        sleep("0.1").end().unwrap();
        let begun = Instant::now();
        drop(sleep("60"));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_quiet_command_fails_with_its_last_words() {
        let error = output(Command::new("sh").args(["-c", "echo first >&2; echo last >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with(": last"), "{error}");
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_it() {
        let error = succeed(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"), "{error}");
    }
}

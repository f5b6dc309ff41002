//! What a rule found, less what is excused.

use std::fmt;

/// A rule, by the name it has in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Absent,
    Arrow,
    CrateLength,
    FileLength,
    FunctionLength,
    Header,
    Name,
    OneBinary,
    TraitWidth,
    Unsafe,
    Wasmtime,
}

/// One place that breaks a rule. `line` counts from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) text: String,
}

impl Finding {
    pub(super) fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// A file that may break a rule, and why.
pub(super) struct Exception {
    pub(super) rule: Rule,
    pub(super) path: &'static str,
    pub(super) reason: &'static str,
}

/// Fails with a list of all findings, unless there are none.
#[track_caller]
pub(super) fn check(rule: Rule, findings: Vec<Finding>, exceptions: &[Exception]) {
    let left = unexcused(rule, findings, exceptions);
    let lines: String = left.iter().map(|finding| format!("\n  {finding}")).collect();
    assert!(left.is_empty(), "tidy, {rule:?}: {} findings{lines}", left.len());
}

/// The findings without an exception, then the exceptions without a finding.
fn unexcused(rule: Rule, findings: Vec<Finding>, exceptions: &[Exception]) -> Vec<Finding> {
    let excuses = exceptions.iter().filter(|exception| exception.rule == rule);
    let (needed, stale): (Vec<_>, Vec<_>) =
        excuses.partition(|exception| findings.iter().any(|finding| finding.path == exception.path));
    let excused = |finding: &Finding| needed.iter().any(|exception| exception.path == finding.path);
    let stale = stale.into_iter().map(|exception| {
        Finding::new(
            exception.path,
            1,
            format!("remove its exception, no longer needed ({})", exception.reason),
        )
    });
    findings
        .into_iter()
        .filter(|finding| !excused(finding))
        .chain(stale)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCUSE: Exception = Exception {
        rule: Rule::Header,
        path: "a.rs",
        reason: "generated",
    };

    #[test]
    fn an_exception_excuses_its_file_for_its_rule() {
        let findings = || vec![Finding::new("a.rs", 1, "x"), Finding::new("b.rs", 2, "y")];
        assert_eq!(
            unexcused(Rule::Header, findings(), &[EXCUSE]),
            [Finding::new("b.rs", 2, "y")]
        );
        assert_eq!(unexcused(Rule::Name, findings(), &[EXCUSE]), findings());
    }

    #[test]
    fn an_exception_that_excuses_nothing_is_a_finding() {
        let left = unexcused(Rule::Header, Vec::new(), &[EXCUSE]);
        assert_eq!(
            left[0].to_string(),
            "a.rs:1: remove its exception, no longer needed (generated)"
        );
    }

    #[test]
    #[should_panic(expected = "tidy, Unsafe: 1 findings\n  a.rs:7: why")]
    fn a_finding_fails_the_test() {
        check(Rule::Unsafe, vec![Finding::new("a.rs", 7, "why")], &[EXCUSE]);
    }
}
